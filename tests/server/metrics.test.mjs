// Point 9 and the log: what dashboards scrape and scripts search for.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { QUESTIONS, eventually, greedy, question, start } from './harness.mjs';

let server;
before(async () => {
  server = await start(['-c', '4096', '-np', '2', '--metrics', '--spec-draft-fixed',
    '--spec-draft-n-max', '3']);
});
after(() => server.stop());

const COUNTERS = ['prompt_tokens_total', 'prompt_tokens_cached_total', 'prompt_seconds_total',
  'tokens_predicted_total', 'tokens_predicted_seconds_total', 'n_decode_total', 'n_tokens_max',
  'spec_decode_num_draft_tokens_total', 'spec_decode_num_accepted_tokens_total',
  'spec_decode_num_drafts_total'].map((name) => `llamacpp:${name}`);
const GAUGES = ['prompt_tokens_seconds', 'predicted_tokens_seconds', 'requests_processing',
  'requests_deferred', 'n_busy_slots_per_decode'].map((name) => `llamacpp:${name}`);

/** The text as a scraper reads it: types and helps by name, values by line. */
async function scrape() {
  const answer = await server.ask('GET', '/metrics');
  assert.equal(answer.status, 200);
  assert.match(answer.headers['content-type'], /^text\/plain; version=0\.0\.4/);
  assert.match(answer.headers['process-start-time-unix'], /^\d+$/);
  const out = { types: new Map(), helps: new Set(), values: new Map() };
  for (const line of answer.text.split('\n')) {
    const help = line.match(/^# HELP (\S+) \S/);
    const type = line.match(/^# TYPE (\S+) (counter|gauge|histogram)$/);
    if (help) out.helps.add(help[1]);
    else if (type) out.types.set(type[1], type[2]);
    else if (line !== '') {
      const found = line.match(/^([a-zA-Z_:][\w:]*(?:\{[^}]*\})?) (-?[\d.e+-]+|\+Inf|NaN)$/);
      assert.ok(found, line);
      assert.ok(!out.values.has(found[1]), `${found[1]} twice`);
      out.values.set(found[1], Number(found[2]));
    }
  }
  return out;
}

test('point 9: names, types and helps', async () => {
  const idle = await scrape();
  const position = 'llamacpp:spec_decode_num_accepted_tokens_per_pos_total';
  assert.ok(![...idle.values.keys()].some((name) => name.startsWith(position)), 'absent before a round');
  await server.post('/completion', greedy(question(QUESTIONS[2])));
  await server.idle();
  const { types, helps, values } = await scrape();
  for (const [names, kind] of [[COUNTERS, 'counter'], [GAUGES, 'gauge']]) {
    for (const name of names) {
      assert.equal(types.get(name), kind, name);
      assert.ok(helps.has(name), name);
      assert.ok(values.has(name), name);
    }
  }
  assert.ok(values.has(`${position}{position="0"}`));
  for (const name of values.keys()) {
    const family = name.replace(/\{.*/, '');
    const base = types.has(family) ? family : family.replace(/_(bucket|sum|count)$/, '');
    assert.ok(types.has(base) && helps.has(base), name);
    assert.ok(family === base || types.get(base) === 'histogram', name);
  }
  assert.ok(values.get('llamacpp:n_decode_total') > 0);
  assert.equal(values.get('llamacpp:requests_processing'), 0);
  for (const name of ['spec_depth', 'time_to_first_token_seconds', 'inter_token_seconds']) {
    assert.equal(types.get(`foretoken:${name}`), 'histogram');
  }
});

test('point 9: counters say what the answers said, and never fall', async () => {
  let last = await scrape();
  for (let round = 0; round < 4; ++round) {
    const before = await scrape();
    let sums = { prompt_n: 0, cache_n: 0, predicted_n: 0, draft_n: 0, draft_n_accepted: 0, draft_rounds: 0 };
    const answers = await Promise.all(QUESTIONS.slice(0, 4).map((text, i) =>
      server.post('/completion', greedy(question(text), { n_predict: 8 + i, 'speculative.n_max': round }))));
    for (const { timings } of answers) {
      for (const key of Object.keys(sums)) sums[key] += timings[key] ?? 0;
    }
    await server.idle();
    const now = await scrape();
    for (const [key, name] of [['prompt_n', 'prompt_tokens_total'], ['cache_n', 'prompt_tokens_cached_total'],
      ['predicted_n', 'tokens_predicted_total'], ['draft_n', 'spec_decode_num_draft_tokens_total'],
      ['draft_n_accepted', 'spec_decode_num_accepted_tokens_total'], ['draft_rounds', 'spec_decode_num_drafts_total']]) {
      const rise = now.values.get(`llamacpp:${name}`) - before.values.get(`llamacpp:${name}`);
      assert.equal(rise, sums[key], name);
    }
    for (const [name, value] of last.values) {
      const family = name.replace(/\{.*/, '');
      const kind = now.types.get(family) ?? now.types.get(family.replace(/_(bucket|sum|count)$/, ''));
      if (kind !== 'gauge') assert.ok(now.values.get(name) >= value, name);
    }
    last = now;
  }
});

test('speculation as it is now', async () => {
  const spec = await server.get('/v1/spec');
  assert.deepEqual([spec.type, spec.n_max, spec.adaptive, spec.mtp_present], ['draft-mtp', 3, false, true]);
  assert.ok(spec.drafted > 0 && spec.accepted > 0 && spec.rounds > 0);
});

test('timings: the drafting part is there only if something was drafted', async () => {
  const drafted = (await server.post('/completion', greedy(question(QUESTIONS[2])))).timings;
  for (const key of ['draft_n', 'draft_n_accepted', 'draft_rounds', 'draft_ms', 'verify_ms']) {
    assert.equal(typeof drafted[key], 'number', key);
  }
  assert.equal(drafted.draft_kind, 'draft-mtp');
  assert.equal(drafted.draft_per_pos.reduce((a, b) => a + b, 0), drafted.draft_n_accepted);
  assert.ok(drafted.draft_n_accepted <= drafted.draft_n);
  // Every token comes from the prompt's pass, a round, or a draft.
  const plain = (await server.post('/completion', greedy(question(QUESTIONS[2]), { speculative: { n_max: 0 } }))).timings;
  assert.deepEqual(Object.keys(plain).filter((key) => key.startsWith('draft')), []);
  const clamped = await server.post('/completion', greedy(question(QUESTIONS[2]), { speculative: { n_max: 99, n_min: -4, p_min: 7 } }));
  assert.equal(clamped.generation_settings['speculative.n_max'], 3);
});

test('the log has the lines that people search for', async () => {
  const begin = server.log.length;
  await server.post('/completion', greedy(question('Once more, with feeling.')));
  const lines = await eventually('the lines of a request', () => {
    const text = server.log.slice(begin);
    return /acc per pos/.test(text) && text;
  });
  assert.match(lines, /prompt eval time = +[\d.]+ ms \/ +\d+ tokens \( +[\d.]+ ms per token, +[\d.]+ tokens per second\)/);
  assert.match(lines, /[^t] eval time = +[\d.]+ ms \/ +\d+ tokens \( +[\d.]+ ms per token, +[\d.]+ tokens per second\)/);
  assert.match(lines, /total time = +[\d.]+ ms \/ +\d+ tokens/);
  assert.match(lines, /draft acceptance = [\d.]+ \( *\d+ accepted \/ +\d+ generated\), mean len = +[\d.]+/);
  assert.match(lines, /acc per pos = \([\d., ]+\)/);
  await server.post('/completion', greedy(question('Once more, with feeling.')));
  await eventually('the line of a cache hit', () => /restored context checkpoint/.test(server.log.slice(begin)));
  assert.match(server.log, /model loaded/);
  assert.match(server.log, /server is listening on http:\/\/127\.0\.0\.1:\d+/);
  assert.doesNotMatch(server.log, /Once more, with feeling/, 'the log does not repeat prompts');
});
