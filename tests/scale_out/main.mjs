// Three replicas of the server behind a real HAProxy with the configuration that is shipped. One is
// killed and one is stopped while requests run: what had not begun to stream is answered all the
// same, what had begun on the stopped one ends whole, and a conversation keeps to one replica.
// Usage: main.mjs SOURCE PROGRAM (Node 18 or later; haproxy in the PATH)
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import http from 'node:http';
import net from 'node:net';

const [source, program] = process.argv.slice(2);
const model = `${source}/models/tiny/tiny-paw-Q4_K_M.gguf`;
const N_TOKENS = 300;
const N_ANSWERS = Number(process.env.SCALE_OUT_REQUESTS ?? 48);

function freePort() {
  return new Promise((resolve) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

const children = [];
function start(command, args, options, wanted) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  children.push(child);
  child.log = '';
  const done = new Promise((resolve, reject) => {
    const read = (piece) => {
      child.log += piece;
      if (wanted.test(child.log)) resolve(child);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('exit', (code, signal) => reject(new Error(`${command} ended early (${code ?? signal}):\n${child.log}`)));
  });
  done.catch(() => {});
  return done;
}

const startReplica = (name, port) =>
  start(program, ['serve', '-m', model, '-c', '4096', '-np', '4', '-t', '1', '--host', '127.0.0.1',
                  '--port', String(port), '--alias', name, '--drain-seconds', '60'], {},
        /server is listening/);

/** POSTs JSON; resolves with status, body, and whether the answer had begun when it broke off. */
function post(port, path, body, headers = {}) {
  return new Promise((resolve) => {
    const text = JSON.stringify(body);
    const outcome = { status: 0, body: '', began: false, broke: false };
    const request = http.request({
      host: '127.0.0.1', port, path, method: 'POST', agent: false,
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers },
    }, (response) => {
      outcome.status = response.statusCode;
      outcome.began = true;
      response.setEncoding('utf8');
      response.on('data', (piece) => { outcome.body += piece; });
      response.on('end', () => resolve(outcome));
      response.on('aborted', () => { outcome.broke = true; resolve(outcome); });
      response.on('error', () => { outcome.broke = true; resolve(outcome); });
    });
    request.on('error', () => { outcome.broke = true; resolve(outcome); });
    request.end(text);
  });
}

const chat = (content, more = {}) => ({
  messages: [{ role: 'system', content: 'You are Paw.' }, { role: 'user', content }],
  temperature: 0, max_tokens: 60, ...more,
});
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function conversationsKeepToOneReplica(port) {
  const byHeader = new Map();
  for (let i = 0; i < 24; ++i) {
    const session = `session-${i % 6}`;
    const answer = await post(port, '/v1/chat/completions', chat(`Question ${i}`, { max_tokens: 2 }),
                              { 'x-session-id': session });
    assert.equal(answer.status, 200, answer.body);
    const replica = JSON.parse(answer.body).model;
    assert.equal(byHeader.get(session) ?? replica, replica, `${session} moved`);
    byHeader.set(session, replica);
  }
  assert.ok(new Set(byHeader.values()).size > 1, 'every session went to one replica');

  // Without a header the first two messages decide: later turns follow the first.
  const first = chat('Tell me about foxes.', { max_tokens: 4 });
  const turn1 = JSON.parse((await post(port, '/v1/chat/completions', first)).body);
  const turn2 = JSON.parse((await post(port, '/v1/chat/completions', {
    ...first,
    messages: [...first.messages, { role: 'assistant', content: turn1.choices[0].message.content ?? '' },
      { role: 'user', content: 'And about owls?' }],
  })).body);
  assert.equal(turn2.model, turn1.model);
  assert.ok(turn2.usage.prompt_tokens_details.cached_tokens > 0, 'its replica had nothing cached');
}

async function nothingIsLostWhen(what, port, act) {
  const answers = [];
  for (let i = 0; i < N_ANSWERS; ++i) {
    answers.push(post(port, '/v1/chat/completions',
                      chat(`Count from ${i} to ${i + 20}.`, { stream: i % 2 === 1, ignore_eos: true, max_tokens: N_TOKENS }),
                      { 'x-session-id': `load-${i}` }));
    if (i === N_ANSWERS / 2) await act();
    await sleep(15);
  }
  let broken = 0;
  for (const [i, answer] of (await Promise.all(answers)).entries()) {
    if (answer.broke && answer.began) {
      ++broken;
      assert.ok(i % 2 === 1, `answer ${i} broke off though it was not a stream`);
      continue;
    }
    assert.ok(!answer.broke, `${what}: request ${i} was lost before its answer began`);
    assert.equal(answer.status, 200, `${what}: request ${i}: ${answer.body}`);
    if (i % 2 === 1) assert.match(answer.body, /data: \[DONE\]\s*$/, `stream ${i} is not whole`);
    else assert.equal(JSON.parse(answer.body).usage.completion_tokens, N_TOKENS);
  }
  return broken;
}

async function main() {
  const ports = [await freePort(), await freePort(), await freePort()];
  const port = await freePort();
  const replicas = await Promise.all(ports.map((p, i) => startReplica(`replica${i + 1}`, p)));
  start('haproxy', ['-db', '-f', `${source}/deploy/haproxy.cfg`], {
    env: {
      ...process.env, FORETOKEN_BIND: `127.0.0.1:${port}`,
      ...Object.fromEntries(ports.map((p, i) => [`FORETOKEN_REPLICA_${i + 1}`, `127.0.0.1:${p}`])),
    },
  }, /$^/).catch((error) => console.error(error.message));
  for (let i = 0; i < 100; ++i) {  // until it accepts
    const answer = await post(port, '/v1/chat/completions', chat('Hi', { max_tokens: 1 }));
    if (answer.status === 200) break;
    await sleep(100);
  }

  await conversationsKeepToOneReplica(port);
  console.log('ok: a conversation keeps to one replica');

  const cut = await nothingIsLostWhen('a replica was killed', port, async () => {
    replicas[0].kill('SIGKILL');
  });
  console.log(`ok: one replica killed under load; ${N_ANSWERS} requests, ${cut} of them streams that had begun there, none lost`);

  replicas[0] = await startReplica('replica1', ports[0]);
  await sleep(2500);  // until the health check has seen it
  const cutByStop = await nothingIsLostWhen('a replica was stopped', port, async () => {
    replicas[1].kill('SIGTERM');
  });
  assert.equal(cutByStop, 0, 'a stopped replica finishes what it has begun');
  console.log(`ok: one replica stopped under load; ${N_ANSWERS} requests, none lost, no stream cut`);
}

main().then(() => 0, (error) => {
  console.error(error);
  for (const child of children) if (/haproxy/.test(child.spawnfile)) console.error(child.log);
  return 1;
}).then((status) => {
  for (const child of children) if (child.exitCode === null) child.kill('SIGKILL');
  process.exit(status);
});
