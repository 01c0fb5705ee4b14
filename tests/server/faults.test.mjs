// Point 18 and what goes with it: clients that leave, that send rubbish, that are slow, that ask for
// too much. The server stays up, lets every slot go, and the text of others is unharmed.
// FAULT_SECONDS (20) is how long clients come and go.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, test } from 'node:test';

import { PATIENCE_MS, QUESTIONS, greedy, question, sleep, start } from './harness.mjs';

const SECONDS = Number(process.env.FAULT_SECONDS ?? 20);
let server;
let expected;
before(async () => {
  server = await start(['-c', '4096', '-np', '4', '-b', '64', '--metrics', '--spec-draft-fixed',
    '--spec-draft-n-max', '3']);
  expected = await Promise.all(QUESTIONS.map((text) => server.post('/completion', greedy(question(text)))));
});
after(() => server.stop());

/** What everybody else gets, while something goes wrong somewhere. */
async function othersAreWell() {
  for (const [i, text] of QUESTIONS.entries()) {
    const answer = await server.post('/completion', greedy(question(text)));
    assert.equal(answer.content, expected[i].content);
  }
  assert.deepEqual(await server.get('/health'), { status: 'ok' });
}

test('point 18: clients that leave at any moment leave no trace', async () => {
  let seed = 12345;
  const random = (n) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % n;
  };
  const KINDS = [
    () => ['/completion', { prompt: question('Tell me about ' + 'foxes and owls '.repeat(random(50))), n_predict: 400, ignore_eos: true }],
    () => ['/v1/chat/completions', { messages: [{ role: 'user', content: 'Who are you?' }], max_tokens: 300, ignore_eos: true }],
    () => ['/v1/messages', { messages: [{ role: 'user', content: 'Hi' }], max_tokens: 300, ignore_eos: true }],
    () => ['/v1/responses', { input: 'Hi', ignore_eos: true, max_output_tokens: 300 }],
    () => ['/v1/completions', { prompt: ['a', 'b', 'c'], max_tokens: 100, n: 2, ignore_eos: true }],
  ];
  const end = Date.now() + SECONDS * 1000;
  let nLeft = 0;
  async function leaver() {
    while (Date.now() < end) {
      const [target, body] = KINDS[random(KINDS.length)]();
      const request = server.open('POST', target, { ...body, stream: random(4) > 0 });
      request.on('error', () => {});
      request.on('response', (response) => response.on('error', () => {}).resume());
      await sleep(random(5) === 0 ? 0 : random(120));
      request.destroy();
      ++nLeft;
    }
  }
  async function stayer(first) {
    let n = 0;
    for (let i = first; Date.now() < end; i = (i + 1) % QUESTIONS.length) {
      const body = greedy(question(QUESTIONS[i]));
      const streamed = n % 2 === 1;
      const content = streamed
        ? (await server.stream('/completion', body)).records.map((record) => record.content).join('')
        : (await server.post('/completion', body)).content;
      assert.equal(content, expected[i].content);
      ++n;
    }
    return n;
  }
  const [stayed] = await Promise.all([stayer(0), stayer(3), leaver(), leaver(), leaver()]);
  assert.ok(stayed > 0 && nLeft > SECONDS);
  await server.idle();
  const metrics = (await server.ask('GET', '/metrics')).text;
  assert.match(metrics, /^llamacpp:requests_processing 0$/m);
  assert.match(metrics, /^llamacpp:requests_deferred 0$/m);
  await othersAreWell();
});

test('a client that leaves is noticed at the next token', async () => {
  const request = server.open('POST', '/completion', { prompt: 'x', n_predict: -1, ignore_eos: true, stream: true });
  request.on('error', () => {});
  await new Promise((resolve) => request.on('response', (response) => {
    response.on('error', () => {});
    response.once('data', resolve);
  }));
  assert.equal(await server.busySlots(), 1);
  request.destroy();
  await server.idle();
  // It had a thousand tokens to go.
  const slot = (await server.get('/slots')).find((one) => one.id_task);
  assert.ok(slot);
});

test('bodies that are no JSON, no UTF-8, no object, too deep or too long are answered', async () => {
  const deep = (open, n) => open.repeat(n);
  const rubbish = ['', '{', 'null', '[]', '7', '"x"', '{"prompt":', '{"prompt":"x"}}', "{'prompt':'x'}",
    '{"prompt":"\\ud800"}', '{"prompt":"a","prompt":', 'NaN', '{"n_predict":1e999999}', '\u0000', '{"a":01}',
    deep('[', 100000), `{"a":${deep('{"a":', 5000)}`, `{"prompt":${deep('[', 200)}${deep(']', 200)}}`];
  for (const target of ['/completion', '/v1/completions', '/v1/chat/completions', '/v1/responses',
    '/v1/messages', '/v1/messages/count_tokens', '/tokenize', '/detokenize', '/apply-template', '/infill']) {
    for (const body of rubbish) {
      const answer = await server.ask('POST', target, body);
      assert.equal(answer.status, 400, `${target}: ${body.slice(0, 40)}: ${answer.text.slice(0, 200)}`);
      assert.equal(answer.json.error.type, 'invalid_request_error');
      assert.ok(answer.text.length < 2000, 'an error does not repeat its request');
    }
    for (const bytes of [[0xff, 0xfe], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80], [0xc0, 0xaf]]) {
      const body = Buffer.concat([Buffer.from('{"prompt":"a'), Buffer.from(bytes), Buffer.from('"}')]);
      const answer = await server.ask('POST', target, body);
      assert.equal(answer.status, 400);
      JSON.stringify(answer.json);
    }
  }
  await othersAreWell();
});

