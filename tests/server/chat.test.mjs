// Points 2 to 4 and 16 on the wire: chats in OpenAI's, OpenAI's newer and Anthropic's layout. Their
// own clients are tested in tests/clients; here every record is looked at.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { start } from './harness.mjs';

let server;
before(async () => {
  server = await start(['-c', '4096', '-np', '2', '--alias', 'tiny', '--spec-draft-fixed',
    '--spec-draft-n-max', '3']);
});
after(() => server.stop());

const CALCULATOR = {
  type: 'function',
  function: {
    name: 'calculator', description: 'Evaluates an arithmetic expression.',
    parameters: { type: 'object', properties: { expression: { type: 'string' } },
      required: ['expression'] },
  },
};
const user = (content, more = {}) =>
  ({ messages: [{ role: 'user', content }], temperature: 0, max_tokens: 200, ...more });
const CHAT = '/v1/chat/completions';

/** What the deltas of one choice come to, held to the order that clients rely on. */
function assembled({ records, done }, index = 0) {
  assert.equal(done, true, 'ends with [DONE]');
  const out = { content: '', reasoning: '', calls: [], finish: null };
  let first = true;
  const ids = new Set();
  for (const record of records) {
    assert.equal(record.object, 'chat.completion.chunk');
    for (const key of ['created', 'model', 'system_fingerprint']) assert.ok(key in record, key);
    assert.match(record.system_fingerprint, /^b\d+-ft/);
    ids.add(record.id);
    const choice = record.choices.find((one) => one.index === index);
    if (!choice) continue;
    if (first) {
      assert.deepEqual(choice.delta, { role: 'assistant', content: null });
      first = false;
      continue;
    }
    assert.equal(out.finish, null, 'nothing after the reason');
    if (choice.finish_reason !== null) {
      assert.deepEqual(choice.delta, {});
      out.finish = choice.finish_reason;
      continue;
    }
    assert.equal(Object.keys(choice.delta).length, 1);
    out.content += choice.delta.content ?? '';
    out.reasoning += choice.delta.reasoning_content ?? '';
    for (const call of choice.delta.tool_calls ?? []) {
      if (call.id) {
        assert.equal(call.index, out.calls.length);
        assert.deepEqual([call.type, typeof call.function.name], ['function', 'string']);
        out.calls.push({ id: call.id, name: call.function.name, arguments: call.function.arguments ?? '' });
      } else {
        assert.deepEqual(Object.keys(call), ['index', 'function']);
        assert.deepEqual(Object.keys(call.function), ['arguments']);
        out.calls[call.index].arguments += call.function.arguments;
      }
    }
  }
  assert.equal(ids.size, 1);
  return out;
}

function assertSame(stream, message, finish) {
  assert.equal(stream.content, message.content ?? '');
  assert.equal(stream.reasoning, message.reasoning_content ?? '');
  assert.deepEqual(stream.calls.map(({ name, arguments: text }) => [name, text]),
    (message.tool_calls ?? []).map((call) => [call.function.name, call.function.arguments]));
  assert.equal(stream.finish, finish);
}

test('point 2: a chat has its members, and its stream says the same', async () => {
  for (const body of [user('Who are you?'),
    user('Who are you?', { chat_template_kwargs: { enable_thinking: false } }),
    user('Who are you?', { max_tokens: 5 }), user('Who are you?', { reasoning_format: 'none' })]) {
    const answer = await server.post(CHAT, body);
    assert.equal(answer.object, 'chat.completion');
    assert.match(answer.id, /^chatcmpl-[A-Za-z0-9]{32}$/);
    assert.equal(answer.model, 'tiny');
    assert.equal(answer.choices.length, 1);
    const { usage, timings } = answer;
    assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    assert.equal(usage.prompt_tokens, timings.cache_n + timings.prompt_n);
    assert.equal(usage.completion_tokens, timings.predicted_n);
    assert.equal(usage.completion_tokens_details.accepted_prediction_tokens, timings.draft_n_accepted ?? 0);
    const stream = await server.stream(CHAT, { ...body, stream_options: { include_usage: true } });
    assertSame(assembled(stream), answer.choices[0].message, answer.choices[0].finish_reason);
    const last = stream.records.at(-1);
    assert.deepEqual(last.choices, []);
    assert.equal(last.usage.completion_tokens, usage.completion_tokens);
    assert.ok(last.timings);
    assert.equal(stream.records.filter((record) => record.timings).length, 1);
    const plain = await server.stream(CHAT, body);
    assert.ok(plain.records.at(-1).timings && !('usage' in plain.records.at(-1)));
  }
});

