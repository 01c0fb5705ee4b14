// What the server costs beyond the engine: the same chat prompt, greedy, one at a time, by the engine
// alone (engine_alone.cpp, the prompt as tokens) and through the server (JSON, template, tokenizer,
// scheduler, text, event stream, socket, and this client).
//
// Taken in turns, with one token and with many, nothing cached. What a request costs is the
// difference of the times with one token; what a token costs is the difference of the slopes.
// Goals: 3 ms per request, 0.25 ms per token.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { agent, askJson, askStream, judge, median, quantile } from './client.mjs';
import { startServer } from './server.mjs';

const nTokens = 200;
const seconds = Number(process.env.DURATION ?? 60);
const prompt = 'Tell me all about rivers and how they find their way to the sea. '.repeat(8);

class EngineAlone {
  constructor(program, model, drafts) {
    this.child = spawn(program, [model, String(drafts)], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.lines = createInterface({ input: this.child.stdout });
  }
  /** Milliseconds, and tokens. */
  async run(n, ids) {
    const answer = once(this.lines, 'line');
    this.child.stdin.write(`${n} ${ids.join(' ')}\n`);
    const [ms, ...tokens] = (await answer)[0].split(' ').map(Number);
    return { ms, tokens };
  }
  stop() {
    this.child.stdin.end();
  }
}

const spread = (values) => `${median(values).toFixed(3)} ms ` +
  `(half of them ${quantile(values, 0.25).toFixed(3)} to ${quantile(values, 0.75).toFixed(3)})`;

async function compare(drafts) {
  const speculation = drafts ? ['--spec-type', 'draft-mtp', '--spec-draft-n-max', String(drafts)]
    : ['--spec-type', 'none'];
  const server = await startServer(['-np', '1', '-c', '4096', '-t', '1', ...speculation]);
  const engine = new EngineAlone(
    process.env.FORETOKEN_ENGINE_ALONE, process.env.FORETOKEN_MODEL, drafts);

  const messages = [{ role: 'user', content: prompt }];
  const rendered = await askJson(server.url, '/apply-template', { messages });
  const { tokens: ids } = await askJson(server.url, '/tokenize', {
    content: rendered.prompt, parse_special: true, add_special: false });
  const same = await askJson(server.url, '/completion', {
    prompt: ids, n_predict: nTokens, temperature: 0, ignore_eos: true, return_tokens: true });
  const alone = await engine.run(nTokens, ids);
  if (same.tokens.join() !== alone.tokens.join()) throw new Error('the two compute different texts');

  const through = async (n) => {
    const start = performance.now();
    await askStream(server.url, '/v1/chat/completions', {
      messages, max_tokens: n, temperature: 0, ignore_eos: true, cache_prompt: false });
    return performance.now() - start;
  };
  const rounds = { request: [], token: [], engine: [], server: [] };
  const end = performance.now() + seconds * 500;
  for (let round = 0; round < 5 || performance.now() < end; ++round) {
    const one = { engine: (await engine.run(1, ids)).ms, server: await through(1) };
    const many = { engine: (await engine.run(nTokens, ids)).ms, server: await through(nTokens) };
    if (round < 2) continue; // both warm up
    const slope = (which) => (many[which] - one[which]) / (nTokens - 1);
    rounds.request.push(one.server - one.engine);
    rounds.token.push(slope('server') - slope('engine'));
    rounds.engine.push(slope('engine'));
    rounds.server.push(slope('server'));
  }
  engine.stop();
  await server.stop();

  console.log(`${drafts ? `drafting ${drafts}` : 'no drafts'}, prompt of ${ids.length} tokens, ` +
    `${rounds.token.length} rounds of 1 and ${nTokens} tokens`);
  console.log(`  a token: engine ${spread(rounds.engine)}`);
  console.log(`           server ${spread(rounds.server)}`);
  console.log(`  overhead a token: ${spread(rounds.token)}`);
  console.log(`  overhead a request: ${spread(rounds.request)}`);
  const what = drafts ? ', drafting' : '';
  return [
    { name: `overhead a token${what}`, value: `${median(rounds.token).toFixed(3)} ms of 0.25`,
      met: median(rounds.token) < 0.25 },
    { name: `overhead a request${what}`, value: `${median(rounds.request).toFixed(2)} ms of 3`,
      met: median(rounds.request) < 3 },
  ];
}

judge([...await compare(0), ...await compare(2)]);
agent.destroy();
