// Point 1 of what clients rely on: what supervisors and front ends ask before anything else, who is
// let in, and how errors look.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Server, freePort, eventually, model, source, start, temporaryFolder } from './harness.mjs';

let server;
before(async () => {
  server = await start(['-c', '512', '-np', '2', '--alias', 'tiny,paw', '--tags', 'small,hybrid']);
});
after(() => server.stop());

test('health is open and says ok', async () => {
  assert.deepEqual(await server.get('/health'), { status: 'ok' });
  assert.deepEqual(await server.get('/v1/health'), { status: 'ok' });
});

test('props have every key that clients probe', async () => {
  const props = await server.get('/props');
  for (const key of ['default_generation_settings', 'total_slots', 'model_alias', 'model_path',
    'model_ftype', 'modalities', 'media_marker', 'endpoint_slots', 'endpoint_props',
    'endpoint_metrics', 'ui', 'ui_settings', 'chat_template', 'chat_template_caps', 'bos_token',
    'eos_token', 'build_info', 'is_sleeping', 'cors_proxy_enabled', 'speculative']) {
    assert.ok(key in props, key);
  }
  assert.equal(props.total_slots, 2);
  assert.equal(props.default_generation_settings.n_ctx, 256);
  assert.equal(props.model_alias, 'tiny');
  assert.equal(props.model_path, model);
  assert.deepEqual(props.modalities, { vision: false, audio: false, video: false });
  assert.equal(props.eos_token, '<|im_end|>');
  assert.equal(props.is_sleeping, false);
  assert.equal(props.speculative.mtp_present, true);
  assert.match(props.chat_template, /<\|im_start\|>/);
  // Pictures are marked by something that nobody can guess and write into a prompt.
  const other = await start(['-c', '64']);
  assert.notEqual((await other.get('/props')).media_marker, props.media_marker);
  await other.stop();
});

const SETTINGS = ['seed', 'temperature', 'dynatemp_range', 'dynatemp_exponent', 'top_k', 'top_p',
  'min_p', 'top_n_sigma', 'xtc_probability', 'xtc_threshold', 'typical_p', 'repeat_last_n',
  'repeat_penalty', 'presence_penalty', 'frequency_penalty', 'dry_multiplier', 'dry_base',
  'dry_allowed_length', 'dry_penalty_last_n', 'mirostat', 'mirostat_tau', 'mirostat_eta',
  'adaptive_target', 'adaptive_decay', 'max_tokens', 'n_predict', 'n_keep', 'n_discard',
  'ignore_eos', 'stream', 'n_probs', 'min_keep', 'chat_format', 'reasoning_format',
  'reasoning_in_content', 'generation_prompt', 'samplers', 'speculative.types', 'timings_per_token',
  'post_sampling_probs', 'backend_sampling', 'lora'];
const BULKY = ['dry_sequence_breakers', 'stop', 'logit_bias', 'grammar', 'grammar_lazy',
  'grammar_triggers', 'preserved_tokens'];

test('one object says the settings in answers, slots and props; bulk only in answers', async () => {
  const answer = await server.post('/completion', { prompt: 'Hi', n_predict: 1 });
  const { params } = (await server.get('/props')).default_generation_settings;
  const slot = (await server.get('/slots')).find((one) => one.params);
  for (const key of SETTINGS) {
    assert.ok(key in answer.generation_settings, `answer: ${key}`);
    assert.ok(key in params, `props: ${key}`);
    assert.ok(key in slot.params, `slots: ${key}`);
  }
  for (const key of BULKY) {
    assert.ok(key in answer.generation_settings, `answer: ${key}`);
    assert.ok(!(key in params) && !(key in slot.params), key);
  }
  assert.equal(params.seed, 4294967295);
  assert.equal(params.top_p, Math.fround(params.top_p));
});