test('point 2: log-probabilities join to the text, 20 when nobody says', async () => {
  const body = user('Who are you?', { logprobs: true, chat_template_kwargs: { enable_thinking: false } });
  const [choice] = (await server.post(CHAT, body)).choices;
  const tokens = choice.logprobs.content;
  assert.ok(tokens.map((one) => one.token).join('').startsWith(choice.message.content));
  for (const one of tokens) {
    assert.equal(one.top_logprobs.length, 20);
    assert.ok(one.logprob <= 0 && Number.isFinite(one.logprob));
  }
  const stream = await server.stream(CHAT, { ...body, top_logprobs: 3 });
  const streamed = stream.records.flatMap((record) => record.choices[0]?.logprobs?.content ?? []);
  assert.ok(streamed.map((one) => one.token).join('').startsWith(choice.message.content));
  for (const [i, one] of streamed.entries()) {
    assert.equal(one.id, tokens[i].id);
    assert.equal(one.top_logprobs.length, 3);
  }
  await server.refused(400, CHAT, { ...body, tools: [CALCULATOR], stream: true });
});

test('point 2: a required tool is called, by name too, in whole and streamed', async () => {
  const other = structuredClone(CALCULATOR);
  other.function.name = 'look_up';
  for (const [choice, name] of [['required', null],
    [{ type: 'function', function: { name: 'look_up' } }, 'look_up']]) {
    const body = user('What is 12 + 30?', { tools: [CALCULATOR, other], tool_choice: choice });
    const answer = await server.post(CHAT, body);
    const [{ message, finish_reason: finish }] = answer.choices;
    assert.equal(finish, 'tool_calls');
    assert.equal(message.content, '');
    assert.equal(typeof JSON.parse(message.tool_calls[0].function.arguments).expression, 'string');
    if (name) assert.equal(message.tool_calls[0].function.name, name);
    assertSame(assembled(await server.stream(CHAT, body)), message, finish);
    const again = await server.post(CHAT, { ...body, messages: [...body.messages, message,
      { role: 'tool', tool_call_id: message.tool_calls[0].id, content: '42' }], tool_choice: 'none' });
    assert.equal(again.choices[0].message.tool_calls, undefined);
  }
  const none = await server.post(CHAT, user('What is 12 + 30?', { tools: [CALCULATOR], tool_choice: 'none' }));
  assert.equal(none.choices[0].message.tool_calls, undefined);
});

test('point 2: answers keep to a JSON schema, drafted or not', async () => {
  const schema = { type: 'object', additionalProperties: false, required: ['name', 'age', 'tags'],
    properties: { name: { type: 'string', maxLength: 12 }, age: { type: 'integer', minimum: 3, maximum: 99 },
      tags: { type: 'array', items: { enum: ['red', 'blue'] }, minItems: 1, maxItems: 3 } } };
  let first;
  for (const nMax of [0, 3, 8]) {
    const answer = await server.post(CHAT, user('Describe a fox.', { max_tokens: 400,
      'speculative.n_max': nMax, response_format: { type: 'json_schema', json_schema: { schema } } }));
    const value = JSON.parse(answer.choices[0].message.content);
    assert.deepEqual(Object.keys(value).sort(), ['age', 'name', 'tags']);
    assert.ok(Number.isInteger(value.age) && value.age >= 3 && value.age <= 99);
    assert.ok(value.tags.length >= 1 && value.tags.every((tag) => ['red', 'blue'].includes(tag)));
    first ??= answer.choices[0].message;
    assert.deepEqual(answer.choices[0].message, first);
  }
  const error = await server.refused(400, CHAT, user('x', { response_format: { type: 'xml' } }));
  assert.equal(error.type, 'invalid_request_error');
});

