// Points 11 to 13: what the server says is what the model says, whoever else is served and however it
// got there: drafted or not, alone or in a batch, from the cache, from a slot file in a new process.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { QUESTIONS, greedy, question, start, temporaryFolder } from './harness.mjs';

const PROMPTS = QUESTIONS.map(question);
const LONG = process.env.SERVER_TESTS_LONG;  // more prompts, more samples
const DRAFTS = ['--spec-draft-fixed', '--spec-draft-n-max', '8'];
let server;
let plain;  // what the target says alone, nothing drafted, nothing cached
before(async () => {
  server = await start(['-c', '4096', '-np', '4', ...DRAFTS]);
  plain = await said(server, PROMPTS, { 'speculative.n_max': 0, cache_prompt: false });
});
after(() => server.stop());

async function said(one, prompts, more = {}) {
  const out = [];
  for (const prompt of prompts) {
    const answer = await one.post('/completion', greedy(prompt, { return_tokens: true, ...more }));
    if (more['speculative.n_max'] === 0) assert.equal(answer.timings.draft_n, undefined);
    out.push(answer.tokens);
  }
  return out;
}

async function drafted(one, prompts, more = {}) {
  let n = 0;
  const out = [];
  for (const prompt of prompts) {
    const answer = await one.post('/completion', greedy(prompt, { return_tokens: true, ...more }));
    n += answer.timings.draft_n ?? 0;
    out.push(answer.tokens);
  }
  assert.ok(n > 0, 'nothing was drafted, so nothing was tried');
  return out;
}

test('point 11: every depth of drafts, alone', async () => {
  for (let nMax = 1; nMax <= 8; ++nMax) {
    assert.deepEqual(await drafted(server, PROMPTS, { speculative: { n_max: nMax }, cache_prompt: false }),
      plain, `n_max ${nMax}`);
  }
});

test('point 11: in a batch of four with others, of every depth', async () => {
  const jobs = [];
  for (let round = 0; round < 3; ++round) {
    for (const [i, prompt] of PROMPTS.entries()) {
      jobs.push([i, greedy(prompt, { return_tokens: true, cache_prompt: round !== 1,
        'speculative.n_max': (i * 3 + round * 4) % 9 })]);
    }
    jobs.push([-1, { prompt: PROMPTS[round], temperature: 1.5, seed: round, n_predict: 60, ignore_eos: true }]);
  }
  const answers = await Promise.all(jobs.map(([, body]) => server.post('/completion', body)));
  for (const [k, [i]] of jobs.entries()) {
    if (i >= 0) assert.deepEqual(answers[k].tokens, plain[i]);
  }
  assert.ok(new Set(answers.map((answer) => answer.id_slot)).size === 4, 'all slots took part');
});

test('point 11: after a cache hit, and with part of the prompt cached', async () => {
  for (const more of [{}, { speculative: { n_max: 3 } }]) {
    for (const [i, prompt] of PROMPTS.entries()) {
      await server.post('/completion', greedy(prompt, { n_predict: 3 }));
      const hit = await server.post('/completion', greedy(prompt, { return_tokens: true, ...more }));
      assert.equal(hit.timings.prompt_n, 1);
      assert.deepEqual(hit.tokens, plain[i]);
      // The conversation goes on: from its reply's state, and from nothing.
      const next = `${prompt}${hit.content}<|im_end|>\n${question('And now?')}`;
      const [fresh] = await said(server, [next], { cache_prompt: false, speculative: { n_max: 0 } });
      const [reused] = await said(server, [next], more);
      assert.deepEqual(reused, fresh);
    }
  }
});

test('point 11: with penalties, biases and a grammar', async () => {
  const settings = [
    { repeat_penalty: 1.3, presence_penalty: 0.8, frequency_penalty: 0.4 },
    { dry_multiplier: 0.9, dry_allowed_length: 2, repeat_last_n: -1 },
    { logit_bias: { ' the': -5, a: 2 } },
    { grammar: 'root ::= sentence+\nsentence ::= [A-Z] [a-z ,]+ [.?!] " "?' },
    { json_schema: { type: 'object', properties: { name: { type: 'string' }, n: { type: 'integer' } },
      required: ['name', 'n'] } },
    { grammar: 'root ::= ("yes, " | "no, ")+ "and that is all there is to say."', n_predict: 80 },
  ];
  for (const more of settings) {
    const want = await said(server, PROMPTS.slice(0, 4), { ...more, 'speculative.n_max': 0, cache_prompt: false });
    for (const nMax of [1, 3, 8]) {
      assert.deepEqual(await said(server, PROMPTS.slice(0, 4), { ...more, 'speculative.n_max': nMax }), want,
        JSON.stringify(more));
    }
  }
});

