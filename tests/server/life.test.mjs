// A server's life: addresses, encryption, a queue with an end, sleep, signals.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { Server, eventually, freePort, greedy, question, readEvents, start, temporaryFolder } from './harness.mjs';

const LONG = { prompt: 'x', n_predict: 3000, ignore_eos: true };

/** A stream that has begun: resolves with what it will have said and how it will have ended. */
function begun(server, body, target = '/completion') {
  const stream = { text: '', broke: false };
  const request = server.open('POST', target, { ...body, stream: true });
  stream.request = request;
  stream.ended = new Promise((resolve) => {
    request.on('error', () => { stream.broke = true; resolve(stream); });
    request.on('response', (response) => {
      stream.status = response.statusCode;
      response.setEncoding('utf8');
      response.on('data', (piece) => { stream.text += piece; });
      response.on('error', () => { stream.broke = true; resolve(stream); });
      response.on('end', () => resolve(stream));
    });
  });
  return eventually('the stream begins', () => stream.text !== '' || stream.broke).then(() => stream);
}

test('SIGTERM: what runs ends whole, what comes is turned away, the status is 0', async () => {
  const server = await start(['-c', '8192', '-np', '2', '--drain-seconds', '100']);
  const streams = await Promise.all([
    begun(server, { ...LONG, n_predict: 1500 }),
    begun(server, { messages: [{ role: 'user', content: 'x' }], ignore_eos: true, max_tokens: 1500 }, '/v1/chat/completions')]);
  const over = server.kill('SIGTERM');
  await eventually('it says so', () => /stopping/.test(server.log));
  await eventually('nobody else gets in', () => server.ask('GET', '/health').then((answer) => answer.status !== 200, () => true));
  const [native, chat] = await Promise.all(streams.map((stream) => stream.ended));
  assert.deepEqual(await over, { code: 0, signal: null });
  assert.ok(!native.broke && !chat.broke);
  const last = readEvents(native.text).records.at(-1);
  assert.deepEqual([last.stop, last.tokens_predicted], [true, 1500]);
  assert.equal(readEvents(chat.text).done, true);
  assert.match(server.log, /stopped/);
});

test('SIGTERM: after its grace the server ends all the same, with 0', async () => {
  const server = await start(['-c', '8192', '--drain-seconds', '0']);
  const stream = await begun(server, { ...LONG, n_predict: 8000 });
  assert.deepEqual(await server.kill('SIGTERM'), { code: 0, signal: null });
  await stream.ended;
});

test('a second signal ends the server at once, and not with 0', async () => {
  const server = await start(['-c', '32768', '-np', '1', '--drain-seconds', '1000']);
  const stream = await begun(server, { ...LONG, n_predict: 30000 });
  server.child.kill('SIGINT');
  await eventually('it drains', () => /stopping/.test(server.log));
  const { code, signal } = await server.kill('SIGINT');
  assert.ok(code !== 0 || signal !== null);
  stream.request.destroy();
});

test('a queue has an end: 503 beyond it, and everybody in it is served', async () => {
  const server = await start(['-c', '2048', '-np', '1', '--queue', '3']);
  const blocker = await begun(server, { ...LONG, n_predict: 1900 });
  const answers = await Promise.all(Array.from({ length: 8 }, (_, i) =>
    server.ask('POST', '/completion', { prompt: `${i}`, n_predict: 2 })));
  const served = answers.filter((answer) => answer.status === 200);
  const refused = answers.filter((answer) => answer.status === 503);
  assert.equal(served.length + refused.length, 8);
  assert.ok(served.length >= 3 && refused.length >= 1, `${served.length} served`);
  for (const answer of refused) assert.equal(answer.json.error.type, 'unavailable_error');
  await blocker.ended;
  assert.equal(blocker.broke, false);
  await server.stop();
});

test('more requests than slots wait their turn', async () => {
  const server = await start(['-c', '2048', '-np', '2', '--metrics']);
  const want = (await server.post('/completion', greedy(question('Who are you?')))).content;
  const answers = await Promise.all(Array.from({ length: 24 }, () =>
    server.post('/completion', greedy(question('Who are you?')))));
  for (const answer of answers) assert.equal(answer.content, want);
  await server.stop();
});

test('--sleep-idle-seconds unloads the model, and a request wakes it', async () => {
  const folder = temporaryFolder();
  const server = await start(['-c', '1024', '--sleep-idle-seconds', '1', '--metrics', '--cache-dir', folder]);
  const said = await server.post('/completion', greedy(question('Who are you?')));
  const asleep = () => eventually('sleep', async () => (await server.get('/props')).is_sleeping);
  await asleep();
  for (const target of ['/health', '/props', '/models', '/v1/models', '/slots', '/v1/spec']) await server.get(target);
  const metrics = await server.ask('GET', '/metrics');
  assert.match(metrics.text, /^llamacpp:tokens_predicted_total [1-9]/m);
  assert.equal((await server.get('/props')).is_sleeping, true, 'looking does not wake it');
  const again = await server.post('/completion', greedy(question('Who are you?')));
  assert.equal(again.content, said.content);
  assert.equal(again.timings.prompt_n, 1, 'what it knew is in --cache-dir');
  assert.equal((await server.get('/props')).is_sleeping, false);
  await asleep();
  await server.stop();
});

