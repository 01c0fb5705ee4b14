// What the page is tested against: BASE_URL, a server started from FORETOKEN_PROGRAM on
// FORETOKEN_MODEL, or else the mock.
import { spawn } from 'node:child_process';
import { startMock } from './mock_server.mjs';

/** A server with {url, stop, state}; state only for the mock. */
export async function serverUnderTest() {
  if (process.env.BASE_URL) return { url: process.env.BASE_URL, stop: async () => {} };
  if (process.env.FORETOKEN_PROGRAM) return startProgram();
  return startMock(process.env.WEB_DIST);
}

function startProgram() {
  const child = spawn(
    process.env.FORETOKEN_PROGRAM,
    ['serve', '-m', process.env.FORETOKEN_MODEL, '--host', '127.0.0.1', '--port', '0', '-c', '8192',
      '--spec-type', 'draft-mtp', '--spec-draft-n-max', '3', '--spec-draft-fixed', '--alias', 'tiny', '-t', '2'],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const stop = () =>
    new Promise((resolve) => {
      if (child.exitCode !== null) return resolve();
      child.on('exit', resolve);
      child.kill('SIGTERM');
    });
  return new Promise((resolve, reject) => {
    let log = '';
    child.stderr.on('data', (piece) => {
      log += piece;
      const found = log.match(/server is listening on (http\S+)/);
      if (found) resolve({ url: `${found[1]}/`, stop });
    });
    child.on('exit', (code) => reject(new Error(`the server ended (${code}):\n${log}`)));
  });
}
