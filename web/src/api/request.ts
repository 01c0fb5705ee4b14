// The body of a chat completion request from a branch of a conversation and the settings. Settings
// left empty are left out, so that the server's own defaults apply.
import type { Message, ToolCall } from "../model/types.ts";

export interface ChatSettings {
  systemPrompt: string;
  /** "": the template's own default. */
  thinking: "" | "on" | "off";
  thinkingBudget: number | null;
  maxTokens: number | null;
  temperature: number | null;
  topP: number | null;
  topK: number | null;
  minP: number | null;
  presencePenalty: number | null;
  frequencyPenalty: number | null;
  repeatPenalty: number | null;
  seed: number | null;
  speculation: boolean;
  /** Most tokens drafted per round; null: the server's bound. */
  draftMax: number | null;
  /** OpenAI function tools as JSON text; "" for none. */
  tools: string;
}

export const kDefaultChatSettings: ChatSettings = {
  systemPrompt: "",
  thinking: "",
  thinkingBudget: null,
  maxTokens: null,
  temperature: null,
  topP: null,
  topK: null,
  minP: null,
  presencePenalty: null,
  frequencyPenalty: null,
  repeatPenalty: null,
  seed: null,
  speculation: true,
  draftMax: null,
  tools: "",
};

type Json = Record<string, unknown>;

/** A sentence on what is wrong with the tools' text, or nothing. */
export function toolsProblem(text: string): string | undefined {
  if (text.trim() === "") return undefined;
  try {
    const tools: unknown = JSON.parse(text);
    if (!Array.isArray(tools)) return "Tools must be a JSON array.";
    const nameless = tools.findIndex((tool) => typeof tool?.function?.name !== "string");
    if (nameless !== -1) return `Tool ${nameless + 1} has no function.name.`;
    return undefined;
  } catch (error) {
    return `Not JSON: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** @param path the branch to be answered, oldest first; it ends with a user or tool message. */
export function chatRequest(path: Message[], settings: ChatSettings): Json {
  const messages = path.map(wireMessage);
  if (settings.systemPrompt.trim() !== "") {
    messages.unshift({ role: "system", content: settings.systemPrompt });
  }
  const body: Json = {
    messages,
    stream: true,
    stream_options: { include_usage: true },
    timings_per_token: true,
    return_progress: true,
    reasoning_control: true,
  };
  const optional: Json = {
    max_tokens: settings.maxTokens,
    temperature: settings.temperature,
    top_p: settings.topP,
    top_k: settings.topK,
    min_p: settings.minP,
    presence_penalty: settings.presencePenalty,
    frequency_penalty: settings.frequencyPenalty,
    repeat_penalty: settings.repeatPenalty,
    seed: settings.seed,
    thinking_budget_tokens: settings.thinkingBudget,
    "speculative.n_max": settings.speculation ? settings.draftMax : 0,
  };
  for (const [name, value] of Object.entries(optional)) if (value !== null) body[name] = value;
  if (settings.thinking !== "") {
    body.chat_template_kwargs = { enable_thinking: settings.thinking === "on" };
  }
  if (settings.tools.trim() !== "" && toolsProblem(settings.tools) === undefined) {
    body.tools = JSON.parse(settings.tools);
  }
  return body;
}

function wireMessage(message: Message): Json {
  switch (message.role) {
    case "user":
      return { role: "user", content: userContent(message) };
    case "tool":
      return { role: "tool", tool_call_id: message.toolCallId ?? "", content: message.content };
    case "assistant": {
      const wire: Json = { role: "assistant", content: message.content };
      // Sent back so that the prompt stays the same text, and its prefix in the server's cache.
      if (message.reasoning) wire.reasoning_content = message.reasoning;
      const calls = (message.toolCalls ?? []).filter(isWhole);
      if (calls.length > 0) {
        wire.tool_calls = calls.map((call) => ({
          id: call.id,
          type: "function",
          function: { name: call.name, arguments: call.arguments },
        }));
      }
      return wire;
    }
  }
}

// A call that was stopped half-way cannot be sent back: its arguments are not JSON.
function isWhole(call: ToolCall): boolean {
  try {
    JSON.parse(call.arguments);
    return call.name !== "";
  } catch {
    return false;
  }
}

function userContent(message: Message): string | Json[] {
  if (!message.images?.length) return message.content;
  const parts: Json[] = message.images.map((image) => ({
    type: "image_url",
    image_url: { url: image.url },
  }));
  if (message.content !== "") parts.push({ type: "text", text: message.content });
  return parts;
}