test('point 2: n: 2, and a seed that repeats', async () => {
  const body = user('Name a colour.', { temperature: 1.2, seed: 11, n: 2 });
  const answer = await server.post(CHAT, body);
  assert.deepEqual(answer.choices.map((one) => one.index), [0, 1]);
  const again = await server.post(CHAT, body);
  assert.deepEqual(again.choices.map((one) => one.message), answer.choices.map((one) => one.message));
  const stream = await server.stream(CHAT, body);
  for (const { index, message, finish_reason: finish } of answer.choices) {
    assertSame(assembled(stream, index), message, finish);
  }
  await server.refused(400, CHAT, { ...body, n: 3 });
});

test('the layout of messages is checked; what clients add is overlooked', async () => {
  for (const messages of [undefined, 'x', [], [{ role: 'user' }], [{ role: 'user', content: 7 }],
    [{ content: 'x' }], [{ role: 'user', content: [{ type: 'unknown' }] }],
    [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,iVBO' } }] }]]) {
    const error = await server.refused(400, CHAT, { messages });
    assert.equal(error.type, 'invalid_request_error', JSON.stringify(messages));
  }
  const image = await server.refused(400, CHAT, { messages: [{ role: 'user', content: [
    { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBO' } }] }] });
  assert.match(image.message, /^image input is not supported - hint:/);
  await server.refused(400, CHAT, user('x', { grammar: 'root ::= "a"', tools: [CALCULATOR] }));
  await server.refused(400, CHAT, user('x', { chat_template_kwargs: { enable_thinking: 'yes' } }));
  await server.post(CHAT, { ...user('Hi', { max_tokens: 2 }), model: 'gpt-9', user: 'u', metadata: { a: 1 },
    store: true, service_tier: 'auto', prediction: null, whatever: [] });
  // A system message in the middle, which the family's own template refuses.
  const middle = await server.post('/apply-template', { messages: [
    { role: 'user', content: 'A' }, { role: 'assistant', content: 'B' },
    { role: 'system', content: 'C' }, { role: 'developer', content: 'D' }, { role: 'user', content: 'E' }] });
  assert.match(middle.prompt, /<\|im_start\|>system\nC<\|im_end\|>/);
  const counted = await server.post(`${CHAT}/input_tokens`, user('Hi'));
  assert.equal(counted.object, 'response.input_tokens');
  const answer = await server.post(CHAT, user('Hi', { max_tokens: 1 }));
  assert.equal(counted.input_tokens, answer.usage.prompt_tokens);
});

test('thinking can be capped, and ended from outside', async () => {
  const capped = await server.post(CHAT, user('Tell me a short story about a fox.',
    { thinking_budget_tokens: 4, reasoning_budget_message: ' Enough.' }));
  assert.match(capped.choices[0].message.reasoning_content, /Enough\.\s*$/);
  assert.ok(capped.choices[0].message.content.length > 0);
  const unknown = await server.ask('POST', `${CHAT}/control`, { id: 'chatcmpl-none', action: 'reasoning_end' });
  assert.equal(unknown.status, 200);
  assert.equal(unknown.json.success, false);
});

test('point 16: random text with tools is never an error and never lost', async () => {
  // Hot enough that the model writes nonsense around, before and inside its calls.
  for (let seed = 0; seed < 24; ++seed) {
    const body = user('What is 12 + 30? Use the calculator.', { tools: [CALCULATOR], seed,
      temperature: 1 + (seed % 6) * 0.6, top_k: 0, top_p: 1, min_p: 0, max_tokens: 40 + seed * 7,
      tool_choice: seed % 4 === 3 ? 'required' : 'auto' });
    const answer = await server.post(CHAT, body);
    const [{ message, finish_reason: finish }] = answer.choices;
    for (const call of message.tool_calls ?? []) JSON.parse(call.function.arguments);
    assert.equal(finish === 'tool_calls', (message.tool_calls ?? []).length > 0 && finish !== 'length');
    const stream = assembled(await server.stream(CHAT, body));
    assert.equal(stream.content, message.content ?? '');
    assert.equal(stream.reasoning, message.reasoning_content ?? '');
    assert.equal(stream.finish, finish);
  }
});

test('point 3: Anthropic messages, their events, tools, stops and errors', async () => {
  const body = { model: 'x', max_tokens: 300, temperature: 0, messages: [{ role: 'user', content: 'Who are you?' }],
    thinking: { type: 'enabled', budget_tokens: 1024 } };
  const whole = await server.post('/v1/messages', body);
  assert.match(whole.id, /^msg_/);
  assert.deepEqual([whole.type, whole.role, whole.model, whole.stop_reason, whole.stop_sequence],
    ['message', 'assistant', 'tiny', 'end_turn', null]);
  assert.deepEqual(whole.content.map((block) => block.type), ['thinking', 'text']);
  assert.equal(whole.usage.cache_creation_input_tokens, 0);
  const counted = await server.post('/v1/messages/count_tokens', body);
  assert.equal(counted.input_tokens, whole.usage.input_tokens + whole.usage.cache_read_input_tokens);

  const { records, names, done } = await server.stream('/v1/messages', body);
  assert.equal(done, false);
  assert.deepEqual(names, records.map((record) => record.type));
  const order = names.filter((name, i) => name !== 'ping' && name !== names[i - 1]);
  const block = ['content_block_start', 'content_block_delta', 'content_block_stop'];
  assert.deepEqual(order, ['message_start', ...block, ...block, 'message_delta', 'message_stop']);
  const deltas = records.filter((record) => record.type === 'content_block_delta');
  const text = (type, key) => deltas.filter((one) => one.delta.type === type).map((one) => one.delta[key]).join('');
  assert.equal(text('thinking_delta', 'thinking'), whole.content[0].thinking);
  assert.equal(text('text_delta', 'text'), whole.content[1].text);
  assert.equal(text('signature_delta', 'signature'), '');

  const stopped = await server.post('/v1/messages', { ...body, stop_sequences: ['Paw'], thinking: { type: 'disabled' } });
  assert.deepEqual([stopped.stop_reason, stopped.stop_sequence], ['stop_sequence', 'Paw']);
  const cut = await server.post('/v1/messages', { ...body, max_tokens: 2 });
  assert.equal(cut.stop_reason, 'max_tokens');

  const tools = [{ name: 'calculator', description: 'Sums.', input_schema: CALCULATOR.function.parameters }];
  const asks = { ...body, tools, tool_choice: { type: 'any' }, messages: [{ role: 'user', content: 'What is 12 + 30?' }] };
  const call = await server.post('/v1/messages', asks);
  assert.equal(call.stop_reason, 'tool_use');
  const use = call.content.at(-1);
  assert.match(use.id, /^toolu_/);
  assert.equal(typeof use.input.expression, 'string');
  const streamed = (await server.stream('/v1/messages', asks)).records;
  const begun = streamed.find((one) => one.content_block?.type === 'tool_use');
  assert.deepEqual(begun.content_block.input, {});
  assert.deepEqual(JSON.parse(streamed.filter((one) => one.delta?.type === 'input_json_delta')
    .map((one) => one.delta.partial_json).join('')), use.input);
  const told = await server.post('/v1/messages', { ...asks, tool_choice: { type: 'auto' }, messages: [...asks.messages,
    { role: 'assistant', content: call.content },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: '42' }, { type: 'text', text: 'So?' }] }] });
  assert.equal(told.type, 'message');

  for (const bad of [{}, { messages: 'x' }, { messages: [{ role: 'user', content: [{ type: 'video' }] }] }]) {
    const answer = await server.ask('POST', '/v1/messages', { max_tokens: 5, ...bad });
    assert.equal(answer.status, 400);
    assert.equal(answer.json.type, 'error');
    assert.deepEqual([answer.json.error.type, answer.json.error.code], ['invalid_request_error', 400]);
  }
});

test('point 3: the stamp of a billing header does not spoil the cache', async () => {
  const ask = (stamp) => server.post('/v1/messages', { max_tokens: 1, messages: [{ role: 'user', content: 'Hi' }],
    system: [{ type: 'text', text: `x-anthropic-billing-header: cc_version=2; cch=${stamp}; x` },
      { type: 'text', text: 'You are Paw, and this is a rather long system message to be kept.' }] });
  await ask('a1b2c');
  const { usage } = await ask('9f8e7');
  assert.equal(usage.input_tokens, 1);
});

test('point 4: Responses, their events in order, calls and the history sent back', async () => {
  const body = { input: 'Who are you?', temperature: 0, max_output_tokens: 300 };
  const whole = await server.post('/v1/responses', body);
  assert.match(whole.id, /^resp_/);
  assert.deepEqual([whole.object, whole.status, whole.model], ['response', 'completed', 'tiny']);
  assert.deepEqual(whole.output.map((item) => item.type), ['reasoning', 'message']);
  assert.equal(whole.usage.total_tokens, whole.usage.input_tokens + whole.usage.output_tokens);
  assert.ok(whole.usage.output_tokens_details.reasoning_tokens > 0);

  const { records, names, done } = await server.stream('/v1/responses', body);
  assert.equal(done, false);
  assert.deepEqual(names, records.map((record) => record.type));
  assert.deepEqual(records.map((record) => record.sequence_number), records.map((_, i) => i));
  assert.deepEqual(names.slice(0, 2), ['response.created', 'response.in_progress']);
  assert.equal(names.at(-1), 'response.completed');
  const open = [];
  for (const record of records) {
    if (record.type === 'response.output_item.added') {
      assert.equal(open.length, 0, 'an item ends before the next begins');
      open.push(record.item.id);
    }
    if (record.type === 'response.output_item.done') assert.equal(open.pop(), record.item.id);
  }
  const delta = (type) => records.filter((one) => one.type === type).map((one) => one.delta).join('');
  assert.equal(delta('response.output_text.delta'), whole.output[1].content[0].text);
  assert.equal(delta('response.reasoning_text.delta'), whole.output[0].content[0].text);
  assert.deepEqual(records.at(-1).response.output.map((item) => item.content[0].text),
    whole.output.map((item) => item.content[0].text));

  const tools = [{ type: 'function', ...CALCULATOR.function }, { type: 'web_search' }];
  const asked = { ...body, input: [{ role: 'user', content: 'What is 12 + 30?' }], tools, tool_choice: 'required' };
  const call = (await server.post('/v1/responses', asked)).output.at(-1);
  assert.equal(call.type, 'function_call');
  assert.match(call.call_id, /^call_/);
  const second = await server.post('/v1/responses', { ...asked, tool_choice: 'none', input: [...asked.input, call,
    { type: 'function_call_output', call_id: call.call_id, output: '42' }] });
  assert.equal(second.output.at(-1).type, 'message');
  const cut = await server.post('/v1/responses', { ...body, max_output_tokens: 2 });
  assert.deepEqual([cut.status, cut.incomplete_details.reason], ['incomplete', 'max_output_tokens']);
  for (const bad of [{}, { input: 7 }, { input: 'x', previous_response_id: 'resp_1' },
    { input: [{ type: 'message', role: 'user', content: [{ type: 'input_file' }] }] }]) {
    await server.refused(400, '/v1/responses', bad);
  }
  const counted = await server.post('/v1/responses/input_tokens', body);
  assert.equal(counted.input_tokens, whole.usage.input_tokens);
});

test('timings ride on every record when asked for', async () => {
  for (const [target, body] of [[CHAT, user('Who are you?')],
    ['/v1/completions', { prompt: 'Once', max_tokens: 9, ignore_eos: true }]]) {
    const { records } = await server.stream(target, { ...body, timings_per_token: true });
    const bare = records.filter((record) => !record.timings && record.choices[0]?.delta?.role === undefined);
    assert.deepEqual(bare, []);
    const counts = records.filter((record) => record.timings).map((record) => record.timings.predicted_n);
    assert.deepEqual(counts, [...counts].sort((a, b) => a - b));
  }
});