test('TLS: with key and certificate only https is spoken', async () => {
  const folder = temporaryFolder();
  const [key, certificate] = ['key.pem', 'cert.pem'].map((name) => path.join(folder, name));
  try {
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
      '-keyout', key, '-out', certificate, '-days', '2', '-subj', '/CN=localhost'], { stdio: 'ignore' });
  } catch (error) {
    if (error.code === 'ENOENT') return;  // no openssl here to make a certificate with
    throw error;
  }
  const server = await start(['-c', '256', '--ssl-key-file', key, '--ssl-cert-file', certificate]);
  assert.match(server.url, /^https:/);
  const trust = { ca: fs.readFileSync(certificate), servername: 'localhost' };
  assert.equal((await server.ask('GET', '/health', undefined, trust)).text, '{"status":"ok"}');
  const answer = await server.ask('POST', '/completion', { prompt: 'x', n_predict: 5, stream: true }, trust);
  assert.equal(readEvents(answer.text).records.at(-1).stop, true);
  const plain = await server.raw('GET /health HTTP/1.1\r\nhost: x\r\n\r\n').catch(() => '');
  assert.doesNotMatch(plain, /status/);
  await server.stop();
  const half = new Server(['--port', '0', '--ssl-key-file', key]);
  assert.equal((await half.exited).code, 1);
  assert.match(half.log, /--ssl-cert-file/);
});

test('a Unix socket, and several addresses at once', async () => {
  const folder = temporaryFolder();
  const socketPath = path.join(folder, 'api.sock');
  const server = await start(['-c', '256', '--host', socketPath]);
  const ask = (target) => server.ask('GET', target, undefined, { socketPath, host: undefined, port: undefined });
  assert.equal((await ask('/health')).status, 200);
  await server.stop();
  assert.ok(!fs.existsSync(socketPath), 'the socket goes with the server');
  const both = await start(['-c', '256', '--host', `127.0.0.1,${socketPath}`]);
  await eventually('both are announced', () => (both.log.match(/server is listening on/g) ?? []).length === 2);
  both.url = both.log.match(/http:\/\/127\S+/)[0];
  await both.get('/health');
  assert.equal((await both.ask('GET', '/health', undefined, { socketPath, host: undefined, port: undefined })).status, 200);
  await both.stop();
});

test('--api-prefix stands in front of every path', async () => {
  const server = await start(['-c', '256', '--api-prefix', '/llm']);
  for (const target of ['/llm/health', '/llm/v1/models', '/llm/props']) await server.get(target);
  assert.equal((await server.ask('GET', '/llm/')).status, 200);
  for (const target of ['/health', '/v1/models', '/']) {
    assert.equal((await server.ask('GET', target)).status, 404, target);
  }
  await server.stop();
});

test('a port can be named, an old script\'s flags are understood', async () => {
  const port = await freePort();
  const server = await start(['--port', String(port), '-c', '1024', '-ngl', '99', '-fa', '--no-mmap', '--mlock',
    '-mtp', '--draft-max', '3', '--draft-min=1', '--cont-batching', '-ctk', 'q8_0', '--no-context-shift',
    '--batch_size', '64', '--reasoning-budget', '0']);
  assert.equal(new URL(server.url).port, String(port));
  const props = await server.get('/props');
  assert.deepEqual([props.speculative.type, props.speculative.n_max, props.speculative.n_min], ['draft-mtp', 3, 1]);
  const { prompt } = await server.post('/apply-template', { messages: [{ role: 'user', content: 'Hi' }] });
  assert.match(prompt, /<think>\n\n<\/think>/);
  await server.stop();
});

test('a stream that waits for a slot has no status yet, and can leave', async () => {
  const server = await start(['-c', '32768', '-np', '1', '-b', '16']);
  const blocker = await begun(server, { ...LONG, n_predict: 30000 });
  // Nothing is settled, so nothing may be sent: an error would need another status.
  const waiting = server.open('POST', '/completion', { prompt: 'y', n_predict: 2, stream: true, sse_ping_interval: 1 });
  waiting.on('error', () => {});
  let early = false;
  waiting.on('response', () => { early = true; });
  await new Promise((resolve) => setTimeout(resolve, 1500));
  assert.equal(early, false, 'a status before a slot');
  waiting.destroy();
  blocker.request.destroy();
  await server.idle();
  await server.stop();
});