test('a body of gigabytes is refused before it is sent', async () => {
  const text = await server.raw('POST /completion HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n'
    + 'content-length: 90000000000\r\n\r\n{"prompt":"', (seen) => seen.includes('\r\n\r\n'));
  assert.match(text, /^HTTP\/1\.1 413 /);
  const chunked = await server.raw('POST /completion HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n'
    + 'ffffffffffff\r\n', (seen) => seen.includes('\r\n\r\n'));
  assert.match(chunked, /^HTTP\/1\.1 4\d\d /);
});

test('what is not HTTP, or says its length twice, is refused and the connection closed', async () => {
  for (const [bytes, status] of [
    ['GARBAGE\r\n\r\n', 400], ['GET /health\r\n\r\n', 400], ['GET /health HTTP/9.9\r\nhost: x\r\n\r\n', '(400|505)'],
    [`GET /${'a'.repeat(1 << 20)} HTTP/1.1\r\nhost: x\r\n\r\n`, '(414|431)'],
    [`GET /health HTTP/1.1\r\nhost: x\r\n${'x: y\r\n'.repeat(100000)}\r\n`, 431],
    ['POST /tokenize HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}', 400],
    ['POST /tokenize HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}', 400],
    ['POST /tokenize HTTP/1.1\r\nhost: x\r\ncontent-length: -2\r\n\r\n{}', 400],
    ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400]]) {
    const text = await server.raw(bytes);
    assert.match(text, new RegExp(`^HTTP/1\\.[01] ${status} `), JSON.stringify(bytes.slice(0, 50)));
    assert.match(text, /connection: close/i);
  }
});

test('slow-loris: heads and bodies that drip hold up nobody and do not last', async () => {
  const slow = await start(['-c', '256', '--timeout', '2']);
  const closed = [];
  for (let i = 0; i < 200; ++i) {
    closed.push(new Promise((resolve) => {
      const socket = net.connect(slow.address, () => {
        socket.write(i % 2 === 0 ? 'GET /health HTTP/1.1\r\nx-a: '
          : 'POST /completion HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{"pr');
      });
      const drip = setInterval(() => socket.write('a'), 300);
      socket.setTimeout(PATIENCE_MS, () => socket.destroy());
      socket.on('error', () => {});
      socket.on('data', () => {});
      socket.on('close', () => {
        clearInterval(drip);
        resolve();
      });
    }));
  }
  for (let i = 0; i < 5; ++i) {
    assert.deepEqual(await slow.get('/health'), { status: 'ok' });
    await slow.post('/completion', { prompt: 'x', n_predict: 2 });
  }
  const begun = Date.now();
  await Promise.all(closed);
  assert.ok(Date.now() - begun < PATIENCE_MS, 'the server closed them');
  await slow.stop();
});

