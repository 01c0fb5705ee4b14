// The server: whether it is there, what it serves, what its drafting does.
import { computed, signal } from "@preact/signals";
import { ApiError, Client } from "../api/client.ts";
import type { Props, SpeculationState } from "../api/wire.ts";
import { apiKey } from "./settings.ts";

export type ServerState = "unknown" | "ready" | "loading" | "unreachable" | "locked";

export const client = new Client(() => apiKey.value);
export const serverState = signal<ServerState>("unknown");
export const props = signal<Props | null>(null);
export const speculation = signal<SpeculationState | null>(null);

export const modelName = computed(() => props.value?.model_alias ?? "");
export const hasVision = computed(() => props.value?.modalities?.vision === true);
export const contextSize = computed(() => props.value?.default_generation_settings?.n_ctx);

const kRetryMs = 1500;
const kReadyMs = 30_000;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Asks now, and again later: soon while the server is away, rarely while it is there. */
export async function watchServer(): Promise<void> {
  clearTimeout(timer);
  const health = await client.health();
  serverState.value = health === "ready" ? await readProps() : health;
  clearTimeout(timer);
  timer = setTimeout(() => void watchServer(), serverState.value === "ready" ? kReadyMs : kRetryMs);
}

async function readProps(): Promise<ServerState> {
  try {
    props.value = await client.props();
    return "ready";
  } catch (error) {
    if (!(error instanceof ApiError)) return "unreachable";
    if (error.status === 401) return "locked";
    return error.status === 503 ? "loading" : "ready";
  }
}

/** What drafting does now; left as it was when the server does not say. */
export async function readSpeculation(): Promise<void> {
  try {
    speculation.value = await client.speculation();
  } catch {
    // Another server, or an older one: the page does without.
  }
}
