// Points 5, 10, 14 and 15: what is read again and what is not. Conversations of agents cut at any
// turn, side requests in between, slots saved and restored, states that survive a restart.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { eventually, greedy, question, sleep, start, temporaryFolder } from './harness.mjs';

const CHAT = '/v1/chat/completions';
let server;
const states = temporaryFolder();
before(async () => {
  server = await start(['-c', '16384', '-np', '2', '--slot-save-path', states,
    '--spec-draft-n-max', '2']);
});
after(() => server.stop());

const TOOLS = [{ type: 'function', function: { name: 'read_file', description: 'Reads a file.',
  parameters: { type: 'object', properties: { path: { type: 'string' } }, required: ['path'] } } }];

/** Twenty turns of an agent: a question, a call, its result, an answer. */
function transcript(nTurns) {
  const messages = [{ role: 'system', content: 'You are an agent that reads files. '.repeat(6) }];
  const begins = [];
  for (let turn = 0; turn < nTurns; ++turn) {
    begins.push(messages.length);
    messages.push({ role: 'user', content: `Task ${turn}: look at part ${turn * 7} of the program, please.` });
    messages.push({ role: 'assistant', content: '', reasoning_content: `I need file ${turn}.`,
      tool_calls: [{ id: `c${turn}`, type: 'function',
        function: { name: 'read_file', arguments: JSON.stringify({ path: `src/part_${turn}.cpp` }) } }] });
    messages.push({ role: 'tool', tool_call_id: `c${turn}`, content: `line ${turn} of the file; `.repeat(4 + turn % 5) });
    messages.push({ role: 'assistant', content: `Part ${turn} adds numbers.`, reasoning_content: 'Now I know.' });
  }
  return { messages, begins };
}

const chat = (messages, more = {}) =>
  server.post(CHAT, { messages, tools: TOOLS, temperature: 0, max_tokens: 4, ...more });
/** Tokens that ask for an answer: <|im_start|>assistant, newline, <think>, newline. */
const GO_ON = 5;
const lengthOf = async (messages) =>
  (await server.post(`${CHAT}/input_tokens`, { messages, tools: TOOLS })).input_tokens;

test('point 14: cutting a transcript at any turn reads only that turn again', async () => {
  const { messages, begins } = transcript(20);
  // It grows turn by turn, as an agent's does; a client that asks for a title comes in between.
  for (const begin of begins) {
    for (const last of [1, 3]) {
      const prompt = messages.slice(0, begin + last);
      const answer = await chat(prompt);
      assert.equal(answer.timings.cache_n + answer.timings.prompt_n, answer.usage.prompt_tokens);
      assert.equal(answer.usage.prompt_tokens_details.cached_tokens, answer.timings.cache_n);
      if (begin === begins[0]) continue;
      const known = await lengthOf(messages.slice(0, begin + last - 2));  // the prompt before this one
      assert.ok(answer.timings.cache_n >= known - GO_ON, `turn at ${begin}: ${answer.timings.cache_n} of ${known}`);
    }
    await server.post(CHAT, { messages: [{ role: 'system', content: 'Make a title of three words.' },
      { role: 'user', content: messages[begin].content }], max_tokens: 4 });
  }
  for (const begin of [...begins].reverse()) {
    const edited = [...messages.slice(0, begin), { role: 'user', content: 'Something else entirely, please.' }];
    const answer = await chat(edited);
    const before = await lengthOf(messages.slice(0, begin));
    const whole = answer.usage.prompt_tokens;
    const turn = whole - before + GO_ON;
    assert.ok(answer.timings.prompt_n <= turn, `cut at ${begin}: ${answer.timings.prompt_n} of ${turn}`);
  }
});

test('point 14: the reply itself is not read again, with thinking sent back or not', async () => {
  for (const thinks of [true, false]) {
    const kwargs = { chat_template_kwargs: { enable_thinking: thinks } };
    const messages = [{ role: 'user', content: `Who are you? ${thinks}` }];
    for (let turn = 0; turn < 5; ++turn) {
      const answer = await server.post(CHAT, { messages, temperature: 0, max_tokens: 200, ...kwargs });
      if (turn > 0) {
        // Only the new question and the marks around it.
        assert.ok(answer.timings.prompt_n < 40, `turn ${turn}: ${answer.timings.prompt_n}`);
      }
      messages.push(answer.choices[0].message, { role: 'user', content: 'And then?' });
    }
  }
});

