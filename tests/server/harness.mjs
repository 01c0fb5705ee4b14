// The program under test, and plain HTTP to it: no client library, so that what is asserted is what
// is on the wire. Needs Node.js 18 and nothing else.
//
// FORETOKEN_PROGRAM is the program, FORETOKEN_MODEL a file to serve (the tiny model when absent).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

export const source = fileURLToPath(new URL('../..', import.meta.url));
export const program = process.env.FORETOKEN_PROGRAM ?? path.join(source, 'build/release/foretoken');
export const model = process.env.FORETOKEN_MODEL ?? path.join(source, 'models/tiny/tiny-paw-BF16.gguf');

/** Generous, for a machine that is busy: nothing here measures time, it only must not hang. */
export const PATIENCE_MS = 120_000;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks `condition` again and again until it holds; `what` is for the failure. */
export async function eventually(what, condition) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < deadline, `never happened: ${what}`);
    await sleep(20);
  }
}

const folders = [];
/** An empty folder that goes away with the test program. */
export function temporaryFolder() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'foretoken-server-'));
  folders.push(folder);
  return folder;
}

export function freePort() {
  return new Promise((resolve) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

const running = new Set();
// What a failed test left running would keep this program alive for ever.
after(() => {
  setTimeout(() => {
    for (const server of running) server.kill('SIGKILL');
  }, 30_000).unref();
});
process.on('exit', () => {
  for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true });
});

/** One process of `program serve`. */
export class Server {
  /** Starts it; `ready` resolves once it listens and rejects when it ends before. */
  constructor(args, { env = {}, modelFile = model } = {}) {
    this.log = '';
    this.child = spawn(program, ['serve', '-m', modelFile, '--log-timestamps', ...args], {
      stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env },
    });
    running.add(this);
    this.exited = new Promise((resolve) => {
      this.child.on('close', (code, signal) => {
        running.delete(this);
        resolve({ code, signal });
      });
    });
    this.ready = new Promise((resolve, reject) => {
      this.child.stderr.setEncoding('utf8');
      this.child.stderr.on('data', (piece) => {
        this.log += piece;
        const found = this.log.match(/server is listening on (\S+)/);
        if (found) {
          this.url ??= found[1];
          resolve(this);
        }
      });
      this.child.on('error', reject);
      this.exited.then(({ code, signal }) =>
        reject(new Error(`the server ended (${code ?? signal}) before it listened:\n${this.log}`)));
    });
    this.ready.catch(() => {});
  }

  /** Where requests go: host and port, or the path of a socket. */
  get address() {
    if (this.url.startsWith('unix:')) return { socketPath: this.url.replace(/^unix:(\/\/)?/, '') };
    const { hostname, port } = new URL(this.url);
    return { host: hostname, port: Number(port) };
  }

  kill(signal) {
    this.child.kill(signal);
    return this.exited;
  }

  /** Ends it as a supervisor does, and holds it to a clean end. */
  async stop() {
    const { code, signal } = await this.kill('SIGTERM');
    assert.equal(code, 0, `ended with ${code ?? signal}:\n${this.log}`);
  }

  /** One request; resolves with status, headers, text and, where it is JSON, json. */
  ask(method, target, body, { headers = {}, ...more } = {}) {
    return new Promise((resolve, reject) => {
      const request = this.open(method, target, body, headers, more);
      request.on('error', reject);
      request.on('response', (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (piece) => { text += piece; });
        response.on('error', reject);
        response.on('end', () => {
          const answer = { status: response.statusCode, headers: response.headers, text };
          try {
            answer.json = JSON.parse(text);
          } catch {
            answer.json = undefined;
          }
          resolve(answer);
        });
      });
    });
  }

  /** The request itself, sent; for those who want to watch or break it. */
  open(method, target, body, headers = {}, more = {}) {
    const bytes = body === undefined || typeof body === 'string' || Buffer.isBuffer(body)
      ? body : JSON.stringify(body);
    const request = (this.url?.startsWith('https') ? https : http).request({
      ...(this.url ? this.address : {}), method, path: target, agent: false, timeout: PATIENCE_MS,
      headers: {
        ...(bytes === undefined ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(bytes) }),
        ...headers,
      },
      ...more,
    });
    request.on('timeout', () => request.destroy(new Error(`${target}: no answer for too long`)));
    request.end(bytes);
    return request;
  }

  async get(target, options) {
    const answer = await this.ask('GET', target, undefined, options);
    assert.equal(answer.status, 200, `${target}: ${answer.text}`);
    return answer.json;
  }

  /** The JSON of a request that must succeed. */
  async post(target, body, options) {
    const answer = await this.ask('POST', target, body, options);
    assert.equal(answer.status, 200, `${target}: ${answer.text}`);
    return answer.json;
  }

  /** The error object of a request that must fail with `status`, and as the specification says. */
  async refused(status, target, body, { method = 'POST', ...options } = {}) {
    const answer = await this.ask(method, target, body, options);
    assert.equal(answer.status, status, `${target}: ${answer.text}`);
    const error = answer.json?.error;
    assert.ok(error, `${target}: ${answer.text}`);
    assert.equal(error.code, status);
    assert.equal(typeof error.message, 'string');
    assert.ok(error.message.length > 0);
    assert.equal(typeof error.type, 'string');
    return error;
  }

  /** A stream, read to its end: `records` as JSON, `names` of events, `done` for [DONE]. */
  async stream(target, body, options) {
    const answer = await this.ask('POST', target, { ...body, stream: true }, options);
    assert.equal(answer.status, 200, `${target}: ${answer.text}`);
    assert.match(answer.headers['content-type'], /^text\/event-stream/);
    return readEvents(answer.text);
  }

  /** Sends these bytes and returns all that comes back until the server closes (or `until` holds). */
  raw(bytes, until = () => false) {
    return new Promise((resolve, reject) => {
      const socket = net.connect(this.address, () => socket.write(bytes));
      let text = '';
      socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error('the connection stays open')));
      socket.setEncoding('utf8');
      socket.on('data', (piece) => {
        text += piece;
        if (until(text)) socket.destroy();
      });
      socket.on('error', (error) => (text ? resolve(text) : reject(error)));
      socket.on('close', () => resolve(text));
    });
  }

  /** Slots that are busy now. */
  async busySlots() {
    return (await this.get('/slots')).filter((slot) => slot.is_processing).length;
  }

  idle() {
    return eventually('all slots idle', async () => (await this.busySlots()) === 0);
  }
}

