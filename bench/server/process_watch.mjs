// Memory, descriptors and threads of a process, sampled from /proc while a load runs.
import { readFileSync, readdirSync } from 'node:fs';
import { median } from './client.mjs';

export class ProcessWatch {
  #samples = [];
  #timer;

  constructor(pid, everyMs = 500) {
    this.pid = pid;
    this.#timer = setInterval(() => this.#samples.push(this.now()), everyMs);
  }

  now() {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    const field = (name) => Number(status.match(new RegExp(`${name}:\\s+(\\d+)`))[1]);
    const stat = readFileSync(`/proc/${this.pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return {
      at: performance.now(),
      rssMb: field('VmRSS') / 1024,
      threads: field('Threads'),
      descriptors: readdirSync(`/proc/${this.pid}/fd`).length,
      cpuSeconds: (Number(stat[11]) + Number(stat[12])) / 100,
    };
  }

  /** Median memory between two moments of performance.now(). */
  rssMb(from, to) {
    return median(this.#samples.filter((s) => s.at >= from && s.at < to).map((s) => s.rssMb));
  }

  peakMb() {
    return Math.max(...this.#samples.map((s) => s.rssMb));
  }

  stop() {
    clearInterval(this.#timer);
  }
}
