// The server under test: started here from PROGRAM and MODEL on a free port, or the one that
// FORETOKEN_URL names (say, what `make demo` left running).
import { spawn } from 'node:child_process';

/** Starts `program serve` with `args`; resolves once it listens. */
export function startServer(program, args) {
  const child = spawn(program, ['serve', '--host', '127.0.0.1', '--port', '0', ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  const ready = new Promise((resolve, reject) => {
    child.stderr.on('data', (piece) => {
      log += piece;
      const found = log.match(/server is listening on (http\S+)/);
      if (found) resolve(found[1]);
    });
    child.on('exit', (code, signal) => {
      reject(new Error(`the server ended (${code ?? signal}) before it listened:\n${log}`));
    });
  });
  const stop = (signal = 'SIGTERM') =>
    new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) return resolve(child.exitCode);
      child.on('exit', (code) => resolve(code));
      child.kill(signal);
    });
  return ready.then((url) => ({ url, stop, pid: child.pid, log: () => log }));
}

/** The server that a suite talks to; `alias` is its model's name. */
export async function serverUnderTest(extra = []) {
  if (process.env.FORETOKEN_URL) {
    const url = process.env.FORETOKEN_URL;
    const models = await (await fetch(`${url}/v1/models`)).json();
    return { url, alias: models.data[0].id, stop: async () => 0, log: () => '' };
  }
  const server = await startServer(process.env.FORETOKEN_PROGRAM, [
    '-m', process.env.FORETOKEN_MODEL, '-c', '4096', '-ngl', '99', '-fa', 'on',
    '--spec-type', 'draft-mtp', '--spec-draft-n-max', '2', '--alias', 'tiny', ...extra,
  ]);
  return { ...server, alias: 'tiny' };
}
