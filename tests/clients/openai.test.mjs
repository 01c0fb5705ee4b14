// OpenAI's own client against the server: chat, streams, tools, JSON schemas, log-probabilities,
// Responses, errors.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import OpenAI from 'openai';

import { serverUnderTest } from './server.mjs';

let server;
let client;

before(async () => {
  server = await serverUnderTest();
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
});
after(async () => assert.equal(await server.stop(), 0));

const calculator = {
  type: 'function',
  function: {
    name: 'calculator',
    description: 'Evaluates an arithmetic expression.',
    parameters: {
      type: 'object',
      properties: { expression: { type: 'string' } },
      required: ['expression'],
    },
  },
};
const ask = (content, more = {}) => ({
  model: 'anything',
  messages: [{ role: 'user', content }],
  temperature: 0,
  max_tokens: 200,
  ...more,
});

test('the list of models names ours', async () => {
  const models = await client.models.list();
  assert.equal(models.data.length, 1);
  assert.equal(models.data[0].id, server.alias);
  assert.equal(models.data[0].owned_by, 'llamacpp');
});

test('a chat answer has content, a finish reason, usage and timings', async () => {
  const answer = await client.chat.completions.create(ask('What is the capital of France?'));
  assert.equal(answer.object, 'chat.completion');
  assert.equal(answer.model, server.alias);
  assert.match(answer.id, /^chatcmpl-/);
  const choice = answer.choices[0];
  assert.equal(choice.finish_reason, 'stop');
  assert.match(choice.message.content, /Paris/);
  const { usage, timings } = answer;
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  assert.equal(timings.cache_n + timings.prompt_n, usage.prompt_tokens);
  assert.equal(timings.predicted_n, usage.completion_tokens);
  assert.ok(timings.draft_n > 0 && timings.draft_n_accepted <= timings.draft_n);
});

test('a stream says what the whole answer says', async () => {
  const request = ask('Who are you?');
  const whole = await client.chat.completions.create(request);
  const stream = await client.chat.completions.create({
    ...request, stream: true, stream_options: { include_usage: true },
  });
  let content = '';
  let reasoning = '';
  let finish = null;
  let usage = null;
  let first = null;
  for await (const chunk of stream) {
    assert.equal(chunk.object, 'chat.completion.chunk');
    if (chunk.usage) usage = chunk.usage;
    const choice = chunk.choices[0];
    if (!choice) continue;
    first ??= choice.delta;
    content += choice.delta.content ?? '';
    reasoning += choice.delta.reasoning_content ?? '';
    finish = choice.finish_reason ?? finish;
  }
  assert.equal(first.role, 'assistant');
  assert.equal(content, whole.choices[0].message.content);
  assert.equal(reasoning, whole.choices[0].message.reasoning_content ?? '');
  assert.equal(finish, whole.choices[0].finish_reason);
  assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
});

test('greedy text is the same with drafts and without', async () => {
  const request = ask('Tell me a short story about a fox.');
  const drafted = await client.chat.completions.create(request);
  const plain = await client.chat.completions.create({ ...request, speculative: { n_max: 0 } });
  assert.deepEqual(drafted.choices[0].message, plain.choices[0].message);
  assert.equal(plain.timings.draft_n, undefined);
});

test('the same seed gives the same text, another one another', async () => {
  const request = ask('Tell me a short story about a fox.', { temperature: 1.2, top_p: 1, seed: 7 });
  const texts = [];
  for (const seed of [7, 7, 8, 9]) {
    const answer = await client.chat.completions.create({ ...request, seed });
    texts.push(JSON.stringify(answer.choices[0].message));
  }
  assert.equal(texts[0], texts[1]);
  assert.ok(texts[2] !== texts[0] || texts[3] !== texts[0]);
});

test('n: 2 gives two choices and reads the prompt once', async () => {
  const answer = await client.chat.completions.create(
    ask('Name a colour.', { n: 2, temperature: 1, seed: 3 }));
  assert.deepEqual(answer.choices.map((choice) => choice.index).sort(), [0, 1]);
});

test('tools: the model calls, gets the result, and answers', async () => {
  const messages = [{ role: 'user', content: 'What is 12 + 30? Use the calculator.' }];
  const first = await client.chat.completions.create({
    model: 'tiny', messages, tools: [calculator], tool_choice: 'required', temperature: 0,
    max_tokens: 300,
  });
  assert.equal(first.choices[0].finish_reason, 'tool_calls');
  const call = first.choices[0].message.tool_calls[0];
  assert.equal(call.type, 'function');
  assert.equal(call.function.name, 'calculator');
  assert.equal(typeof JSON.parse(call.function.arguments).expression, 'string');
  const second = await client.chat.completions.create({
    model: 'tiny', temperature: 0, max_tokens: 300, tools: [calculator],
    messages: [...messages, first.choices[0].message,
      { role: 'tool', tool_call_id: call.id, content: '42' }],
  });
  assert.match(second.choices[0].message.content, /42/);
});

