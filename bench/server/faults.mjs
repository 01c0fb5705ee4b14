// Clients that leave at random moments, for DURATION seconds, beside four that do not: before their
// request is complete, while it waits, in the prompt, in the middle of a record, at the end.
//
// Goals: the neighbours' text is what it was alone; afterwards no slot is busy, no connection is
// left, and memory after warm-up is within 5 %.
import net from 'node:net';
import {
  agent, askJson, askStream, judge, kinds, learnReplies, prompts, sleep,
} from './client.mjs';
import { ProcessWatch } from './process_watch.mjs';
import { startServer } from './server.mjs';

const seconds = Number(process.env.DURATION ?? 60);
const nLeaving = Number(process.env.LEAVING ?? 32);
const replyTokens = 48;
const warmUp = Math.min(60, seconds / 4);
const window = Math.min(60, seconds / 4);

// mulberry32 by T. Ettinger: small, and the same moments again for the same SEED.
let state = Number(process.env.SEED ?? 1);
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}
const pick = (list) => list[Math.floor(random() * list.length)];

const server = await startServer([
  '-np', '4', '-c', '16384', '-t', '2', '--cache-ram', '64',
  '--spec-type', 'draft-mtp', '--spec-draft-n-max', '2',
]);
const { hostname, port } = new URL(server.url);
const watch = new ProcessWatch(server.pid);
const counts = { replies: 0, left: 0, answered: 0, errors: [] };
let over = false;

const jobs = await learnReplies(server.url, replyTokens);
await sleep(200);
agent.destroy();
await sleep(200);
const before = watch.now();

async function stay(me) {
  for (let turn = me; !over; turn += 5) {
    const job = jobs[turn % jobs.length];
    try {
      const { text } = await askStream(server.url, job.path, job.body);
      if (text !== job.text) throw new Error(`${job.path}: another text than alone: ${text}`);
      ++counts.replies;
    } catch (error) {
      counts.errors.push(String(error));
      if (counts.errors.length <= 10) console.error(`error: ${error}`);
    }
  }
}

/** One visit: a request of any kind, all or part of it, and a goodbye at any moment. */
function visit() {
  return new Promise((resolve) => {
    const kind = pick(kinds);
    const prompt = pick(prompts).repeat(pick([1, 1, 1, 40]));
    const body = JSON.stringify({
      ...kind.body(prompt, pick([1, 50, 2000])), stream: random() < 0.7,
      ...(random() < 0.2 ? { logprobs: true, top_logprobs: 5 } : {}),
      ...(random() < 0.2 ? { n: 2 } : {}),
    });
    const bytes = `POST ${kind.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
    const socket = net.connect(Number(port), hostname, () => {
      socket.write(random() < 0.2 ? bytes.slice(0, Math.floor(random() * bytes.length)) : bytes);
    });
    socket.once('data', () => ++counts.answered);
    if (random() < 0.2) socket.pause(); // reads nothing
    socket.on('error', () => {});
    socket.on('close', resolve);
    setTimeout(() => {
      ++counts.left;
      if (random() < 0.5) socket.destroy();
      else if (random() < 0.5) socket.resetAndDestroy();
      else socket.end(), setTimeout(() => socket.destroy(), 5);
    }, random() ** 3 * 400);
  });
}

async function leave() {
  while (!over) await visit();
}

const start = performance.now();
const everybody = [];
for (let i = 0; i < 4; ++i) everybody.push(stay(i));
for (let i = 0; i < nLeaving; ++i) everybody.push(leave());
await sleep(seconds * 1e3);
const end = performance.now();
over = true;
await Promise.all(everybody);
agent.destroy();

// Whatever they left behind must be gone soon.
let busy = -1;
let now = watch.now();
for (let i = 0; i < 100; ++i) {
  const slots = await askJson(server.url, '/slots', undefined, { through: false });
  busy = slots.filter((slot) => slot.is_processing).length;
  await sleep(100); // for this question's own connection to be closed
  now = watch.now();
  if (busy === 0 && now.descriptors <= before.descriptors) break;
}
watch.stop();
const first = watch.rssMb(start + warmUp * 1e3, start + (warmUp + window) * 1e3);
const last = watch.rssMb(end - window * 1e3, end);
console.log(`${((end - start) / 1e3).toFixed(0)} s: ${counts.left} left (${counts.answered} had been ` +
  `spoken to), ${counts.replies} replies to those who stayed; peak ${watch.peakMb().toFixed(0)} MB`);
judge([
  { name: 'errors of those who stayed', value: counts.errors.length,
    met: counts.errors.length === 0 && counts.replies > 0 },
  { name: 'slots busy afterwards', value: busy, met: busy === 0 },
  { name: 'descriptors before and after', value: `${before.descriptors}, ${now.descriptors}`,
    met: now.descriptors <= before.descriptors },
  { name: 'memory, first and last window', met: Math.abs(last / first - 1) <= 0.05,
    value: `${first.toFixed(1)} MB, ${last.toFixed(1)} MB (${(100 * (last / first - 1)).toFixed(1)} %)` },
]);
const status = await server.stop();
judge([{ name: 'status at the end', value: status, met: status === 0 }]);