test('point 11: one slot or four, every type of cached keys and values, other batches', async () => {
  const some = PROMPTS.slice(0, 4);
  for (const type of ['f32', 'f16', 'bf16', 'q8_0', 'q4_0']) {
    const one = await start(['-c', '2048', '-np', '1', '-ctk', type, '-ctv', type, '-b', '16', ...DRAFTS]);
    const want = await said(one, some, { 'speculative.n_max': 0, cache_prompt: false });
    if (type === 'f16') assert.deepEqual(want, plain.slice(0, 4));
    assert.deepEqual(await drafted(one, some), want, type);
    await one.stop();
    const four = await start(['-c', '2048', '-np', '4', '-ctk', type, '-ctv', type, ...DRAFTS]);
    const answers = await Promise.all(some.map((prompt) =>
      four.post('/completion', greedy(prompt, { return_tokens: true }))));
    assert.deepEqual(answers.map((answer) => answer.tokens), want, type);
    await four.stop();
  }
});

test('points 11 and 15: after a slot restore in a new process, which reads nothing again', async () => {
  const folder = temporaryFolder();
  const begin = `${question(QUESTIONS[2])}${'Once upon a time there was a fox. '.repeat(20)}<|im_end|>\n`;
  const flags = ['-c', '4096', '-np', '2', '--slot-save-path', folder, ...DRAFTS];
  const first = await start(flags);
  const reply = await first.post('/completion', greedy(`${begin}${question('And then?')}`, { id_slot: 1 }));
  const saved = await first.post('/slots/1?action=save', { filename: 'fox.bin' });
  assert.deepEqual([saved.id_slot, saved.filename], [1, 'fox.bin']);
  assert.ok(saved.n_saved > reply.tokens_evaluated && saved.n_written > 0 && saved.timings.save_ms >= 0);
  const next = `${begin}${question('And then?')}${reply.content}<|im_end|>\n${question('Really?')}`;
  const again = `${begin}${question('And then?')}`;
  const want = await said(first, [next, again], { cache_prompt: false, 'speculative.n_max': 0 });
  await first.stop();

  const second = await start(flags);
  const restored = await second.post('/slots/0?action=restore', { filename: 'fox.bin' });
  assert.deepEqual([restored.id_slot, restored.n_restored, restored.n_read],
    [0, saved.n_saved, saved.n_written]);
  assert.ok(restored.n_reusable >= 0.99 * restored.n_restored);
  for (const [i, prompt] of [next, again].entries()) {
    const answer = await second.post('/completion', greedy(prompt, { return_tokens: true }));
    const known = i === 0 ? saved.n_saved : answer.tokens_evaluated;
    assert.ok(answer.timings.cache_n >= 0.99 * known - 1, `${answer.timings.cache_n} of ${known}`);
    assert.deepEqual(answer.tokens, want[i]);
    assert.ok(answer.timings.draft_n > 0, 'the head\'s state came along');
  }
  await second.stop();
});

// Points 12 and 13: what is drawn, and what is said of its probability.

const SAMPLED = { temperature: 0.6, top_k: 20, top_p: 0.95, min_p: 0.05 };

/** The law of the next token behind `prompt`, as the target has it. */
async function law(prompt, temperature) {
  const answer = await server.post('/completion', { prompt, ...SAMPLED, temperature, n_predict: 1, n_probs: 1000,
    post_sampling_probs: true, 'speculative.n_max': 0, ignore_eos: true });
  return new Map(answer.completion_probabilities[0].top_probs.map((one) => [one.id, one.prob]));
}

/** Upper tail of the chi-square law, by Wilson and Hilferty's cube root: a normal deviate. */
function deviate(statistic, freedom) {
  const spread = 2 / (9 * freedom);
  return (Math.cbrt(statistic / freedom) - (1 - spread)) / Math.sqrt(spread);
}

