// What the page keeps: conversations, their messages, and what each reply cost. Everything here is
// plain data that goes into the browser's database and into exported files as it is.

export type Role = "user" | "assistant" | "tool";

export interface ToolCall {
  id: string;
  name: string;
  /** JSON text as the model wrote it; may be cut short when the reply was stopped. */
  arguments: string;
}

export interface Image {
  name: string;
  /** A data: URL, so that it can be shown, stored and sent without another request. */
  url: string;
}

/** Half-open ranges [start, end) of a text, flat: start, end, start, end, ... ascending, disjoint. */
export type Ranges = number[];

export type MessageState = "streaming" | "done" | "stopped" | "length" | "error";

/** The server's `timings` object; names as on the wire. */
export interface Timings {
  cache_n?: number;
  prompt_n?: number;
  prompt_ms?: number;
  prompt_per_second?: number;
  predicted_n?: number;
  predicted_ms?: number;
  predicted_per_second?: number;
  draft_n?: number;
  draft_n_accepted?: number;
  draft_kind?: string;
  draft_rounds?: number;
  draft_per_pos?: number[];
  draft_ms?: number;
  verify_ms?: number;
  draft_parked?: string;
}

/** What one reply cost. Times in milliseconds by this browser's clock unless the server's. */
export interface ReplyStats {
  timings: Timings;
  promptTokens: number;
  cachedTokens: number;
  completionTokens: number;
  /** From sending the request to the first text; undefined before that. */
  firstTokenMs?: number;
  /** How long the thinking took; undefined without any. */
  thinkingMs?: number;
  totalMs: number;
}

export interface Message {
  id: string;
  conversation: string;
  /** The message this one answers or follows; null: the conversation's first. */
  parent: string | null;
  role: Role;
  content: string;
  created: number;
  state: MessageState;
  /** Assistant only, all of the following but the last two. */
  reasoning?: string;
  toolCalls?: ToolCall[];
  /** Parts of content and reasoning that came from accepted drafts. */
  contentDrafts?: Ranges;
  reasoningDrafts?: Ranges;
  stats?: ReplyStats;
  model?: string;
  error?: string;
  /** User only. */
  images?: Image[];
  /** Tool only: the call it answers. */
  toolCallId?: string;
}

export interface Conversation {
  id: string;
  title: string;
  /** True once the user named it; otherwise it follows the first message. */
  named: boolean;
  created: number;
  updated: number;
  /** The message at the end of the branch on show; null: empty. */
  leaf: string | null;
}