test('the list of models names one, with its context', async () => {
  for (const target of ['/v1/models', '/models']) {
    const list = await server.get(target);
    assert.equal(list.object, 'list');
    assert.equal(list.data.length, 1);
    const [one] = list.data;
    assert.equal(one.id, 'tiny');
    assert.deepEqual(one.aliases, ['tiny', 'paw']);
    assert.deepEqual(one.tags, ['small', 'hybrid']);
    assert.equal(one.object, 'model');
    assert.equal(one.owned_by, 'llamacpp');
    assert.ok(Math.abs(one.created - Date.now() / 1000) < 600);
    for (const key of ['vocab_type', 'n_vocab', 'n_ctx', 'n_ctx_train', 'n_embd', 'n_params', 'size',
      'ftype']) assert.ok(key in one.meta, key);
    assert.equal(one.meta.n_ctx, 256);
    assert.equal(one.meta.n_vocab, 2048);
    assert.deepEqual(one.meta.mtp, { present: true, layers: 1, source: 'embedded' });
    assert.equal(list.models[0].model, 'tiny');
    assert.deepEqual(list.models[0].capabilities, ['completion']);
  }
});

test('slots show their shape, before and after a request', async () => {
  const fresh = await start(['-c', '512', '-np', '2']);
  for (const slot of await fresh.get('/slots')) {
    assert.deepEqual(Object.keys(slot), ['id', 'n_ctx', 'speculative', 'is_processing']);
    assert.equal(slot.n_ctx, 256);
  }
  await fresh.post('/completion', { prompt: 'Hi', n_predict: 3, id_slot: 1, ignore_eos: true });
  await fresh.idle();
  const slot = (await fresh.get('/slots'))[1];
  assert.equal(slot.n_prompt_tokens, slot.n_prompt_tokens_processed + slot.n_prompt_tokens_cache);
  assert.equal(slot.params.n_predict, 3);
  // What a finished request had left to say is nothing to an idle slot.
  assert.deepEqual(slot.next_token, [
    { has_next_token: false, has_new_line: false, n_remain: -1, n_decoded: 0 }]);
  assert.ok(!('prompt' in slot), 'prompts of others are nobody\'s business');
  await fresh.stop();
});

test('with every slot busy fail_on_no_slot is 503', async () => {
  const streams = [0, 1].map(() => server.open('POST', '/completion',
    { prompt: 'Once', n_predict: 200, ignore_eos: true, stream: true }));
  try {
    await eventually('both slots busy', async () => {
      const answer = await server.ask('GET', '/slots?fail_on_no_slot=1');
      if (answer.status !== 503) {
        for (const [i, one] of streams.entries()) {
          if (one.res?.complete) {
            streams[i] = server.open('POST', '/completion',
              { prompt: 'Once', n_predict: 200, ignore_eos: true, stream: true });
          }
        }
        return false;
      }
      assert.equal(answer.json.error.message, 'no slot available');
      assert.equal(answer.json.error.type, 'unavailable_error');
      return true;
    });
  } finally {
    for (const one of streams) one.on('error', () => {}).destroy();
  }
  await server.idle();
  assert.equal((await server.ask('GET', '/slots?fail_on_no_slot=1')).status, 200);
});

test('while the model loads everything but the page is 503, health too', async () => {
  const folder = temporaryFolder();
  const pipe = path.join(folder, 'template');
  execFileSync('mkfifo', [pipe]);
  const port = await freePort();
  // Reading the template is part of loading, and waits for the other end of the pipe.
  const loading = new Server(['--host', '127.0.0.1', '--port', String(port), '-c', '256',
    '--chat-template-file', pipe]);
  loading.url = `http://127.0.0.1:${port}`;
  await eventually('it answers', () => loading.ask('GET', '/health').then(() => true, () => false));
  for (const [method, target] of [['GET', '/health'], ['GET', '/v1/health'], ['GET', '/v1/models'],
    ['GET', '/props'], ['GET', '/slots'], ['GET', '/metrics'], ['POST', '/completion'],
    ['POST', '/v1/chat/completions'], ['POST', '/v1/messages'], ['POST', '/tokenize']]) {
    const error = await loading.refused(503, target, method === 'POST' ? {} : undefined, { method });
    assert.deepEqual([error.message, error.type], ['Loading model', 'unavailable_error'], target);
  }
  assert.equal((await loading.ask('GET', '/')).status, 200);
  assert.doesNotMatch(loading.log, /server is listening/);
  fs.writeFileSync(pipe, fs.readFileSync(path.join(source, 'models/tiny/chat_template.jinja')));
  await loading.ready;
  assert.match(loading.log, /model loaded[\s\S]*server is listening on http:\/\/127\.0\.0\.1:\d+/);
  assert.deepEqual(await loading.get('/health'), { status: 'ok' });
  await loading.stop();
});

