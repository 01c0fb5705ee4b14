// Points 6 to 8, and the fields that every endpoint shares: what a completion says about itself,
// streams and whole answers, stop strings, biases, probabilities, prompts of every form.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { QUESTIONS, greedy, question, start } from './harness.mjs';

let server;
const PROMPT = question(QUESTIONS[2]);
before(async () => { server = await start(['-c', '2048', '-np', '4', '-b', '32', '-n', '200']); });
after(() => server.stop());

const joined = ({ records }) => records.map((record) => record.content).join('');

test('a native answer has all its members', async () => {
  const answer = await server.post('/completion', greedy(PROMPT, { n_predict: 8, ignore_eos: true }));
  for (const key of ['index', 'content', 'tokens', 'id_slot', 'stop', 'model', 'tokens_predicted',
    'tokens_evaluated', 'generation_settings', 'prompt', 'has_new_line', 'truncated', 'stop_type',
    'stopping_word', 'tokens_cached', 'timings']) assert.ok(key in answer, key);
  assert.equal(answer.index, 0);
  assert.equal(answer.stop, true);
  assert.equal(answer.stop_type, 'limit');
  assert.equal(answer.truncated, false);
  assert.equal(answer.tokens_predicted, 8);
  assert.equal(answer.prompt, PROMPT);
  assert.deepEqual(answer.tokens, []);
  assert.equal(answer.timings.predicted_n, 8);
  assert.equal(answer.timings.cache_n + answer.timings.prompt_n, answer.tokens_evaluated);
  for (const [key, value] of Object.entries(answer.timings)) {
    if (typeof value === 'number') assert.ok(Number.isFinite(value) && value >= 0, key);
  }
  assert.ok(!('completion_probabilities' in answer));
});

test('rates leave the first token out', async () => {
  const one = await server.post('/completion', greedy(PROMPT, { n_predict: 1 }));
  assert.equal(one.timings.predicted_n, 1);
  assert.equal(one.timings.predicted_per_second, 0);
  assert.equal(one.timings.predicted_per_token_ms, 0);
  const { timings } = await server.post('/completion',
    greedy(PROMPT, { n_predict: 16, ignore_eos: true }));
  assert.ok(Math.abs(timings.predicted_per_second - 1e3 / timings.predicted_ms * 15) < 1e-6);
});

test('n_predict: 0 reads the prompt, for the next one', async () => {
  const prompt = question('Nobody asked this before.');
  const warm = await server.post('/completion', { prompt, n_predict: 0 });
  assert.equal(warm.content, '');
  assert.equal(warm.timings.predicted_n, 0);
  const next = await server.post('/completion', greedy(prompt));
  assert.equal(next.timings.prompt_n, 1);
});

test('the server\'s own limit holds whatever a request says', async () => {
  const answer = await server.post('/completion', greedy('a', { n_predict: 1000, ignore_eos: true }));
  assert.equal(answer.tokens_predicted, 200);
  const none = await server.post('/completion', greedy('a', { n_predict: -1, ignore_eos: true }));
  assert.equal(none.tokens_predicted, 200);
});

test('a stream says what the whole answer says', async () => {
  for (const more of [{}, { return_tokens: true }, { stop: ['fox'] }, { temperature: 1, seed: 5 }]) {
    const body = greedy(PROMPT, more);
    const whole = await server.post('/completion', body);
    const stream = await server.stream('/completion', body);
    const last = stream.records.at(-1);
    assert.equal(joined(stream), whole.content);
    assert.equal(stream.done, false, 'the native stream has no [DONE]');
    assert.equal(last.content, '');
    for (const key of ['stop_type', 'stopping_word', 'tokens_predicted', 'tokens_evaluated',
      'has_new_line', 'truncated']) assert.deepEqual(last[key], whole[key], key);
    const pieces = stream.records.slice(0, -1);
    for (const record of pieces) {
      assert.equal(record.stop, false);
      assert.ok(record.tokens.length > 0);
      for (const key of ['index', 'id_slot', 'tokens_predicted', 'tokens_evaluated']) {
        assert.ok(key in record, key);
      }
    }
    if (more.return_tokens) {
      assert.deepEqual(pieces.flatMap((record) => record.tokens), whole.tokens);
      const { content } = await server.post('/detokenize', { tokens: whole.tokens });
      assert.equal(content, whole.content);
    }
  }
});

