// What the programs beside this one share: asking the server over node:http, reading event streams,
// and small statistics.
import http from 'node:http';

export const agent = new http.Agent({ keepAlive: true, maxSockets: Infinity });

/** Sends a request; resolves with the answer as soon as its head is there. `raw` gets the request. */
export function send(url, path, body, { raw = () => {}, through = agent } = {}) {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const request = http.request(url + path, {
      agent: through,
      method: text === undefined ? 'GET' : 'POST',
      headers: text === undefined ? {} : {
        'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) },
    }, resolve);
    request.on('error', reject);
    raw(request);
    request.end(text);
  });
}

/** Everything of an answer's body. */
export async function bodyOf(response) {
  response.setEncoding('utf8');
  let text = '';
  for await (const piece of response) text += piece;
  return text;
}

export async function askJson(url, path, body, options) {
  const response = await send(url, path, body, options);
  const text = await bodyOf(response);
  if (response.statusCode !== 200) {
    throw new Error(`${path} answered ${response.statusCode}: ${text.slice(0, 300)}`);
  }
  return JSON.parse(text);
}

/** Text of a record of any of the dialects used here. */
function textOf(record) {
  const delta = record.choices?.[0]?.delta;
  if (delta) return (delta.reasoning_content ?? '') + (delta.content ?? '');
  if (record.type === 'content_block_delta') return record.delta.text ?? record.delta.thinking ?? '';
  return record.content ?? '';
}

/** Asks for a stream and reads all of it: its text, and how many records it had. Throws unless it
 * begins with 200 and comes to its proper end. */
export async function askStream(url, path, body, options) {
  const response = await send(url, path, { ...body, stream: true }, options);
  const all = await bodyOf(response);
  if (response.statusCode !== 200) {
    throw new Error(`${path} answered ${response.statusCode}: ${all.slice(0, 300)}`);
  }
  let text = '';
  let records = 0;
  let ended = false;
  for (const line of all.split('\n')) {
    if (!line.startsWith('data: ')) continue;
    const data = line.slice(6);
    if (data === '[DONE]') {
      ended = true;
      continue;
    }
    const record = JSON.parse(data);
    if (record.error) throw new Error(`${path}: ${data.slice(0, 300)}`);
    if (record.stop === true || record.type === 'message_stop') ended = true;
    text += textOf(record);
    ++records;
  }
  if (!ended) throw new Error(`${path}: the stream broke off after ${records} records`);
  return { text, records };
}

/** The three ways to ask that the load is made of, each with the same reply for the same prompt. */
export const kinds = [
  { path: '/v1/chat/completions', body: (prompt, n) => ({
    messages: [{ role: 'user', content: prompt }], max_tokens: n, temperature: 0 }) },
  { path: '/completion', body: (prompt, n) => ({ prompt, n_predict: n, temperature: 0 }) },
  { path: '/v1/messages', body: (prompt, n) => ({
    messages: [{ role: 'user', content: prompt }], max_tokens: n, temperature: 0 }) },
];

const subjects = ['a river', 'the moon', 'an old clock', 'seven cats', 'rain', 'a train', 'bread',
  'the number nine'];
const questions = ['Tell me about', 'What rhymes with', 'Write a poem on', 'Count the letters of'];
/** Prompts that are unlike enough for the prefix cache to hold several branches. */
export const prompts = questions.flatMap((q) => subjects.map((s) => `${q} ${s}.`));

/** Every kind of request for every prompt, with the text it must get: asked here one by one, before
 * anybody else is there. */
export async function learnReplies(url, nTokens) {
  const jobs = [];
  for (const kind of kinds) {
    for (const prompt of prompts) {
      const body = kind.body(prompt, nTokens);
      jobs.push({ path: kind.path, body, text: (await askStream(url, kind.path, body)).text });
    }
  }
  return jobs;
}

/** The value below which `share` of the values lie. */
export function quantile(values, share) {
  if (values.length === 0) return NaN;
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}
export const median = (values) => quantile(values, 0.5);

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Prints a line per goal; the process ends with 1 if one was missed. */
export function judge(goals) {
  for (const { name, value, met } of goals) {
    console.log(`${met ? 'met   ' : 'MISSED'}  ${name}: ${value}`);
    if (!met) process.exitCode = 1;
  }
}
