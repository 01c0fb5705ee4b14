// The server under load: quiet, since a line per request would be part of what is measured.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { send, sleep } from './client.mjs';

async function freePort() {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

/** Starts `$FORETOKEN_PROGRAM serve` with `args` on the model; resolves once it is healthy. */
export async function startServer(args) {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(process.env.FORETOKEN_PROGRAM, ['serve', '-m', process.env.FORETOKEN_MODEL,
    '--host', '127.0.0.1', '--port', String(port), '-lv', '2', ...args],
  { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = once(child, 'exit').then(([code, signal]) => code ?? signal);
  const deadline = performance.now() + 60e3;
  for (let ready = false; !ready;) {
    if (child.exitCode !== null || performance.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error('the server did not become ready');
    }
    await sleep(50);
    ready = await send(url, '/health', undefined, { through: false }).then(
      (response) => response.resume().statusCode === 200, () => false);
  }
  return {
    url,
    pid: child.pid,
    /** Ends it and resolves with its status. */
    stop(signal = 'SIGTERM') {
      child.kill(signal);
      return ended;
    },
  };
}