test('one record per token, drafted or not', async () => {
  for (const nMax of [0, 4]) {
    const stream = await server.stream('/completion',
      greedy(question('Count from 3 to 20.'), { 'speculative.n_max': nMax, n_predict: 24 }));
    const counts = stream.records.map((record) => record.tokens_predicted);
    assert.deepEqual(counts.slice(0, -1), counts.slice(0, -1).map((_, i) => i + 1));
  }
});

test('point 6: a prompt that does not fit is an error with both numbers', async () => {
  const long = 'the quick brown fox '.repeat(400);
  const { tokens } = await server.post('/tokenize', { content: long });
  for (const stream of [false, true]) {
    for (const [target, body] of [['/completion', { prompt: long }], ['/v1/completions', { prompt: long }],
      ['/v1/chat/completions', { messages: [{ role: 'user', content: long }] }],
      ['/v1/responses', { input: long }],
      ['/v1/messages', { max_tokens: 9, messages: [{ role: 'user', content: long }] }]]) {
      const error = await server.refused(400, target, { ...body, stream });
      assert.equal(error.type, 'exceed_context_size_error', target);
      assert.equal(error.n_ctx, 512);
      assert.ok(error.n_prompt_tokens >= tokens.length);
      assert.equal(error.message, `request (${error.n_prompt_tokens} tokens) exceeds the available `
        + 'context size (512 tokens), try increasing it');
    }
  }
});

test('the context\'s end is a length, and says truncated', async () => {
  const small = await start(['-c', '256', '-np', '2']);
  const answer = await small.post('/completion', greedy('Once', { n_predict: -1, ignore_eos: true }));
  assert.equal(answer.truncated, true);
  assert.equal(answer.stop_type, 'limit');
  assert.equal(answer.tokens_evaluated + answer.tokens_predicted, 128);
  const chat = await small.post('/v1/chat/completions',
    { messages: [{ role: 'user', content: 'Once' }], ignore_eos: true, temperature: 0 });
  assert.equal(chat.choices[0].finish_reason, 'length');
  await small.stop();
});

test('point 7: progress rises from the cached to the total', async () => {
  const prompt = question('a b c d e f g h '.repeat(30));
  for (const again of [false, true]) {
    const { records } = await server.stream('/completion',
      { prompt, n_predict: 3, return_progress: true, timings_per_token: true });
    const all = records.filter((record) => record.prompt_progress);
    const progress = all.map((record) => record.prompt_progress);
    assert.ok(progress.length > 1);
    const { total, cache } = progress[0];
    assert.equal(progress[0].processed, cache);
    assert.equal(cache > 0, again);
    assert.equal(progress.at(-1).processed, total);
    if (!again) assert.ok(progress.length > 2, 'the prompt takes several batches');
    for (const [i, one] of progress.entries()) {
      assert.deepEqual([one.total, one.cache], [total, cache]);
      assert.ok(one.time_ms >= 0);
      if (i > 0) {
        assert.ok(one.processed > progress[i - 1].processed);
        assert.ok(one.time_ms >= progress[i - 1].time_ms);
      }
    }
    assert.equal(all[0].timings.prompt_n, 0);
    assert.equal(all[0].timings.predicted_n, 0);
    for (const record of records) assert.ok(record.timings, 'timings on every record');
    assert.equal(records.at(-1).timings.prompt_n, total - cache);
  }
});

test('point 7: response_fields keep what is named, and lift what a slash names', async () => {
  const answer = await server.post('/completion', { prompt: 'I believe', n_predict: 8, ignore_eos: true,
    response_fields: ['content', 'generation_settings/n_predict', 'prompt', 'no/such', 'nothing'] });
  assert.deepEqual(Object.keys(answer).sort(), ['content', 'generation_settings/n_predict', 'prompt']);
  assert.equal(answer['generation_settings/n_predict'], 8);
  assert.equal(answer.prompt, 'I believe');
});

