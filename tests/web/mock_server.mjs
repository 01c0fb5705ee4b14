// A server that speaks like `foretoken serve` without a model: the page's files with the same headers,
// and scripted replies streamed chunk by chunk with timings, so that the page's tests can have any
// reply they need. Usage: node mock_server.mjs DIST [PORT]
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { replyTo } from './mock_replies.mjs';

const types = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; " +
  "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const head = (id) => ({
  created: 1764000000,
  id,
  model: 'tiny-mock',
  system_fingerprint: 'b1-ft0000000',
  object: 'chat.completion.chunk',
});

/** Counts tokens as a server with an MTP head would: rounds of up to three drafts. */
class Drafting {
  kept = [3, 1, 2, 3, 0, 2, 3];
  round = 0;
  left = 0;
  timings;

  constructor(prompt, cached, drafts) {
    this.drafts = drafts;
    this.timings = {
      cache_n: cached, prompt_n: prompt - cached, prompt_ms: 12, prompt_per_token_ms: 0.1,
      prompt_per_second: 900, predicted_n: 0, predicted_ms: 0, predicted_per_token_ms: 0,
      predicted_per_second: 0,
    };
  }

  /** The timings with the next token. */
  next() {
    const t = this.timings;
    t.predicted_n += 1;
    t.predicted_ms += 8;
    t.predicted_per_second = ((t.predicted_n - 1) * 1000) / t.predicted_ms;
    if (this.drafts === 0) return { ...t };
    if (this.left > 0) {
      this.left -= 1;
      t.draft_n_accepted += 1;
      t.draft_per_pos[this.position++] += 1;
    } else {
      t.draft_kind = 'draft-mtp';
      t.draft_n = (t.draft_n ?? 0) + this.drafts;
      t.draft_n_accepted ??= 0;
      t.draft_rounds = (t.draft_rounds ?? 0) + 1;
      t.draft_per_pos ??= Array(this.drafts).fill(0);
      t.draft_ms = t.draft_rounds * 1.5;
      t.verify_ms = t.draft_rounds * 11;
      this.position = 0;
      this.left = Math.min(this.drafts, this.kept[this.round++ % this.kept.length]);
    }
    return { ...t, draft_per_pos: [...t.draft_per_pos] };
  }
}

/** The mock's state is what tests look at: requests seen, whether a reply was cut short. */
export function startMock(dist, port = 0) {
  const state = { requests: [], aborted: 0, ended: new Set(), loading: false, key: '', vision: false };
  const server = createServer((request, response) => {
    handle(state, dist, request, response).catch((error) => {
      if (!response.headersSent) fail(response, 500, 'server_error', String(error));
      else response.destroy();
    });
  });
  return new Promise((resolve) => {
    server.listen(port, '127.0.0.1', () => {
      const stop = () => {
        server.closeAllConnections();
        return new Promise((closed) => server.close(closed));
      };
      resolve({ url: `http://127.0.0.1:${server.address().port}/`, state, stop });
    });
  });
}

async function handle(state, dist, request, response) {
  const path = new URL(request.url, 'http://mock').pathname;
  if (path === '/health') {
    return state.loading ? loading(response) : json(response, 200, { status: 'ok' });
  }
  const api = { '/props': props, '/v1/spec': speculation, '/v1/chat/completions': chat,
    '/v1/chat/completions/control': control }[path];
  if (!api) return file(dist, path, response);
  if (state.key && request.headers.authorization !== `Bearer ${state.key}`) {
    return fail(response, 401, 'authentication_error', 'Invalid API Key');
  }
  if (state.loading) return loading(response);
  let body = '';
  for await (const piece of request) body += piece;
  return api(state, response, body === '' ? {} : JSON.parse(body), request);
}

function json(response, status, value) {
  response.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify(value));
}

function fail(response, code, type, message, more = {}) {
  json(response, code, { error: { code, message, type, ...more } });
}

const loading = (response) => fail(response, 503, 'unavailable_error', 'Loading model');

async function file(dist, path, response) {
  try {
    const name = path === '/' ? 'index.html' : path.slice(1);
    if (name.includes('..')) throw new Error('outside');
    const content = await readFile(join(dist, name));
    response.writeHead(200, {
      'Content-Type': types[extname(name)] ?? 'application/octet-stream',
      'Content-Security-Policy': policy,
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
      'Cache-Control': 'no-cache',
    });
    response.end(content);
  } catch {
    fail(response, 404, 'not_found_error', 'File Not Found');
  }
}

