// Many at once: 1,000 idle streams and 64 clients that ask without a pause, for DURATION seconds.
//
// Idle are streams nothing is sent on. Half of them wait: they insist on one slot, which serves them
// one after the other, and ask again when served. The other half got their reply and do not read it.
// The replies of the 64 are compared with those the same requests got when nobody else was there.
//
// Goals: no error and no other text; memory after warm-up within 5 %; 99 of 100 answers to /health
// begin within 50 ms.
import {
  agent, askStream, judge, kinds, learnReplies, median, prompts, quantile, send, sleep,
} from './client.mjs';
import { HealthProbe } from './health_probe.mjs';
import { ProcessWatch } from './process_watch.mjs';
import { startServer } from './server.mjs';

const seconds = Number(process.env.DURATION ?? 60);
const nIdle = Number(process.env.IDLE ?? 1000);
const nActive = Number(process.env.ACTIVE ?? 64);
const slots = 8;
const replyTokens = 48;
const warmUp = Math.min(60, seconds / 4);
const window = Math.min(60, seconds / 4);

const server = await startServer([
  '-np', String(slots), '-c', String(slots * 4096), '-t', '2', '--cache-ram', '64',
  '--queue', '4096', '--spec-type', 'draft-mtp', '--spec-draft-n-max', '2',
]);
const watch = new ProcessWatch(server.pid);
const counts = { replies: 0, records: 0, waited: 0, errors: [] };
let over = false;

function failed(error) {
  if (over) return;
  counts.errors.push(String(error));
  if (counts.errors.length <= 10) console.error(`error: ${error}`);
}

const jobs = await learnReplies(server.url, replyTokens);

async function beActive(me) {
  for (let turn = me; !over; turn += 7) {
    const job = jobs[turn % jobs.length];
    try {
      const { text, records } = await askStream(server.url, job.path, job.body);
      counts.records += records;
      if (over) return;
      ++counts.replies;
      if (text !== job.text) throw new Error(`${job.path}: another text than alone: ${text}`);
    } catch (error) {
      failed(error);
      await sleep(100);
    }
  }
}

async function waitForSlot(me) {
  for (let turn = me; !over; ++turn) {
    try {
      const body = kinds[1].body(prompts[turn % prompts.length], 1024);
      await askStream(server.url, '/completion', { ...body, id_slot: slots - 1, ignore_eos: true });
      ++counts.waited;
    } catch (error) {
      failed(error);
      await sleep(1000);
    }
  }
}

async function readNothing(me) {
  try {
    const kind = kinds[me % kinds.length];
    const body = kind.body(prompts[me % prompts.length], replyTokens);
    const response = await send(server.url, kind.path, { ...body, stream: true });
    if (response.statusCode !== 200) throw new Error(`${kind.path}: ${response.statusCode}`);
    response.pause();
    response.on('error', failed);
    response.on('close', () => failed(new Error('an unread stream was closed')));
  } catch (error) {
    failed(error);
  }
}

const before = watch.now();
for (let i = 0; i < nIdle; i += 2) void waitForSlot(i);
const unread = [];
for (let i = 0; i < nIdle; i += 2) unread.push(readNothing(i));
await Promise.all(unread);
const connected = watch.now();
console.log(`${nIdle} idle streams: ${connected.descriptors - before.descriptors} descriptors, ` +
  `${(connected.rssMb - before.rssMb).toFixed(1)} MB`);

const start = performance.now();
const idleLoop = performance.eventLoopUtilization();
const probe = new HealthProbe(server.url);
for (let i = 0; i < nActive; ++i) void beActive(i);
await sleep(seconds * 1e3);
const end = performance.now();
const loop = performance.eventLoopUtilization(idleLoop).utilization;
const health = await probe.stop();
const done = watch.now();
over = true;
watch.stop();

const took = (end - start) / 1e3;
const first = watch.rssMb(start + warmUp * 1e3, start + (warmUp + window) * 1e3);
const last = watch.rssMb(end - window * 1e3, end);
const p99 = quantile(health.times, 0.99);
const nErrors = counts.errors.length + health.errors.length;
for (const error of health.errors.slice(0, 10)) console.error(`error: ${error}`);

console.log(`${took.toFixed(0)} s: ${counts.replies} replies, ` +
  `${(counts.records / took).toFixed(0)} records/s, ${counts.waited} served in the waiting slot`);
console.log(`server: ${(100 * (done.cpuSeconds - connected.cpuSeconds) / took).toFixed(0)} % CPU, ` +
  `${done.threads} threads, peak ${watch.peakMb().toFixed(0)} MB; ` +
  `load maker's loop busy ${(100 * loop).toFixed(0)} %`);
console.log(`/health: ${health.times.length} asked, median ${median(health.times).toFixed(2)} ms, ` +
  `largest ${Math.max(...health.times).toFixed(1)} ms`);
judge([
  { name: 'errors', value: nErrors, met: nErrors === 0 && counts.replies > 0 },
  { name: 'memory, first and last window', met: Math.abs(last / first - 1) <= 0.05,
    value: `${first.toFixed(1)} MB, ${last.toFixed(1)} MB (${(100 * (last / first - 1)).toFixed(1)} %)` },
  { name: '/health p99', value: `${p99.toFixed(1)} ms of 50`, met: p99 < 50 },
]);
agent.destroy();
await server.stop('SIGKILL');
process.exit();