test('point 8: a stop string is found wherever tokens end, and nothing of it is sent', async () => {
  const whole = (await server.post('/completion', greedy(PROMPT))).content;
  assert.ok(whole.length > 20);
  for (let begin = 0; begin + 5 < whole.length && begin < 40; begin += 3) {
    const stop = whole.slice(begin, begin + 5);
    const first = whole.indexOf(stop);
    for (const nMax of [0, 4]) {
      const body = greedy(PROMPT, { stop: ['never this', stop], 'speculative.n_max': nMax });
      const answer = await server.post('/completion', body);
      assert.equal(answer.content, whole.slice(0, first));
      assert.equal(answer.stop_type, 'word');
      assert.equal(answer.stopping_word, stop);
      assert.equal(joined(await server.stream('/completion', body)), whole.slice(0, first));
    }
  }
  const single = await server.post('/completion', greedy(PROMPT, { stop: whole.slice(4, 7) }));
  assert.equal(single.content, whole.slice(0, whole.indexOf(whole.slice(4, 7))));
});

test('point 8: characters of several tokens come whole', async () => {
  const text = 'aé€😀漢字z';
  // A grammar of one sentence makes the model spell it, in whatever tokens it likes.
  const body = { prompt: 'x', grammar: `root ::= "${text}"`, temperature: 0, n_predict: 60, n_probs: 1 };
  for (const nMax of [0, 4]) {
    const whole = await server.post('/completion', { ...body, 'speculative.n_max': nMax });
    assert.equal(whole.content, text);
    assert.ok(whole.tokens_predicted > [...text].length, 'some character took several tokens');
    const stream = await server.stream('/completion', { ...body, 'speculative.n_max': nMax });
    assert.equal(joined(stream), text);
    for (const record of stream.records) assert.doesNotMatch(record.content, /\ufffd/);
    const bytes = whole.completion_probabilities.flatMap((one) => one.bytes);
    assert.equal(Buffer.from(bytes).toString(), text);
  }
  // Cut in the middle of a character: what is whole is said, and that there was more.
  for (const n of [1, 2, 3, 4, 5, 6, 7]) {
    const cut = await server.post('/completion', { ...body, n_predict: n });
    assert.ok(text.startsWith(cut.content.replace(/\ufffd$/, '')), cut.content);
    assert.equal(joined(await server.stream('/completion', { ...body, n_predict: n })), cut.content);
  }
});

test('point 8: a bias bans by id and by text', async () => {
  const plain = await server.post('/completion', greedy(PROMPT, { n_predict: 1, return_tokens: true }));
  const [id] = plain.tokens;
  for (const bias of [{ [id]: false }, [[id, false]], { [id]: -100 }, { [plain.content]: false },
    [[plain.content, false]], [[plain.content, -1000]]]) {
    for (const nMax of [0, 4]) {
      const answer = await server.post('/completion', greedy(PROMPT,
        { logit_bias: bias, n_predict: 20, return_tokens: true, 'speculative.n_max': nMax }));
      assert.ok(!answer.tokens.includes(id), JSON.stringify(bias));
    }
  }
  const forced = await server.post('/completion',
    greedy(PROMPT, { logit_bias: [[id + 1, 100]], n_predict: 4, return_tokens: true }));
  assert.deepEqual(forced.tokens, [id + 1, id + 1, id + 1, id + 1]);
});

test('point 8: ignore_eos goes on, and shows as bans', async () => {
  const body = greedy(question('Who are you?'), { n_predict: 150, return_tokens: true });
  const ended = await server.post('/completion', body);
  assert.equal(ended.stop_type, 'eos');
  assert.deepEqual(ended.generation_settings.logit_bias, []);
  const on = await server.post('/completion', { ...body, ignore_eos: true });
  assert.equal(on.stop_type, 'limit');
  assert.equal(on.tokens_predicted, 150);
  assert.ok(on.content.startsWith(ended.content));
  assert.ok(on.generation_settings.logit_bias.length > 0);
  for (const { bias } of on.generation_settings.logit_bias) assert.equal(bias, null);
});

