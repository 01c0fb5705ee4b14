import assert from "node:assert/strict";
import { test } from "node:test";
import type { Chunk, Delta } from "../src/api/wire.ts";
import { ReplyBuilder } from "../src/model/reply.ts";
import {
  acceptance,
  acceptancePerPosition,
  meanDepth,
  tokensPerRound,
  tokensPerSecond,
} from "../src/model/statistics.ts";

function chunk(delta: Delta, accepted?: number, finish?: string): Chunk {
  const made: Chunk = { id: "id-1", model: "m", choices: [{ delta, finish_reason: finish ?? null }] };
  if (accepted !== undefined) made.timings = { draft_n_accepted: accepted, predicted_n: 1 };
  return made;
}

test("text, thinking and tints are gathered from chunks", () => {
  const reply = new ReplyBuilder(1000);
  reply.add({ prompt_progress: { total: 20, cache: 8, processed: 8, time_ms: 0 } }, 1010);
  assert.deepEqual(reply.progress, { processed: 8, total: 20, cached: 8 });
  reply.add(chunk({ content: null }), 1020);
  assert.notEqual(reply.progress, null, "the first record has no text yet");
  reply.add(chunk({ reasoning_content: "Hm" }), 1100);
  assert.equal(reply.progress, null);
  assert.equal(reply.thinking, true);
  reply.add(chunk({ reasoning_content: ", yes" }, 1), 1300);
  assert.equal(reply.thinkingMs(1400), 300);
  reply.add(chunk({ content: "Good" }, 1), 1500);
  assert.equal(reply.thinking, false);
  reply.add(chunk({ content: " day" }, 2), 1600);
  reply.add(chunk({ content: "!" }, 3), 1700);
  reply.add(chunk({}, undefined, "stop"), 1800);
  assert.equal(reply.finish(1900), "done");
  const message = reply.snapshot();
  assert.equal(message.content, "Good day!");
  assert.equal(message.reasoning, "Hm, yes");
  assert.deepEqual(message.contentDrafts, [4, 9]);
  assert.deepEqual(message.reasoningDrafts, [2, 7]);
  assert.equal(message.stats?.firstTokenMs, 100);
  assert.equal(message.stats?.thinkingMs, 400);
  assert.equal(message.model, "m");
  assert.equal(reply.completionId, "id-1");
});

test("tool calls grow by index, and a hole is not filled", () => {
  const reply = new ReplyBuilder(0);
  const call = (index: number, name?: string, text?: string) =>
    chunk({ tool_calls: [{ index, ...(name ? { id: `call_${name}` } : {}), function: { ...(name ? { name } : {}), ...(text ? { arguments: text } : {}) } }] });
  for (const part of [
    call(0, "f"),
    call(0, undefined, '{"a"'),
    call(0, undefined, ":1}"),
    call(7, "hole"),
    call(-1, "hole"),
    call(1, "g", "{}"),
  ]) {
    reply.add(part, 1);
  }
  assert.deepEqual(reply.snapshot().toolCalls, [
    { id: "call_f", name: "f", arguments: '{"a":1}' },
    { id: "call_g", name: "g", arguments: "{}" },
  ]);
});

test("how a stream ended is known", () => {
  const cut = new ReplyBuilder(0);
  cut.add(chunk({ content: "x" }, undefined, "length"), 1);
  assert.equal(cut.finish(2), "length");
  const broken = new ReplyBuilder(0);
  broken.add(chunk({ content: "x" }), 1);
  assert.equal(broken.finish(2), "stopped");
});

test("usage wins over what timings imply", () => {
  const reply = new ReplyBuilder(0);
  reply.add({ choices: [], timings: { cache_n: 5, prompt_n: 7, predicted_n: 3 } }, 1);
  assert.equal(reply.snapshot().stats?.promptTokens, 12);
  reply.add(
    { choices: [], usage: { prompt_tokens: 13, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 6 } } },
    2,
  );
  const stats = reply.snapshot().stats!;
  assert.deepEqual([stats.promptTokens, stats.cachedTokens, stats.completionTokens], [13, 6, 4]);
});

test("numbers follow from the counters, and are absent without them", () => {
  const timings = {
    draft_n: 30,
    draft_n_accepted: 18,
    draft_rounds: 10,
    draft_per_pos: [9, 6, 3, 0, 0],
    predicted_n: 28,
    predicted_per_second: 40,
  };
  assert.equal(acceptance(timings), 0.6);
  assert.equal(tokensPerRound(timings), 2.8);
  assert.equal(meanDepth(timings), 3);
  assert.deepEqual(acceptancePerPosition(timings), [0.9, 0.6, 0.3]);
  assert.equal(tokensPerSecond(timings), 40);
  assert.equal(acceptance({}), undefined);
  assert.equal(tokensPerRound({}), undefined);
  assert.deepEqual(acceptancePerPosition({}), []);
  assert.equal(tokensPerSecond({ predicted_n: 1, predicted_per_second: 0 }), undefined);
});
