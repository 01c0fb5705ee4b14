// Asks /health all the time from a thread of its own, so that what is measured is the server and not
// the event loop that makes the load. Every second question opens a new connection. Also run as
// that thread.
import http from 'node:http';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

/** Probes until stop(), which resolves with milliseconds to the first byte and the errors. */
export class HealthProbe {
  constructor(url, everyMs = 20) {
    this.worker = new Worker(new URL(import.meta.url), { workerData: { url, everyMs } });
  }
  stop() {
    return new Promise((resolve) => {
      this.worker.once('message', resolve);
      this.worker.postMessage('stop');
    });
  }
}

function probe({ url, everyMs }) {
  const kept = new http.Agent({ keepAlive: true });
  const times = [];
  const errors = [];
  let n = 0;
  const timer = setInterval(() => {
    const start = performance.now();
    const agent = ++n % 2 ? kept : false;
    const request = http.get(`${url}/health`, { agent, timeout: 10_000 }, (response) => {
      times.push(performance.now() - start);
      if (response.statusCode !== 200) errors.push(`/health answered ${response.statusCode}`);
      response.resume();
    });
    request.on('timeout', () => request.destroy(new Error('no answer in 10 s')));
    request.on('error', (error) => errors.push(String(error)));
  }, everyMs);
  parentPort.once('message', () => {
    clearInterval(timer);
    setTimeout(() => {
      parentPort.postMessage({ times, errors });
      process.exit();
    }, 500);
  });
}

if (!isMainThread) probe(workerData);