test('probabilities: shapes, order, and before or after the chain', async () => {
  const body = { prompt: PROMPT, n_probs: 10, temperature: 0, n_predict: 5, ignore_eos: true };
  const items = (await server.post('/completion', body)).completion_probabilities;
  assert.equal(items.length, 5);
  for (const item of items) {
    assert.deepEqual(Object.keys(item), ['id', 'token', 'bytes', 'logprob', 'top_logprobs']);
    assert.equal(item.top_logprobs.length, 10);
    assert.ok(item.logprob <= 0);
    assert.equal(Buffer.from(item.bytes).toString(), item.token);
    const values = item.top_logprobs.map((one) => one.logprob);
    assert.deepEqual(values, [...values].sort((a, b) => b - a));
    assert.equal(item.top_logprobs[0].id, item.id, 'greedy takes the first');
    assert.ok(values.reduce((sum, value) => sum + Math.exp(value), 0) <= 1.0001);
  }
  const stream = await server.stream('/completion', body);
  const streamed = stream.records.slice(0, -1).map((record) => {
    assert.equal(record.completion_probabilities.length, 1);
    return record.completion_probabilities[0];
  });
  assert.deepEqual(streamed, items);
  const sampled = (await server.post('/completion',
    { ...body, temperature: 1, post_sampling_probs: true })).completion_probabilities;
  for (const item of sampled) {
    assert.deepEqual(Object.keys(item), ['id', 'token', 'bytes', 'prob', 'top_probs']);
    assert.ok(item.prob > 0 && item.prob <= 1);
    for (const one of item.top_probs) assert.ok(one.prob > 0 && one.prob <= 1);
  }
  const certain = (await server.post('/completion',
    { ...body, post_sampling_probs: true })).completion_probabilities;
  for (const item of certain) assert.equal(item.prob, 1);
});

test('prompts: ids, several, mixed, objects', async () => {
  const { tokens } = await server.post('/tokenize', { content: PROMPT });
  const { content } = await server.post('/completion', greedy(PROMPT));
  const said = async (prompt) => {
    const answer = await server.post('/completion', greedy(prompt));
    return Array.isArray(answer) ? answer.map((one) => one.content) : answer.content;
  };
  assert.equal(await said(tokens), content);
  assert.deepEqual(await said([PROMPT]), content);
  assert.deepEqual(await said([tokens, PROMPT, { prompt_string: PROMPT }]), [content, content, content]);
  assert.equal(await said({ prompt_string: PROMPT }), content);
  assert.equal(await said([tokens[0], tokens[1], (await server.post('/detokenize',
    { tokens: tokens.slice(2) })).content]), content);
  for (const prompt of [undefined, null, 7, [], [[]], [-1], [2048], [1.5], [['a', 1e99]], {}, true,
    { prompt_string: 'x', multimodal_data: ['iVBORw0KGgo='] }]) {
    const error = await server.refused(400, '/completion', { prompt });
    assert.equal(error.type, 'invalid_request_error', JSON.stringify(prompt));
  }
});

test('n gives choices with seeds of their own, and reads the prompt once', async () => {
  const body = { prompt: PROMPT, n_predict: 12, temperature: 1, seed: 3, ignore_eos: true };
  const many = await server.post('/v1/completions', { ...body, n: 4 });
  assert.deepEqual(many.choices.map((choice) => choice.index), [0, 1, 2, 3]);
  for (const [i, choice] of many.choices.entries()) {
    const alone = await server.post('/v1/completions', { ...body, seed: 3 + i });
    assert.equal(choice.text, alone.choices[0].text);
  }
  const error = await server.refused(400, '/v1/completions', { ...body, n: 5 });
  assert.equal(error.type, 'invalid_request_error');
});

test('a seed repeats, another one differs', async () => {
  const texts = [];
  for (const seed of [42, 42, 43, 44, 45]) {
    texts.push((await server.post('/completion',
      { prompt: 'I believe', seed, temperature: 1.5, top_k: 0, top_p: 1, min_p: 0 })).content);
  }
  assert.equal(texts[0], texts[1]);
  assert.ok(new Set(texts).size >= 4);
});