test('point 5: cached tokens rise over turns; cache_prompt: false has none; id_slot is obeyed', async () => {
  let prompt = question('Count from 3 to 20, slowly.');
  let last = -1;
  for (let turn = 0; turn < 4; ++turn) {
    const answer = await server.post('/completion', greedy(prompt, { id_slot: 1 }));
    assert.equal(answer.id_slot, 1);
    assert.ok(answer.timings.cache_n > last, `${answer.timings.cache_n} after ${last}`);
    last = answer.timings.cache_n;
    const none = await server.post('/completion', greedy(prompt, { cache_prompt: false, id_slot: 0 }));
    assert.equal(none.id_slot, 0);
    assert.equal(none.timings.cache_n, 0);
    assert.equal(none.content, answer.content);
    prompt += `${answer.content}<|im_end|>\n${question(`Go on with ${turn}.`)}`;
  }
  const { usage } = await server.post('/v1/messages', { max_tokens: 2,
    messages: [{ role: 'user', content: 'A question asked twice.' }] });
  assert.ok(usage.input_tokens > 5);
  const again = await server.post('/v1/messages', { max_tokens: 2,
    messages: [{ role: 'user', content: 'A question asked twice.' }] });
  assert.equal(again.usage.input_tokens, 1);
  assert.equal(again.usage.cache_read_input_tokens, usage.input_tokens + usage.cache_read_input_tokens - 1);
});

test('point 10: slots are saved, restored and erased', async () => {
  const prompt = question('What would a saved slot say?');
  const first = await server.post('/completion', greedy(prompt, { id_slot: 0 }));
  const saved = await server.post('/slots/0?action=save', { filename: 'one.bin' });
  assert.deepEqual(Object.keys(saved), ['id_slot', 'filename', 'n_saved', 'n_written', 'timings']);
  assert.equal(fs.statSync(path.join(states, 'one.bin')).size, saved.n_written);
  const erased = await server.post('/slots/0?action=erase');
  assert.deepEqual(Object.keys(erased), ['id_slot', 'n_erased']);
  assert.ok(erased.n_erased > 0);
  const fresh = await server.post('/completion', greedy(prompt, { id_slot: 0 }));
  assert.equal(fresh.timings.cache_n, 0, 'erased is gone');
  await server.post('/slots/0?action=erase');
  const restored = await server.post('/slots/1?action=restore', { filename: 'one.bin' });
  assert.deepEqual(Object.keys(restored),
    ['id_slot', 'filename', 'n_restored', 'n_read', 'n_reusable', 'timings']);
  assert.equal(restored.n_restored, saved.n_saved);
  const again = await server.post('/completion', greedy(prompt));
  assert.equal(again.timings.prompt_n, 1);
  assert.equal(again.content, first.content);
});

test('point 10: no name leads out of the folder; wrong slots, actions and files are said', async () => {
  const before = fs.readdirSync(path.dirname(states)).sort();
  for (const filename of ['../x', '..', '.', '', 'a/b', '/etc/passwd', '..\\x', 'a\u0000b', 'x'.repeat(5000), null, 7]) {
    for (const action of ['save', 'restore']) {
      const error = await server.refused(400, `/slots/0?action=${action}`, { filename });
      assert.equal(error.type, 'invalid_request_error', `${filename}`);
    }
  }
  assert.deepEqual(fs.readdirSync(path.dirname(states)).sort(), before);
  await server.refused(400, '/slots/0?action=fly', { filename: 'x' });
  await server.refused(400, '/slots/0', { filename: 'x' });
  await server.refused(400, '/slots/x?action=erase');
  assert.equal((await server.refused(404, '/slots/9?action=erase')).type, 'not_found_error');
  await server.refused(400, '/slots/0?action=restore', { filename: 'missing.bin' });
  const whole = fs.readFileSync(path.join(states, 'one.bin'));
  const broken = [whole.subarray(0, whole.length / 2), Buffer.alloc(100), Buffer.alloc(0),
    Buffer.concat([whole.subarray(0, 4000), Buffer.alloc(16, 0xff), whole.subarray(4016)])];
  for (const bytes of broken) {
    fs.writeFileSync(path.join(states, 'broken.bin'), bytes);
    await server.refused(400, '/slots/0?action=restore', { filename: 'broken.bin' });
  }
  fs.rmSync(path.join(states, 'broken.bin'));
  await server.post('/completion', greedy(question('Still there?'), { n_predict: 2 }));
});

test('a busy slot makes an action wait for its end', async () => {
  const running = server.post('/completion', { prompt: 'x', n_predict: 2000, ignore_eos: true, id_slot: 0 });
  await eventually('the slot is busy', async () => (await server.get('/slots'))[0].is_processing);
  const saved = await server.post('/slots/0?action=save', { filename: 'busy.bin' });
  const answer = await running;
  assert.ok(saved.n_saved >= answer.tokens_evaluated + answer.tokens_predicted - 1);
});