test('a model that cannot be served ends the program with 1 and one sentence', async () => {
  const folder = temporaryFolder();
  const file = path.join(folder, 'broken.gguf');
  fs.writeFileSync(file, fs.readFileSync(model).subarray(0, 5000));
  const broken = new Server(['--port', '0'], { modelFile: file });
  assert.deepEqual(await broken.exited, { code: 1, signal: null });
  assert.match(broken.log, /broken\.gguf/);
  const { port } = server.address;
  const second = new Server(['--host', '127.0.0.1', '--port', String(port)]);
  assert.deepEqual(await second.exited, { code: 1, signal: null });
  assert.match(second.log, new RegExp(`${port}`));
  const unknown = new Server(['--no-such-flag']);
  assert.deepEqual(await unknown.exited, { code: 1, signal: null });
  assert.match(unknown.log, /error: invalid argument: --no-such-flag/);
});

test('unknown paths are 404, known ones with another method 405', async () => {
  for (const target of ['/nothing', '/v1/nothing', '/models/load', '/completion/x']) {
    const error = await server.refused(404, target, {});
    assert.deepEqual([error.message, error.type], ['File Not Found', 'not_found_error']);
  }
  for (const [method, target] of [['GET', '/completion'], ['DELETE', '/slots'], ['PUT', '/props'],
    ['POST', '/health']]) {
    const answer = await server.ask(method, target, method === 'GET' ? undefined : {});
    assert.equal(answer.status, 405, `${method} ${target}: ${answer.text}`);
    assert.ok(answer.headers.allow, 'names the methods');
    assert.equal(answer.json.error.code, 405);
  }
});

test('what this server does not do is said in words', async () => {
  for (const target of ['/v1/embeddings', '/embeddings', '/embedding', '/v1/rerank', '/rerank',
    '/v1/audio/transcriptions', '/lora-adapters']) {
    assert.equal((await server.refused(501, target, {})).type, 'not_supported_error', target);
  }
  assert.equal((await server.refused(501, '/props', {})).type, 'not_supported_error');
  assert.equal((await server.refused(501, '/slots/0?action=save', {})).type, 'not_supported_error');
  assert.equal((await server.refused(501, '/metrics', undefined, { method: 'GET' })).type,
    'not_supported_error');
  for (const target of ['/tools', '/cors-proxy']) {
    const error = await server.refused(403, target, undefined, { method: 'GET' });
    assert.equal(error.type, 'feature_disabled');
  }
  assert.deepEqual(await server.get('/lora-adapters'), []);
  const bare = await start(['-c', '64', '--no-slots', '--props', '--no-ui']);
  await bare.refused(501, '/slots', undefined, { method: 'GET' });
  assert.deepEqual(await bare.post('/props', {}), { success: true });
  await bare.refused(404, '/', undefined, { method: 'GET' });
  await bare.stop();
});

test('keys: either header, any of them, compared as a whole; health and the page are open', async () => {
  const folder = temporaryFolder();
  fs.writeFileSync(path.join(folder, 'keys'), 'from-a-file\n\nanother one\n');
  const closed = await start(['-c', '64', '--api-key', 'alpha,beta',
    '--api-key-file', path.join(folder, 'keys')]);
  const body = { content: 'x' };
  const open = (headers) => closed.ask('POST', '/tokenize', body, { headers });
  for (const headers of [{}, { authorization: 'Bearer gamma' }, { authorization: 'Bearer alph' },
    { authorization: 'Bearer alphaa' }, { authorization: 'Basic alpha' }, { authorization: 'Bearer ' },
    { authorization: '' }, { 'x-api-key': 'alpha,beta' }, { 'x-api-key': '' }]) {
    const answer = await open(headers);
    assert.equal(answer.status, 401, JSON.stringify(headers));
    assert.deepEqual(answer.json, { error: {
      message: 'Invalid API Key', type: 'authentication_error', code: 401 } });
  }
  for (const headers of [{ authorization: 'Bearer alpha' }, { authorization: 'beta' },
    { 'x-api-key': 'alpha' }, { 'x-api-key': 'from-a-file' }, { authorization: 'Bearer another one' },
    { authorization: 'Bearer wrong', 'x-api-key': 'beta' },
    { authorization: 'Bearer beta', 'x-api-key': 'wrong' }]) {
    assert.equal((await open(headers)).status, 200, JSON.stringify(headers));
  }
  for (const target of ['/v1/models', '/props', '/slots']) {
    await closed.refused(401, target, undefined, { method: 'GET' });
  }
  for (const target of ['/health', '/v1/health', '/']) {
    assert.equal((await closed.ask('GET', target)).status, 200, target);
  }
  const messages = await closed.ask('POST', '/v1/messages', {});
  assert.equal(messages.status, 401);
  assert.equal(messages.json.type, 'error');
  assert.equal(messages.json.error.type, 'authentication_error');
  const preflight = await closed.ask('OPTIONS', '/v1/chat/completions', undefined,
    { headers: { origin: 'http://a.example' } });
  assert.equal(preflight.status, 200);
  await closed.stop();
});