function props(state, response) {
  json(response, 200, {
    default_generation_settings: {
      params: { temperature: 0.8, top_p: 0.95, top_k: 40, min_p: 0.05, presence_penalty: 0 },
      n_ctx: 8192,
    },
    total_slots: 4,
    model_alias: 'tiny-mock',
    model_ftype: 'Q4_K - Medium',
    modalities: { vision: state.vision, audio: false, video: false },
    build_info: 'b1-ft0000000',
    speculative: { type: 'draft-mtp', n_max: 3, n_min: 0, p_min: 0, adaptive: true, mtp_present: true },
  });
}

function speculation(state, response) {
  json(response, 200, {
    type: 'draft-mtp', n_max: 3, n_min: 0, p_min: 0, adaptive: true, mtp_present: true, parked: false,
    expected_speedup: 1.84, acceptance_per_pos: [0.86, 0.71, 0.52], verify_ms_by_width: [9, 9.4, 9.9, 10.6],
    draft_step_ms: 0.6, drafted: 1200, accepted: 830, rounds: 400,
    rounds_by_depth: [20, 60, 120, 200],
  });
}

function control(state, response, body) {
  state.ended.add(body.id);
  json(response, 200, { success: true });
}

async function chat(state, response, body, request) {
  state.requests.push(body);
  const last = body.messages.at(-1);
  const text = typeof last.content === 'string' ? last.content : JSON.stringify(last.content);
  if (/\boverflow\b/.test(text)) {
    return fail(response, 400, 'exceed_context_size_error', 'request is too long',
      { n_prompt_tokens: 9001, n_ctx: 8192 });
  }
  let gone = false;
  response.on('close', () => {
    if (!response.writableFinished) state.aborted += 1;
    gone = true;
  });
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  const id = `chatcmpl-mock${state.requests.length}`;
  const send = (more, delta, finish_reason = null) => {
    const choices = delta ? [{ finish_reason, index: 0, delta }] : [];
    response.write(`data: ${JSON.stringify({ choices, ...head(id), ...more })}\n\n`);
  };
  const prompt = body.messages.length * 11 + (/\blong\b/.test(text) ? 4000 : 0);
  const cached = body.messages.length > 1 ? (body.messages.length - 1) * 11 : 0;
  await sendProgress(send, prompt, cached);

  const reply = replyTo(text, {
    thinking: body.chat_template_kwargs?.enable_thinking === true,
    tools: body.tools,
    answersTool: last.role === 'tool',
  });
  const drafting = new Drafting(prompt, cached, body['speculative.n_max'] ?? 3);
  for (const delta of reply.deltas) {
    if (gone) return undefined;
    if (state.ended.has(id) && delta.reasoning_content) continue;
    send({ timings: drafting.next() }, delta);
    if (/\bbreak\b/.test(text) && drafting.timings.predicted_n === 3) {
      response.write(`data: ${JSON.stringify({ error: { code: 500, message: 'The mock broke.', type: 'server_error' } })}\n\n`);
      return response.end();
    }
    if (/\bvanish\b/.test(text) && drafting.timings.predicted_n === 3) return response.destroy();
    if (reply.delay) await sleep(reply.delay);
  }
  const timings = drafting.timings;
  send({}, {}, reply.finish ?? 'stop');
  send({
    usage: {
      completion_tokens: timings.predicted_n, prompt_tokens: prompt,
      total_tokens: prompt + timings.predicted_n, prompt_tokens_details: { cached_tokens: cached },
    },
    timings,
  });
  response.write('data: [DONE]\n\n');
  response.end();
}

async function sendProgress(send, total, cache) {
  const steps = total > 1000 ? 5 : 1;
  for (let i = 0; i <= steps; ++i) {
    const processed = cache + Math.round(((total - cache) * i) / steps);
    send({ prompt_progress: { total, cache, processed, time_ms: i * 150 } },
      { role: 'assistant', content: null });
    if (steps > 1) await sleep(150);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const mock = await startMock(process.argv[2], Number(process.argv[3] ?? 8090));
  console.log(mock.url);
}
