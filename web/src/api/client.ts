// The server's API as the page uses it. Addresses are relative to the page, so that a prefix in front
// of both works.
import { readSse } from "./sse.ts";
import type { Chunk, Props, SpeculationState, WireError } from "./wire.ts";

/** What the server said no to, in a sentence for people. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly type: string,
    message: string,
  ) {
    super(message);
  }
}

export class Client {
  /** @param apiKey asked for each request, since the user may change it at any time */
  constructor(private readonly apiKey: () => string) {}

  /** "ready", "loading", or "unreachable". */
  async health(): Promise<"ready" | "loading" | "unreachable"> {
    try {
      const response = await fetch("health", { cache: "no-store" });
      if (response.ok) return "ready";
      return response.status === 503 ? "loading" : "unreachable";
    } catch {
      return "unreachable";
    }
  }

  async props(): Promise<Props> {
    return (await this.get("props")) as Props;
  }

  async speculation(): Promise<SpeculationState> {
    return (await this.get("v1/spec")) as SpeculationState;
  }

  /** Streams a chat completion. Throws ApiError, or an AbortError when `signal` fires. */
  async *chat(body: unknown, signal: AbortSignal): AsyncGenerator<Chunk> {
    const response = await this.send("v1/chat/completions", body, signal);
    if (!response.body) throw new ApiError(0, "empty", "The server sent no answer.");
    for await (const record of readSse(response.body)) {
      if (record.data === "[DONE]") return;
      const chunk = parseChunk(record.data);
      if (chunk.error) throw asApiError(chunk.error.code ?? 500, chunk.error);
      yield chunk;
    }
  }

  /** Asks a running completion to stop thinking and answer. False when it does not think. */
  async endReasoning(completionId: string): Promise<boolean> {
    const response = await this.send("v1/chat/completions/control", {
      id: completionId,
      action: "reasoning_end",
    });
    const answer = (await response.json()) as { success?: boolean };
    return answer.success === true;
  }

  private headers(): Record<string, string> {
    const key = this.apiKey();
    return key ? { Authorization: `Bearer ${key}` } : {};
  }

  private async get(path: string): Promise<unknown> {
    const response = await fetch(path, { headers: this.headers(), cache: "no-store" });
    if (!response.ok) throw await errorOf(response);
    return response.json();
  }

  private async send(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
    const response = await fetch(path, {
      method: "POST",
      headers: { ...this.headers(), "Content-Type": "application/json" },
      body: JSON.stringify(body),
      ...(signal ? { signal } : {}),
    });
    if (!response.ok) throw await errorOf(response);
    return response;
  }
}

function parseChunk(data: string): Chunk {
  try {
    const chunk: unknown = JSON.parse(data);
    if (chunk !== null && typeof chunk === "object") return chunk;
  } catch {
    // Said below.
  }
  throw new ApiError(0, "malformed", `The server sent a record that is not JSON: ${data.slice(0, 80)}`);
}

async function errorOf(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  try {
    const error = (JSON.parse(text) as { error?: WireError }).error;
    if (error) return asApiError(response.status, error);
  } catch {
    // Not ours: a proxy's page, perhaps.
  }
  return new ApiError(response.status, "", `The server answered ${response.status} ${response.statusText}.`);
}

function asApiError(status: number, error: WireError): ApiError {
  const type = error.type ?? "";
  if (type === "exceed_context_size_error" && error.n_prompt_tokens && error.n_ctx) {
    return new ApiError(
      status,
      type,
      `The conversation is too long: ${error.n_prompt_tokens} tokens, and the model's context holds ` +
        `${error.n_ctx}. Edit an earlier message or begin a new chat.`,
    );
  }
  if (status === 401) {
    return new ApiError(status, type, "The server wants an API key. Enter it in the settings.");
  }
  return new ApiError(status, type, error.message || `The server answered with error ${status}.`);
}