test('OpenAI completions: shapes, [DONE], and what is refused', async () => {
  const body = { prompt: PROMPT, max_tokens: 6, temperature: 0, logprobs: 3, ignore_eos: true };
  const answer = await server.post('/v1/completions', body);
  assert.equal(answer.object, 'text_completion');
  assert.match(answer.system_fingerprint, /^b/);
  const [choice] = answer.choices;
  assert.equal(choice.finish_reason, 'length');
  assert.equal(choice.logprobs.content.length, 6);
  assert.equal(choice.logprobs.tokens.join(''), choice.text);
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + 6);
  assert.ok(answer.timings);
  const stream = await server.stream('/v1/completions', body);
  assert.equal(stream.done, true);
  assert.equal(stream.records.map((record) => record.choices[0]?.text ?? '').join(''), choice.text);
  const last = stream.records.at(-1);
  assert.equal(last.usage.completion_tokens, 6);
  assert.ok(last.timings);
  for (const more of [{ echo: true }, { best_of: 2 }, { suffix: 'x' }]) {
    await server.refused(400, '/v1/completions', { ...body, ...more });
  }
  const several = await server.post('/v1/completions', { ...body, prompt: [PROMPT, 'x'] });
  assert.deepEqual(several.choices.map((one) => one.index), [0, 1]);
});

test('fields: null is absent, wrong scalars are too, wrong values are named', async () => {
  const plain = (await server.post('/completion', greedy(PROMPT))).content;
  assert.equal((await server.post('/completion', greedy(PROMPT,
    { stop: null, seed: null, grammar: null, logit_bias: null, n_probs: null, top_k: 'many',
      cache_prompt: null, unknown: { x: [1] }, lora: [], n_keep: 5, mirostat: 0 }))).content, plain);
  for (const [field, value] of [['n_predict', -7], ['grammar', 'root ::= ('], ['json_schema', 5],
    ['n_probs', -1], ['id_slot', 99], ['lora', [{ id: 0, scale: 1 }]],
    ['repeat_last_n', -5], ['dry_penalty_last_n', -9], ['n', 0]]) {
    const error = await server.refused(400, '/completion', greedy(PROMPT, { [field]: value }));
    assert.equal(error.type, 'invalid_request_error', field);
  }
  await server.refused(400, '/completion', greedy('x', { grammar: 'root ::= "a"', json_schema: {} }));
});

test('tokens and text turn into each other, templates render', async () => {
  const content = 'What is the capital of France? 媽 🤗';
  const { tokens } = await server.post('/tokenize', { content });
  assert.ok(tokens.every(Number.isInteger));
  assert.deepEqual(await server.post('/detokenize', { tokens }), { content });
  const pieces = (await server.post('/tokenize', { content, with_pieces: true })).tokens;
  assert.deepEqual(pieces.map((one) => one.id), tokens);
  const bytes = pieces.map(({ piece }) => (Array.isArray(piece) ? Buffer.from(piece) : Buffer.from(piece)));
  assert.equal(Buffer.concat(bytes).toString(), content);
  assert.ok(pieces.some(({ piece }) => Array.isArray(piece)), 'parts of characters are bytes');
  const control = '<|im_start|>';
  assert.equal((await server.post('/tokenize', { content: control })).tokens.length, 1);
  assert.ok((await server.post('/tokenize', { content: control, parse_special: false })).tokens.length > 1);
  const { prompt } = await server.post('/apply-template',
    { messages: [{ role: 'user', content: 'Hi' }], chat_template_kwargs: { enable_thinking: false } });
  assert.equal(prompt, question('Hi'));
  await server.refused(400, '/detokenize', { tokens: [99999] });
  await server.refused(400, '/detokenize', { tokens: 'x' });
});

test('infill answers as a completion', async () => {
  const answer = await server.post('/infill', { input_prefix: 'int add(int a, int b) {\n  return ',
    input_suffix: ';\n}\n', input_extra: [{ filename: 'a.h', text: 'int add(int, int);\n' }],
    prompt: 'a', n_predict: 8, temperature: 0 });
  assert.equal(answer.stop, true);
  assert.match(answer.prompt, /<\|fim_prefix\|>/);
});