test('a file of another model is refused', async () => {
  const other = await start(['-c', '512', '--slot-save-path', states],
    { modelFile: new URL('../../models/tiny/tiny-base-BF16.gguf', import.meta.url).pathname });
  const error = await other.refused(400, '/slots/0?action=restore', { filename: 'one.bin' });
  assert.equal(error.type, 'invalid_request_error');
  await other.stop();
});

test('--cache-dir: what was read before a restart is not read after it', async () => {
  const folder = temporaryFolder();
  const flags = ['-c', '4096', '-np', '2', '--cache-dir', folder];
  const prompts = ['fox', 'owl', 'bear'].map((one) => question(`${`All about the ${one}. `.repeat(20)}`));
  const first = await start(flags);
  const said = [];
  for (const prompt of prompts) said.push(await first.post('/completion', greedy(prompt)));
  await first.stop();
  assert.ok(fs.readdirSync(folder).length > 0);
  const second = await start(flags);
  for (const [i, prompt] of prompts.entries()) {
    const answer = await second.post('/completion', greedy(prompt));
    assert.equal(answer.timings.prompt_n, 1);
    assert.equal(answer.content, said[i].content);
  }
  await second.stop();
  // Damage is found, said and ignored.
  for (const name of fs.readdirSync(folder)) {
    const file = path.join(folder, name);
    const bytes = fs.readFileSync(file);
    bytes.fill(0x5a, Math.floor(bytes.length / 3), Math.floor(bytes.length / 3) + 64);
    fs.writeFileSync(file, bytes);
  }
  const third = await start(flags);
  for (const [i, prompt] of prompts.entries()) {
    assert.equal((await third.post('/completion', greedy(prompt))).content, said[i].content);
  }
  await third.stop();
});

test('--cache-ram 0 and --no-cache-prompt change what is kept, never what is said', async () => {
  const prompt = question('Who are you?');
  const want = (await server.post('/completion', greedy(prompt))).content;
  const bare = await start(['-c', '1024', '--cache-ram', '0', '--no-cache-prompt']);
  for (let i = 0; i < 3; ++i) {
    const answer = await bare.post('/completion', greedy(prompt));
    assert.equal(answer.content, want);
    assert.equal(answer.timings.cache_n, 0);
  }
  await bare.stop();
  const tight = await start(['-c', '2048', '-np', '2', '--cache-ram', '1']);
  for (let i = 0; i < 12; ++i) {
    const answer = await tight.post('/completion', greedy(question(`${i} `.repeat(60))));
    assert.equal(answer.timings.cache_n + answer.timings.prompt_n, answer.tokens_evaluated);
  }
  assert.equal((await tight.post('/completion', greedy(prompt))).content, want);
  await tight.stop();
});

test('kill -9 while slots are saved: files are whole or not there, and the next start is clean', async () => {
  const folder = temporaryFolder();
  const flags = ['-c', '8192', '-np', '1', '--slot-save-path', folder, '--cache-dir', path.join(folder, 'cache')];
  fs.mkdirSync(path.join(folder, 'cache'));
  const prompt = question('Once upon a time there was a fox. '.repeat(60));
  let reads = 0;
  for (let round = 0; round < 6; ++round) {
    const victim = await start(flags);
    if (fs.existsSync(path.join(folder, 'kept.bin'))) {
      const restored = await victim.post('/slots/0?action=restore', { filename: 'kept.bin' });
      assert.equal(restored.n_reusable, restored.n_restored);
      ++reads;
    }
    await victim.post('/completion', greedy(prompt, { n_predict: 4 }));
    await victim.post('/slots/0?action=save', { filename: 'kept.bin' });
    const saving = Array.from({ length: 20 }, () =>
      victim.ask('POST', '/slots/0?action=save', { filename: 'kept.bin' }).catch(() => {}));
    await sleep(round * 7);
    await victim.kill('SIGKILL');
    await Promise.all(saving);
    assert.ok(fs.existsSync(path.join(folder, 'kept.bin')), 'the old file is there or the new one');
  }
  assert.equal(reads, 5);
  const last = await start(flags);
  assert.equal((await last.post('/slots/0?action=restore', { filename: 'kept.bin' })).id_slot, 0);
  assert.equal((await last.post('/completion', greedy(prompt, { n_predict: 4 }))).timings.prompt_n, 1);
  await last.stop();
});