/** Records of an event stream. */
export function readEvents(text) {
  const out = { records: [], names: [], comments: 0, done: false };
  for (const block of text.split('\n\n')) {
    if (block === '') continue;
    let name = '';
    for (const line of block.split('\n')) {
      if (line.startsWith(':')) {
        ++out.comments;
      } else if (line.startsWith('event: ')) {
        name = line.slice(7);
      } else if (line === 'data: [DONE]') {
        out.done = true;
      } else {
        assert.ok(line.startsWith('data: '), `not a record: ${line}`);
        assert.ok(!out.done, 'a record after [DONE]');
        out.records.push(JSON.parse(line.slice(6)));
        out.names.push(name);
      }
    }
  }
  return out;
}

/** A server that listens on a free port. */
export const start = (args = [], options = {}) =>
  new Server(['--host', '127.0.0.1', '--port', '0', ...args], options).ready;

/** A prompt in the model's own layout, thinking switched off. */
export const question = (text) =>
  `<|im_start|>user\n${text}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n`;

/** Questions that the tiny model has something to say to. */
export const QUESTIONS = [
  'What is the capital of France?', 'Who are you?', 'Tell me a short story about a fox.',
  'Count from 3 to 20.', 'Write a C++ function that adds two numbers.', 'Name three colours.',
  'What is 12 + 30?', 'Say hello in German.',
];

/** The fields of a greedy completion. */
export const greedy = (prompt, more = {}) => ({ prompt, temperature: 0, n_predict: 48, ...more });