test('tools in a stream: id, type and name once, arguments in pieces', async () => {
  const stream = await client.chat.completions.create({
    ...ask('What is 7 * 6? Use the calculator.'), stream: true, tools: [calculator],
    tool_choice: { type: 'function', function: { name: 'calculator' } },
  });
  const names = [];
  let ids = 0;
  let text = '';
  let finish = null;
  for await (const chunk of stream) {
    const choice = chunk.choices[0];
    for (const call of choice?.delta.tool_calls ?? []) {
      if (call.function?.name) names.push(call.function.name);
      if (call.id) ++ids;
      text += call.function?.arguments ?? '';
    }
    finish = choice?.finish_reason ?? finish;
  }
  assert.equal(names[0], 'calculator');
  assert.equal(names.length, ids);
  if (ids === 1) assert.equal(typeof JSON.parse(text).expression, 'string');
  assert.equal(finish, 'tool_calls');
});

test("the client's own tool runner completes a round trip", async () => {
  const runner = client.chat.completions.runTools({
    model: 'tiny', temperature: 0, max_tokens: 300,
    messages: [{ role: 'user', content: 'What is 12 + 30? Use the calculator.' }],
    tools: [{
      type: 'function',
      function: { ...calculator.function, parse: JSON.parse, function: () => '42' },
    }],
  }, { maxChatCompletions: 4 });
  assert.match(await runner.finalContent(), /42/);
});

test('a JSON schema is kept to, with drafts', async () => {
  const schema = {
    type: 'object',
    properties: {
      city: { type: 'string', maxLength: 20 },
      population: { type: 'integer', minimum: 0, maximum: 100000000 },
      coastal: { type: 'boolean' },
      kind: { enum: ['town', 'city'] },
    },
    required: ['city', 'population', 'coastal', 'kind'],
    additionalProperties: false,
  };
  const answer = await client.chat.completions.create(ask('Describe Paris as JSON.', {
    max_tokens: 400,
    response_format: { type: 'json_schema', json_schema: { name: 'city', strict: true, schema } },
  }));
  const value = JSON.parse(answer.choices[0].message.content);
  assert.deepEqual(Object.keys(value).sort(), ['city', 'coastal', 'kind', 'population']);
  assert.ok(Number.isInteger(value.population));
  assert.ok(['town', 'city'].includes(value.kind));
});

test('json_object answers with an object', async () => {
  const answer = await client.chat.completions.create(ask('Say something as JSON.', {
    max_tokens: 300, response_format: { type: 'json_object' },
  }));
  if (answer.choices[0].finish_reason === 'stop') {
    assert.equal(typeof JSON.parse(answer.choices[0].message.content), 'object');
  }
});

test('log-probabilities: every token, true values, drafts or not', async () => {
  const request = ask('Count from 3 to 9.', { logprobs: true, top_logprobs: 3, max_tokens: 60 });
  const drafted = await client.chat.completions.create(request);
  const plain = await client.chat.completions.create({ ...request, speculative: { n_max: 0 } });
  const items = drafted.choices[0].logprobs.content;
  assert.equal(items.length, plain.choices[0].logprobs.content.length);
  items.forEach((item, i) => {
    const other = plain.choices[0].logprobs.content[i];
    assert.equal(item.token, other.token);
    assert.ok(Math.abs(item.logprob - other.logprob) < 1e-3);
    assert.equal(item.top_logprobs.length, 3);
    assert.ok(item.logprob <= 0);
  });
});

test('stop strings end the answer before them', async () => {
  const answer = await client.chat.completions.create(
    ask('Count from 3 to 12.', { stop: ['7'] }));
  assert.ok(!answer.choices[0].message.content.includes('7'));
  assert.equal(answer.choices[0].finish_reason, 'stop');
});

test('max_tokens ends with length', async () => {
  const answer = await client.chat.completions.create(
    ask('Tell me a short story about a fox.', { max_tokens: 5 }));
  assert.equal(answer.choices[0].finish_reason, 'length');
  assert.equal(answer.usage.completion_tokens, 5);
});

test('a second turn finds the first in the cache', async () => {
  const messages = [{ role: 'user', content: 'Count from 2 to 40, please, and take your time.' }];
  const first = await client.chat.completions.create({
    model: 'tiny', messages, temperature: 0, max_tokens: 120,
  });
  const second = await client.chat.completions.create({
    model: 'tiny', temperature: 0, max_tokens: 20,
    messages: [...messages, first.choices[0].message, { role: 'user', content: 'Again.' }],
  });
  assert.ok(second.usage.prompt_tokens_details.cached_tokens >= first.usage.prompt_tokens - 8);
  const uncached = await client.chat.completions.create({
    model: 'tiny', messages, temperature: 0, max_tokens: 4, cache_prompt: false,
  });
  assert.equal(uncached.usage.prompt_tokens_details.cached_tokens, 0);
});

