// The engine at work: speed over time, how well the MTP head guesses, how full the context is. It
// follows the reply that is being written, or shows the last one.
import { useEffect } from "preact/hooks";
import { formatCount, formatPercent, formatRate } from "../model/format.ts";
import {
  acceptance,
  acceptancePerPosition,
  meanDepth,
  tokensPerRound,
  tokensPerSecond,
} from "../model/statistics.ts";
import type { ReplyStats } from "../model/types.ts";
import { currentId, currentPath } from "../store/conversations.ts";
import { runs } from "../store/generation.ts";
import { contextSize, readSpeculation, speculation } from "../store/server.ts";
import { showPanel } from "../store/settings.ts";
import { DraftChart, RateLine, ShareChart } from "./draft_chart.tsx";
import { IconButton } from "./icons.tsx";

const kAskMs = 1000;

export function EnginePanel() {
  const run = currentId.value === null ? undefined : runs.value.get(currentId.value);
  const busy = run !== undefined;
  useEffect(() => {
    void readSpeculation();
    if (!busy) return undefined;
    const timer = setInterval(() => void readSpeculation(), kAskMs);
    return () => clearInterval(timer);
  }, [busy]);
  const last = currentPath.value.findLast((message) => message.stats);
  const stats = run ? run.message.value.stats : last?.stats;
  return (
    <aside class="engine" aria-label="The engine's numbers">
      <div class="engine-head">
        <h2>Engine</h2>
        <IconButton icon="close" label="Close the engine's numbers" onClick={() => (showPanel.value = false)} />
      </div>
      {stats ? (
        <>
          <Speed stats={stats} rates={run?.builder.rate.values() ?? []} busy={busy} />
          <Drafts stats={stats} />
          <Prompt stats={stats} />
        </>
      ) : (
        <p class="hint">Numbers appear with the first reply.</p>
      )}
      <ServerDrafting />
    </aside>
  );
}

function Speed({ stats, rates, busy }: { stats: ReplyStats; rates: number[]; busy: boolean }) {
  const rate = tokensPerSecond(stats.timings);
  return (
    <section>
      <h3>{busy ? "Now" : "Last reply"}</h3>
      <p class="big-number" data-testid="engine-rate">
        {rate === undefined ? "–" : formatRate(rate)}
      </p>
      <RateLine rates={rates} />
    </section>
  );
}

function Drafts({ stats }: { stats: ReplyStats }) {
  const { timings } = stats;
  const accepted = acceptance(timings);
  if (accepted === undefined) {
    return (
      <section>
        <h3>Drafts</h3>
        <p class="hint">{timings.draft_parked || "Nothing was drafted."}</p>
      </section>
    );
  }
  return (
    <section>
      <h3>Drafts accepted</h3>
      <p class="big-number">{formatPercent(accepted)}</p>
      <Rows
        rows={[
          ["Depth", meanDepth(timings)?.toFixed(1)],
          ["Tokens per round", tokensPerRound(timings)?.toFixed(2)],
          ["Accepted", `${formatCount(timings.draft_n_accepted ?? 0)} of ${formatCount(timings.draft_n ?? 0)}`],
          ["Paused", timings.draft_parked || undefined],
        ]}
      />
      <DraftChart shares={acceptancePerPosition(timings)} />
      <p class="caption">Rounds that kept the draft at each position, %</p>
    </section>
  );
}

function Prompt({ stats }: { stats: ReplyStats }) {
  const size = contextSize.value;
  const used = stats.promptTokens + stats.completionTokens;
  return (
    <section>
      <h3>Prompt</h3>
      <Rows
        rows={[["From the cache", `${formatCount(stats.cachedTokens)} of ${formatCount(stats.promptTokens)}`]]}
      />
      <meter min={0} max={Math.max(1, stats.promptTokens)} value={stats.cachedTokens} aria-label="Share of the prompt from the cache" />
      {size !== undefined && (
        <>
          <Rows rows={[["Context", `${formatCount(used)} of ${formatCount(size)}`]]} />
          <meter min={0} max={size} value={used} aria-label="Share of the context in use" />
        </>
      )}
    </section>
  );
}

/** What the server says of its drafting over all requests. */
function ServerDrafting() {
  const state = speculation.value;
  if (!state || state.mtp_present === false) return null;
  return (
    <section>
      <h3>All requests</h3>
      <Rows
        rows={[
          ["Drafting", state.parked ? state.parked_reason || "paused" : state.type],
          ["At most", state.n_max === undefined ? undefined : `${state.n_max} per round`],
          ["Depth", state.adaptive === undefined ? undefined : state.adaptive ? "follows what pays" : "fixed"],
          ["Worth", state.expected_speedup === undefined ? undefined : `${state.expected_speedup.toFixed(2)}×`],
        ]}
      />
      <DraftChart shares={state.acceptance_per_pos ?? []} />
      <p class="caption">Drafts kept at each position, %</p>
      <ShareChart
        shares={sharesOf(state.rounds_by_depth ?? [])}
        label="Rounds by the number of drafts made"
        first={0}
      />
      <p class="caption">Rounds that drafted so many tokens, %</p>
    </section>
  );
}

/** Counts as shares of their sum, without the empty ones at the end. */
function sharesOf(counts: number[]): number[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const used = counts.slice(0, counts.findLastIndex((count) => count > 0) + 1);
  return used.map((count) => count / total);
}

function Rows({ rows }: { rows: [string, string | undefined][] }) {
  return (
    <dl class="rows">
      {rows
        .filter((row) => row[1] !== undefined)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
