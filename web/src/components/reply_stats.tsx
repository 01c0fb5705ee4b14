// One quiet line below a reply: speed, accepted drafts, cache, time to the first token. A click shows
// all of it.
import { useSignal } from "@preact/signals";
import { useId } from "preact/hooks";
import { formatCount, formatDuration, formatPercent, formatRate } from "../model/format.ts";
import {
  acceptance,
  acceptancePerPosition,
  cacheShare,
  meanDepth,
  tokensPerRound,
  tokensPerSecond,
} from "../model/statistics.ts";
import type { Message, ReplyStats } from "../model/types.ts";
import { DraftChart } from "./draft_chart.tsx";

export function ReplyStatsView({ message, streaming }: { message: Message; streaming: boolean }) {
  const open = useSignal(false);
  const id = useId();
  const stats = message.stats;
  if (!stats || stats.completionTokens === 0) return null;
  return (
    <div class="reply-stats">
      <button
        type="button"
        class="stats-line"
        title="What this reply cost"
        aria-expanded={open.value}
        aria-controls={id}
        onClick={() => (open.value = !open.value)}
      >
        {summary(stats).map((part) => (
          <span key={part.kind} class={`stat stat-${part.kind}`}>
            {part.text}
          </span>
        ))}
        {streaming && <span class="visually-hidden">so far</span>}
      </button>
      <div id={id} hidden={!open.value}>
        {open.value && <StatsDetails stats={stats} />}
      </div>
    </div>
  );
}

function summary(stats: ReplyStats): { kind: string; text: string }[] {
  const { timings } = stats;
  const parts: { kind: string; text: string }[] = [];
  const rate = tokensPerSecond(timings);
  if (rate !== undefined) parts.push({ kind: "rate", text: formatRate(rate) });
  const accepted = acceptance(timings);
  if (accepted !== undefined) {
    parts.push({ kind: "accepted", text: `${formatPercent(accepted)} of drafts accepted` });
  }
  if (stats.promptTokens > 0) {
    const counts = `${formatCount(stats.cachedTokens)} / ${formatCount(stats.promptTokens)}`;
    parts.push({ kind: "cache", text: `${counts} cached` });
  }
  if (stats.firstTokenMs !== undefined) {
    parts.push({ kind: "first", text: `first token ${formatDuration(stats.firstTokenMs)}` });
  }
  return parts;
}

export function StatsDetails({ stats }: { stats: ReplyStats }) {
  const shares = acceptancePerPosition(stats.timings);
  return (
    <div class="stats-details">
      <dl>
        {detailRows(stats).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {shares.length > 0 && (
        <figure>
          <figcaption>Rounds that kept the draft at each position, %</figcaption>
          <DraftChart shares={shares} />
        </figure>
      )}
    </div>
  );
}

function detailRows(stats: ReplyStats): [string, string][] {
  const { timings } = stats;
  const rows: [string, string | undefined][] = [
    ["Tokens", formatCount(stats.completionTokens)],
    ["Speed", map(tokensPerSecond(timings), formatRate)],
    ["First token after", map(stats.firstTokenMs, formatDuration)],
    ["Time in all", formatDuration(stats.totalMs)],
    ["Prompt tokens", formatCount(stats.promptTokens)],
    ["Of them cached", map(cacheShare(stats), (share) => `${formatCount(stats.cachedTokens)} (${formatPercent(share)})`)],
    ["Prompt speed", map(timings.prompt_per_second || undefined, formatRate)],
    ["Drafted", map(timings.draft_n, formatCount)],
    ["Accepted", map(acceptance(timings), (share) => `${formatCount(timings.draft_n_accepted ?? 0)} (${formatPercent(share)})`)],
    ["Drafts per round", map(meanDepth(timings), (depth) => depth.toFixed(2))],
    ["Tokens per round", map(tokensPerRound(timings), (count) => count.toFixed(2))],
    ["Time drafting", map(timings.draft_ms, formatDuration)],
    ["Time verifying", map(timings.verify_ms, formatDuration)],
    ["Drafting paused", timings.draft_parked || undefined],
  ];
  return rows.filter((row): row is [string, string] => row[1] !== undefined);
}

function map<T>(value: T | undefined, format: (value: T) => string): string | undefined {
  return value === undefined ? undefined : format(value);
}
