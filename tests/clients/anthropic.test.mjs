// Anthropic's own client against the server: messages, streams, thinking, tools, counting, errors.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import Anthropic from '@anthropic-ai/sdk';

import { serverUnderTest } from './server.mjs';

let server;
let client;

before(async () => {
  server = await serverUnderTest();
  client = new Anthropic({ baseURL: server.url, apiKey: 'none', maxRetries: 0 });
});
after(async () => assert.equal(await server.stop(), 0));

const ask = (content, more = {}) => ({
  model: 'tiny', max_tokens: 300, temperature: 0, messages: [{ role: 'user', content }], ...more,
});
const calculator = {
  name: 'calculator',
  description: 'Evaluates an arithmetic expression.',
  input_schema: {
    type: 'object',
    properties: { expression: { type: 'string' } },
    required: ['expression'],
  },
};
const texts = (message) =>
  message.content.filter((block) => block.type === 'text').map((block) => block.text).join('');

test('a message has text, a stop reason and usage', async () => {
  const message = await client.messages.create(ask('What is the capital of France?'));
  assert.equal(message.type, 'message');
  assert.equal(message.role, 'assistant');
  assert.match(texts(message), /Paris/);
  assert.equal(message.stop_reason, 'end_turn');
  assert.equal(message.stop_sequence, null);
  assert.ok(message.usage.output_tokens > 0);
});

test('thinking comes first, in a block of its own, and can be off', async () => {
  const on = await client.messages.create(
    ask('What is the capital of France?', { thinking: { type: 'enabled', budget_tokens: 1024 },
                                            max_tokens: 2048 }));
  assert.equal(on.content[0].type, 'thinking');
  assert.equal(on.content[0].signature, '');
  const off = await client.messages.create(
    ask('What is the capital of France?', { thinking: { type: 'disabled' } }));
  assert.ok(off.content.every((block) => block.type !== 'thinking'));
});

test('a stream has its events in order and says what the message says', async () => {
  const request = ask('Who are you?', { thinking: { type: 'enabled', budget_tokens: 1024 },
                                        max_tokens: 2048 });
  const whole = await client.messages.create(request);
  const events = [];
  const stream = client.messages.stream(request).on('streamEvent', (event) => events.push(event));
  const final = await stream.finalMessage();
  assert.deepEqual(final.content, whole.content);
  assert.equal(events[0].type, 'message_start');
  assert.equal(events.at(-1).type, 'message_stop');
  assert.equal(events.at(-2).type, 'message_delta');
  let open = -1;
  for (const event of events) {
    if (event.type === 'content_block_start') {
      assert.equal(open, -1, 'a block opens only after the one before has closed');
      open = event.index;
    } else if (event.type === 'content_block_delta') {
      assert.equal(event.index, open);
    } else if (event.type === 'content_block_stop') {
      assert.equal(event.index, open);
      open = -1;
    }
  }
});

test('tools: call, result, answer', async () => {
  const messages = [{ role: 'user', content: 'What is 12 + 30? Use the calculator.' }];
  const first = await client.messages.create({
    model: 'tiny', max_tokens: 400, temperature: 0, messages, tools: [calculator],
    tool_choice: { type: 'any' },
  });
  assert.equal(first.stop_reason, 'tool_use');
  const use = first.content.find((block) => block.type === 'tool_use');
  assert.equal(use.name, 'calculator');
  assert.equal(typeof use.input.expression, 'string');
  const second = await client.messages.create({
    model: 'tiny', max_tokens: 400, temperature: 0, tools: [calculator],
    messages: [...messages, { role: 'assistant', content: first.content },
      { role: 'user',
        content: [{ type: 'tool_result', tool_use_id: use.id, content: '42' }] }],
  });
  assert.match(texts(second), /42/);
});

test('tools in a stream arrive as JSON pieces', async () => {
  const stream = client.messages.stream({
    model: 'tiny', max_tokens: 400, temperature: 0, tools: [calculator],
    tool_choice: { type: 'tool', name: 'calculator' },
    messages: [{ role: 'user', content: 'What is 7 * 6? Use the calculator.' }],
  });
  let pieces = '';
  stream.on('inputJson', (piece) => { pieces += piece; });
  const final = await stream.finalMessage();
  const use = final.content.find((block) => block.type === 'tool_use');
  assert.equal(typeof use.input.expression, 'string');
  assert.ok(pieces.length > 0);
  assert.equal(final.stop_reason, 'tool_use');
});

test('stop sequences are named', async () => {
  const message = await client.messages.create(
    ask('Count from 3 to 12.', { stop_sequences: ['7'], thinking: { type: 'disabled' } }));
  assert.equal(message.stop_reason, 'stop_sequence');
  assert.equal(message.stop_sequence, '7');
  assert.ok(!texts(message).includes('7'));
});

test('max_tokens is a stop reason', async () => {
  const message = await client.messages.create(
    ask('Tell me a short story about a fox.', { max_tokens: 5 }));
  assert.equal(message.stop_reason, 'max_tokens');
  assert.equal(message.usage.output_tokens, 5);
});

test('system text, also in the middle, and blocks with cache_control', async () => {
  const message = await client.messages.create({
    model: 'tiny', max_tokens: 100, temperature: 0,
    system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'Hello.' }] },
      { role: 'assistant', content: 'Hello!' },
      { role: 'user', content: 'What is the capital of France?' },
    ],
  });
  assert.match(texts(message), /Paris/);
});

test('count_tokens counts what a message then reads', async () => {
  const request = ask('What is the capital of France?', { system: 'Be brief.' });
  const { model, messages, system } = request;
  const counted = await client.messages.countTokens({ model, messages, system });
  const message = await client.messages.create(request);
  assert.equal(counted.input_tokens,
               message.usage.input_tokens + message.usage.cache_read_input_tokens);
});

test('a second turn reads the first from the cache', async () => {
  const messages = [{ role: 'user', content: 'Count from 2 to 40, please, and take your time.' }];
  const first = await client.messages.create({
    model: 'tiny', max_tokens: 120, temperature: 0, messages,
  });
  const second = await client.messages.create({
    model: 'tiny', max_tokens: 20, temperature: 0,
    messages: [...messages, { role: 'assistant', content: first.content },
      { role: 'user', content: 'Again.' }],
  });
  assert.ok(second.usage.cache_read_input_tokens > 0);
});

test('errors are of the client\'s own classes', async () => {
  await assert.rejects(
    client.messages.create({ model: 'tiny', max_tokens: 10, messages: [{ role: 'user' }] }),
    (error) => error instanceof Anthropic.BadRequestError
      && error.error.type === 'error' && error.error.error.message.length > 5);
  await assert.rejects(client.messages.create(ask('word '.repeat(20000))),
                       (error) => error.status === 400);
});