test('completions: text, echo refused, logprobs', async () => {
  const answer = await client.completions.create({
    model: 'tiny', prompt: 'Once upon a time', max_tokens: 12, temperature: 0, logprobs: 2,
  });
  assert.equal(answer.object, 'text_completion');
  assert.equal(typeof answer.choices[0].text, 'string');
  assert.equal(answer.choices[0].logprobs.content.length, answer.usage.completion_tokens);
  await assert.rejects(
    client.completions.create({ model: 'tiny', prompt: 'a', echo: true, max_tokens: 1 }),
    (error) => error instanceof OpenAI.BadRequestError);
});

test('completions stream and end', async () => {
  const stream = await client.completions.create({
    model: 'tiny', prompt: 'Once upon a time', max_tokens: 12, temperature: 0, stream: true,
  });
  let text = '';
  let finish = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.text ?? '';
    finish = chunk.choices[0]?.finish_reason ?? finish;
  }
  assert.ok(text.length > 0);
  assert.equal(finish, 'length');
});

test('Responses: text, usage, status', async () => {
  const response = await client.responses.create({
    model: 'tiny', input: 'What is the capital of France?', temperature: 0, max_output_tokens: 200,
  });
  assert.equal(response.object, 'response');
  assert.equal(response.status, 'completed');
  assert.match(response.output_text, /Paris/);
  assert.equal(response.usage.total_tokens,
               response.usage.input_tokens + response.usage.output_tokens);
});

test('Responses stream: events in order, numbered, equal to the whole', async () => {
  const stream = await client.responses.create({
    model: 'tiny', input: 'Who are you?', temperature: 0, max_output_tokens: 200, stream: true,
  });
  const types = [];
  let text = '';
  let expected = 0;
  let final = null;
  for await (const event of stream) {
    assert.equal(event.sequence_number, expected++);
    types.push(event.type);
    if (event.type === 'response.output_text.delta') text += event.delta;
    if (event.type === 'response.completed') final = event.response;
  }
  assert.deepEqual(types.slice(0, 2), ['response.created', 'response.in_progress']);
  assert.equal(types.at(-1), 'response.completed');
  const message = final.output.find((item) => item.type === 'message');
  assert.equal(message.content[0].text, text);
});

test('Responses: a function call round trip', async () => {
  const tools = [{ type: 'function', ...calculator.function, strict: false }];
  const input = [{ role: 'user', content: 'What is 12 + 30? Use the calculator.' }];
  const first = await client.responses.create({
    model: 'tiny', input, tools, tool_choice: 'required', temperature: 0,
  });
  const call = first.output.find((item) => item.type === 'function_call');
  assert.equal(call.name, 'calculator');
  assert.match(call.call_id, /^call_/);
  const second = await client.responses.create({
    model: 'tiny', tools, temperature: 0,
    input: [...input, ...first.output,
      { type: 'function_call_output', call_id: call.call_id, output: '42' }],
  });
  assert.match(second.output_text, /42/);
});

test('Responses: a limit makes the response incomplete', async () => {
  const response = await client.responses.create({
    model: 'tiny', input: 'Tell me a short story about a fox.', max_output_tokens: 16,
    temperature: 0,
  });
  assert.equal(response.status, 'incomplete');
  assert.equal(response.incomplete_details.reason, 'max_output_tokens');
});

test('errors carry status, type and a sentence', async () => {
  await assert.rejects(client.chat.completions.create({ model: 'tiny', messages: 'no' }),
                       (error) => error instanceof OpenAI.BadRequestError
                         && error.type === 'invalid_request_error' && error.message.length > 10);
  await assert.rejects(
    client.chat.completions.create(ask('word '.repeat(20000))),
    (error) => error.status === 400 && error.type === 'exceed_context_size_error'
      && error.error.n_prompt_tokens > error.error.n_ctx);
  await assert.rejects(client.embeddings.create({ model: 'tiny', input: 'a' }),
                       (error) => error.status === 501);
});

test('aborting a stream frees the slot', async () => {
  for (let i = 0; i < 8; ++i) {
    const stream = await client.chat.completions.create({
      ...ask('Count from 1 to 400.'), max_tokens: 3000, stream: true, ignore_eos: true,
    });
    for await (const chunk of stream) {
      if (chunk) break;
    }
    stream.controller.abort();
  }
  const answer = await client.chat.completions.create(ask('What is the capital of France?'));
  assert.match(answer.choices[0].message.content, /Paris/);
});