test('a reader that stops reading stalls nobody', async () => {
  const socket = net.connect(server.address);
  const body = JSON.stringify({ prompt: 'x', n_predict: 1000, ignore_eos: true, stream: true, n_probs: 500 });
  await new Promise((resolve) => socket.on('connect', resolve));
  socket.pause();
  socket.write(`POST /completion HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  await othersAreWell();
  socket.destroy();
  await server.idle();
});

test('template variables that are bombs end as errors or answers, soon', async () => {
  const nested = (depth) => (depth === 0 ? 1 : { a: nested(depth - 1) });
  for (const kwargs of [{ enable_thinking: [] }, { a: 'x'.repeat(1 << 20) }, nested(90),
    { tools: [{}] }, { messages: 'x' }, { preserve_thinking: { toString: 1 } },
    Object.fromEntries(Array.from({ length: 16000 }, (_, i) => [`k${i}`, i]))]) {
    const answer = await server.ask('POST', '/apply-template',
      { messages: [{ role: 'user', content: 'x' }], chat_template_kwargs: kwargs });
    assert.ok([200, 400].includes(answer.status), answer.text.slice(0, 200));
  }
  const long = await server.ask('POST', '/apply-template',
    { messages: Array.from({ length: 5000 }, (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content: `${i}` })) });
  assert.ok([200, 400].includes(long.status));
  await othersAreWell();
});

test('templates that are bombs: the server starts or says why, requests are 400', async () => {
  const BOMBS = [
    "{% for a in range(1000000000) %}x{% endfor %}",
    "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}",
    "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    "{{ 'x' * 100000000000 }}", "{{ raise_exception('no') }}", "{{ messages[0].content.x.y.z }}",
    "{{ '%s' % messages }}", `${'{% if true %}'.repeat(300)}x${'{% endif %}'.repeat(300)}`,
    `{{ ${'('.repeat(300)}1${')'.repeat(300)} }}`];
  await Promise.all([0, 1].map(async (part) => {
    for (const [i, bomb] of BOMBS.entries()) {
      if (i % 2 !== part) continue;
      let one;
      try {
        one = await start(['-c', '256', '--chat-template', bomb]);
      } catch (error) {
        assert.match(error.message, /ended \(1\)/, bomb.slice(0, 60));
        continue;
      }
      const answer = await one.ask('POST', '/v1/chat/completions',
        { messages: [{ role: 'user', content: 'x' }], max_tokens: 1 });
      assert.ok([200, 400].includes(answer.status), `${bomb.slice(0, 60)}: ${answer.status} ${answer.text.slice(0, 200)}`);
      assert.deepEqual(await one.get('/health'), { status: 'ok' });
      await one.stop();
    }
  }));
});

test('schemas and grammars that are bombs end as errors or answers, soon', async () => {
  const many = (n, make) => Array.from({ length: n }, (_, i) => make(i));
  const nested = (n) => (n === 0 ? { type: 'string' } : { type: 'array', items: nested(n - 1) });
  const schemas = [
    { $ref: '#' }, { $ref: '#/definitions/a', definitions: { a: { $ref: '#/definitions/b' }, b: { $ref: '#/definitions/a' } } },
    { type: 'string', pattern: '^(a+)+$' }, { type: 'string', pattern: '(((((((((a{9}){9}){9}){9}){9}){9}){9}){9}){9})' },
    { type: 'string', minLength: 1e9 }, { type: 'string', maxLength: 2 ** 31 }, { type: 'array', minItems: 1e7, items: nested(20) },
    { allOf: many(60, (i) => ({ anyOf: many(60, (k) => ({ properties: { [`p${i}_${k}`]: { type: 'integer' } } })) })) },
    { type: 'object', properties: Object.fromEntries(many(2000, (i) => [`p${i}`, { type: 'string' }])) },
    { enum: many(20000, (i) => `value ${i}`) }, nested(80), { type: 'integer', minimum: -1e300, maximum: 1e300 },
    { $ref: 'http://127.0.0.1:1/x' }, { $ref: 'file:///etc/passwd' }];
  for (const schema of schemas) {
    const answer = await server.ask('POST', '/completion', { prompt: 'x', n_predict: 12, json_schema: schema });
    assert.ok([200, 400].includes(answer.status), `${JSON.stringify(schema).slice(0, 80)}: ${answer.text.slice(0, 200)}`);
  }
  const grammars = [
    'root ::= root', 'root ::= root "a" | "a"', 'root ::= a\na ::= b\nb ::= a', 'root ::= ("a"*)*', 'root ::= (("a"*)*)*"b"',
    `root ::= ${'('.repeat(5000)}"a"${')'.repeat(5000)}`, 'root ::= "a"{1000000000}', 'root ::= (((("a"{999}){999}){999}){999})',
    `root ::= ${many(3000, (i) => `"${i}"`).join(' | ')}`, many(3000, (i) => `r${i} ::= r${i + 1} r${i + 1}`).join('\n') + '\nr3000 ::= "a"\nroot ::= r0',
    'root ::= [a-z', 'root ::= "\\xZZ"', 'x ::= "a"', `root ::= "${'a'.repeat(1 << 20)}"`,
    `root ::= ${many(40, () => '("a" | "a" "a")?').join(' ')} "b"`];
  for (const grammar of grammars) {
    const answer = await server.ask('POST', '/completion', { prompt: 'x', n_predict: 12, grammar });
    assert.ok([200, 400].includes(answer.status), `${grammar.slice(0, 80)}: ${answer.text.slice(0, 200)}`);
  }
  await othersAreWell();
});

test('numbers at the ends of their ranges harm nobody', async () => {
  const extremes = [-(2 ** 63), -(2 ** 31), -1, 0, 1e-45, 1e308, -1e308, 2 ** 31, 2 ** 53, 2 ** 64];
  for (const field of ['n_predict', 'seed', 'temperature', 'top_k', 'top_p', 'min_p', 'typical_p', 'top_n_sigma',
    'repeat_last_n', 'repeat_penalty', 'presence_penalty', 'frequency_penalty', 'dry_multiplier', 'dry_base',
    'dry_allowed_length', 'dry_penalty_last_n', 'n_probs', 'min_keep', 'id_slot', 'n', 'n_indent', 't_max_predict_ms',
    'speculative.n_max', 'speculative.n_min', 'speculative.p_min', 'sse_ping_interval', 'reasoning_budget_tokens']) {
    for (const value of extremes) {
      const answer = await server.ask('POST', '/completion',
        { prompt: 'x', n_predict: 3, response_fields: ['content'], [field]: value, ...(field === 'n_predict' ? { stop: ['\n'] } : {}) });
      assert.ok([200, 400].includes(answer.status), `${field} ${value}: ${answer.text.slice(0, 200)}`);
    }
  }
  await othersAreWell();
});