test('point 12: what is drawn behind drafts has the target\'s law', async () => {
  const many = await start(['-c', '4096', '-np', '4', '--spec-draft-fixed', '--spec-draft-n-max', '2']);
  const PER_PROMPT = LONG ? 2000 : 240;
  let worst = 0;
  for (const temperature of [0.6, 1.0]) {
    for (const [k, prompt] of (LONG ? PROMPTS : PROMPTS.slice(2, 4)).entries()) {
      const counts = new Map();  // second tokens behind the commonest first one: those may be drafts
      const first = await law(prompt, temperature);
      const [[commonest]] = [...first].sort((a, b) => b[1] - a[1]);
      const firsts = new Map();
      let drafted = 0;
      for (let n = 0; n < PER_PROMPT; n += 4) {
        const body = { prompt, ...SAMPLED, temperature, n_predict: 4, n: 4, return_tokens: true,
          ignore_eos: true, seed: 1000 * k + n };
        for (const { tokens, timings } of await many.post('/completion', body)) {
          drafted += timings.draft_n ?? 0;
          firsts.set(tokens[0], (firsts.get(tokens[0]) ?? 0) + 1);
          if (tokens[0] === commonest) counts.set(tokens[1], (counts.get(tokens[1]) ?? 0) + 1);
        }
      }
      assert.ok(drafted > PER_PROMPT / 2, `only ${drafted} tokens were drafted`);
      const head = await server.post('/tokenize', { content: prompt });
      const second = await law([...head.tokens, commonest], temperature);
      for (const [seen, wanted] of [[firsts, first], [counts, second]]) {
        const total = [...seen.values()].reduce((a, b) => a + b, 0);
        for (const id of seen.keys()) assert.ok(wanted.has(id), `token ${id} has no probability`);
        let statistic = 0;
        let freedom = -1;
        let rest = [0, 0];
        for (const [id, probability] of wanted) {
          const expected = probability * total;
          if (expected < 5) {
            rest = [rest[0] + expected, rest[1] + (seen.get(id) ?? 0)];
            continue;
          }
          statistic += ((seen.get(id) ?? 0) - expected) ** 2 / expected;
          ++freedom;
        }
        if (rest[0] >= 1) {
          statistic += (rest[1] - rest[0]) ** 2 / rest[0];
          ++freedom;
        }
        if (freedom > 0) worst = Math.max(worst, deviate(statistic, freedom));
      }
    }
  }
  await many.stop();
  console.log(`# the worst of them is ${worst.toFixed(2)} deviations away`);
  // Seeds are fixed, so this is no dice: 4.4 deviations are one in a hundred thousand.
  assert.ok(worst > 0 && worst < 4.4, `${worst} deviations`);
});

test('point 12: a seed gives the same text drafted or not', async () => {
  for (let seed = 0; seed < 12; ++seed) {
    const texts = [];
    for (const nMax of [0, 2, 8]) {
      texts.push((await server.post('/completion', { prompt: PROMPTS[seed % 8], ...SAMPLED, temperature: 1, seed,
        n_predict: 40, 'speculative.n_max': nMax })).content);
    }
    assert.deepEqual([texts[1], texts[2]], [texts[0], texts[0]]);
  }
});

test('point 12: rarer samplers draw the same drafted or not; those that adapt are not drafted for', async () => {
  for (const more of [{ xtc_probability: 0.5, xtc_threshold: 0.1 }, { dynatemp_range: 0.5 }, { typical_p: 0.7 },
    { top_n_sigma: 1 }, { samplers: ['temperature', 'top_p'] }, { mirostat: 2 }, { adaptive_target: 0.5 }]) {
    const body = { prompt: PROMPTS[2], temperature: 1, seed: 9, n_predict: 40, cache_prompt: false, ...more };
    const [plain, drafted] = await Promise.all([0, 4].map((nMax) =>
      server.post('/completion', { ...body, 'speculative.n_max': nMax })));
    assert.equal(drafted.content, plain.content, JSON.stringify(more));
    const adapts = 'mirostat' in more || 'adaptive_target' in more;
    assert.equal('draft_n' in drafted.timings, !adapts, JSON.stringify(more));
    if (adapts) assert.match(drafted.timings.draft_parked, /adapt/);
  }
});

test('point 13: log-probabilities are the same drafted or not', async () => {
  for (const prompt of PROMPTS.slice(0, 5)) {
    for (const more of [{}, { temperature: 1, seed: 3 }]) {
      const [want, got] = await Promise.all([0, 4].map((nMax) => server.post('/completion',
        greedy(prompt, { n_probs: 8, ...more, 'speculative.n_max': nMax }))));
      assert.ok((got.timings.draft_n_accepted ?? 0) > 0 || more.seed, 'some drafts were accepted');
      assert.equal(got.completion_probabilities.length, want.completion_probabilities.length);
      for (const [i, one] of got.completion_probabilities.entries()) {
        const other = want.completion_probabilities[i];
        assert.equal(one.id, other.id);
        assert.ok(Math.abs(one.logprob - other.logprob) < 1e-3);
        for (const [k, top] of one.top_logprobs.entries()) {
          assert.ok(Math.abs(top.logprob - other.top_logprobs[k].logprob) < 1e-3);
        }
      }
    }
  }
});
