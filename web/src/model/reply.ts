// Gathers the chunks of a streamed chat completion into one assistant message: text, thinking, tool
// calls, which characters came from accepted drafts, and what it cost.
import type { Chunk, Delta } from "../api/wire.ts";
import { AcceptedCounter, addRange } from "./draft_ranges.ts";
import { RateMeter } from "./rate_meter.ts";
import type { Message, MessageState, ReplyStats, ToolCall } from "./types.ts";

/** How far the prompt is; null once the reply has begun or when the server does not say. */
export interface PromptProgress {
  processed: number;
  total: number;
  cached: number;
}

export class ReplyBuilder {
  /** The server's id of this completion, for its control endpoint. */
  completionId = "";
  progress: PromptProgress | null = null;
  content = "";
  reasoning = "";
  readonly toolCalls: ToolCall[] = [];
  readonly rate = new RateMeter();
  private readonly contentDrafts: number[] = [];
  private readonly reasoningDrafts: number[] = [];
  private readonly accepted = new AcceptedCounter();
  private readonly stats: ReplyStats;
  private model = "";
  private finishReason: string | null = null;
  private reasoningFrom: number | undefined;

  /** @param started when the request was sent, by the clock that `add` gets */
  constructor(private readonly started: number) {
    this.stats = { timings: {}, promptTokens: 0, cachedTokens: 0, completionTokens: 0, totalMs: 0 };
  }

  /** True while the newest text is thinking. */
  get thinking(): boolean {
    return this.reasoning !== "" && this.stats.thinkingMs === undefined;
  }

  /** Milliseconds of thinking so far, or in all. */
  thinkingMs(now: number): number | undefined {
    if (this.reasoningFrom === undefined) return undefined;
    return this.stats.thinkingMs ?? now - this.reasoningFrom;
  }

  /** Takes in a chunk that arrived at `now` (milliseconds). */
  add(chunk: Chunk, now: number): void {
    if (chunk.id) this.completionId = chunk.id;
    if (chunk.model) this.model = chunk.model;
    this.addProgress(chunk);
    this.addTimings(chunk);
    const fromDraft = this.accepted.rose(chunk.timings?.draft_n_accepted);
    if (chunk.timings?.predicted_n) this.rate.add(now, chunk.timings.predicted_n);
    const choice = chunk.choices?.[0];
    if (choice?.delta) this.addDelta(choice.delta, fromDraft, now);
    if (choice?.finish_reason) {
      this.finishReason = choice.finish_reason;
      this.endReasoning(now);
    }
    this.stats.totalMs = now - this.started;
  }

  private addProgress(chunk: Chunk): void {
    const progress = chunk.prompt_progress;
    if (!progress) return;
    this.progress = { processed: progress.processed, total: progress.total, cached: progress.cache };
    this.stats.promptTokens = progress.total;
    this.stats.cachedTokens = progress.cache;
  }

  private addTimings({ timings, usage }: Chunk): void {
    if (timings) {
      this.stats.timings = timings;
      this.stats.cachedTokens = timings.cache_n ?? 0;
      this.stats.promptTokens = (timings.cache_n ?? 0) + (timings.prompt_n ?? 0);
      this.stats.completionTokens = timings.predicted_n ?? 0;
    }
    if (usage) {
      this.stats.promptTokens = usage.prompt_tokens ?? this.stats.promptTokens;
      this.stats.completionTokens = usage.completion_tokens ?? this.stats.completionTokens;
      this.stats.cachedTokens =
        usage.prompt_tokens_details?.cached_tokens ?? this.stats.cachedTokens;
    }
  }

  private addDelta(delta: Delta, fromDraft: boolean, now: number): void {
    const reasoning = delta.reasoning_content ?? "";
    const content = delta.content ?? "";
    const calls = delta.tool_calls ?? [];
    if (reasoning === "" && content === "" && calls.length === 0) return;
    this.progress = null;
    this.stats.firstTokenMs ??= now - this.started;
    if (reasoning !== "") {
      this.reasoningFrom ??= now;
      this.reasoning += reasoning;
      if (fromDraft) addNewest(this.reasoningDrafts, this.reasoning, reasoning);
    }
    if (content !== "" || calls.length > 0) this.endReasoning(now);
    this.content += content;
    if (fromDraft) addNewest(this.contentDrafts, this.content, content);
    for (const call of calls) this.addCall(call);
  }

  private addCall(call: NonNullable<Delta["tool_calls"]>[number]): void {
    // Calls come in order; an index far beyond the end would only make holes.
    if (call.index < 0 || call.index > this.toolCalls.length) return;
    if (call.index === this.toolCalls.length) {
      this.toolCalls.push({ id: "", name: "", arguments: "" });
    }
    const known = this.toolCalls[call.index]!;
    known.id ||= call.id ?? "";
    known.name ||= call.function?.name ?? "";
    known.arguments += call.function?.arguments ?? "";
  }

  private endReasoning(now: number): void {
    if (this.reasoningFrom !== undefined) this.stats.thinkingMs ??= now - this.reasoningFrom;
  }

  /** Call once after the last chunk. Throws nothing; a stream without an end is "stopped". */
  finish(now: number): MessageState {
    this.endReasoning(now);
    this.progress = null;
    this.stats.totalMs = now - this.started;
    if (this.finishReason === null) return "stopped";
    return this.finishReason === "length" ? "length" : "done";
  }

  /** The message's changing part, as new objects: safe to keep. */
  snapshot(): Partial<Message> {
    const part: Partial<Message> = {
      content: this.content,
      contentDrafts: [...this.contentDrafts],
      stats: { ...this.stats },
    };
    if (this.model) part.model = this.model;
    if (this.reasoning) {
      part.reasoning = this.reasoning;
      part.reasoningDrafts = [...this.reasoningDrafts];
    }
    if (this.toolCalls.length > 0) part.toolCalls = this.toolCalls.map((call) => ({ ...call }));
    return part;
  }
}

function addNewest(ranges: number[], text: string, newest: string): void {
  addRange(ranges, text.length - newest.length, text.length);
}