test('the key may come from the environment', async () => {
  const closed = await start(['-c', '64'], { env: { LLAMA_API_KEY: 'delta' } });
  await closed.refused(401, '/props', undefined, { method: 'GET' });
  await closed.get('/props', { headers: { 'x-api-key': 'delta' } });
  await closed.stop();
});

test('preflights are answered anywhere, and every answer names its origin', async () => {
  for (const target of ['/completions', '/v1/chat/completions', '/anything']) {
    const answer = await server.ask('OPTIONS', target, undefined, { headers: {
      origin: 'http://web.example', 'access-control-request-method': 'POST',
      'access-control-request-headers': 'Authorization' } });
    assert.equal(answer.status, 200);
    assert.equal(answer.text, '');
    assert.equal(answer.headers['access-control-allow-origin'], 'http://web.example');
    assert.equal(answer.headers['access-control-allow-credentials'], 'true');
    assert.equal(answer.headers['access-control-allow-methods'], 'GET, POST, DELETE, OPTIONS');
    assert.equal(answer.headers['access-control-allow-headers'], '*');
  }
  for (const [method, target, body] of [['GET', '/health'], ['GET', '/nothing'],
    ['POST', '/completion', { prompt: 'a', n_predict: 1, stream: true }], ['POST', '/completion', '{']]) {
    const answer = await server.ask(method, target, body, { headers: { origin: 'http://o.example' } });
    assert.equal(answer.headers['access-control-allow-origin'], 'http://o.example', target);
  }
});

test('--cors-origins localhost lets only pages of this machine in', async () => {
  const local = await start(['-c', '64', '--cors-origins', 'localhost']);
  const allowed = async (origin) =>
    (await local.ask('OPTIONS', '/completions', undefined, { headers: { origin } }))
      .headers['access-control-allow-origin'];
  for (const origin of ['http://localhost', 'http://localhost:8080', 'http://127.0.0.1:3000',
    'http://[::1]:3000']) {
    assert.equal(await allowed(origin), origin);
  }
  for (const origin of ['http://web.example', 'http://notlocalhost', 'http://localhost.evil.example']) {
    assert.equal(await allowed(origin), undefined);
  }
  await local.stop();
});

test('the server names itself, and answers say what they are', async () => {
  const answer = await server.ask('GET', '/props');
  assert.equal(answer.headers.server, 'foretoken');
  assert.equal(answer.headers['content-type'], 'application/json; charset=utf-8');
  const page = await server.ask('GET', '/');
  assert.match(page.headers['content-type'], /^text\/html/);
  assert.match(page.text, /<!doctype html>/i);
});

test('settings come from the command line, then the environment', async () => {
  const env = { LLAMA_ARG_N_PARALLEL: '3', LLAMA_ARG_CTX_SIZE: '600', LLAMA_ARG_ENDPOINT_METRICS: '1',
    LLAMA_ARG_NO_ENDPOINT_SLOTS: '1' };
  const one = await start(['-np', '2'], { env });
  const props = await one.get('/props');
  assert.equal(props.total_slots, 2);
  assert.equal(props.default_generation_settings.n_ctx, 300);
  assert.equal(props.endpoint_metrics, true);
  assert.equal(props.endpoint_slots, false);
  await one.stop();
});
