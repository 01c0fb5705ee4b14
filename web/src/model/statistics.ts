// Numbers about a reply that the server's counters imply. Each is undefined where nothing was
// counted, so that the page shows nothing instead of a made-up zero.
import type { ReplyStats, Timings } from "./types.ts";

/** Share of drafted tokens that were accepted. */
export function acceptance(timings: Timings): number | undefined {
  const drafted = timings.draft_n ?? 0;
  return drafted > 0 ? (timings.draft_n_accepted ?? 0) / drafted : undefined;
}

/** Tokens per verifying pass: its own one and the accepted drafts. */
export function tokensPerRound(timings: Timings): number | undefined {
  const rounds = timings.draft_rounds ?? 0;
  return rounds > 0 ? 1 + (timings.draft_n_accepted ?? 0) / rounds : undefined;
}

/** Tokens drafted per round, on average. */
export function meanDepth(timings: Timings): number | undefined {
  const rounds = timings.draft_rounds ?? 0;
  return rounds > 0 ? (timings.draft_n ?? 0) / rounds : undefined;
}

/** Share of rounds in which the draft at each position was accepted, from the first position. */
export function acceptancePerPosition(timings: Timings): number[] {
  const rounds = timings.draft_rounds ?? 0;
  if (rounds <= 0) return [];
  const perPosition = timings.draft_per_pos ?? [];
  const used = perPosition.slice(0, perPosition.findLastIndex((count) => count > 0) + 1);
  return used.map((count) => Math.min(1, count / rounds));
}

/** Generated tokens per second; undefined until there are two of them. */
export function tokensPerSecond(timings: Timings): number | undefined {
  const rate = timings.predicted_per_second;
  return (timings.predicted_n ?? 0) > 1 && rate !== undefined && rate > 0 ? rate : undefined;
}

/** Share of the prompt that came from the prefix cache. */
export function cacheShare(stats: ReplyStats): number | undefined {
  return stats.promptTokens > 0 ? stats.cachedTokens / stats.promptTokens : undefined;
}
