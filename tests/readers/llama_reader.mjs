// Reader 2: node-llama-cpp, which brings llama.cpp as a prebuilt library (CPU). It must load our
// files, check every tensor, and continue prompts greedily with the same tokens as we do.
//
// Two correct programs may part where the two best tokens are nearly equally probable: llama.cpp
// rounds activations to BF16 for BF16 weights and to 8 bits for quantized ones, in other places
// than we do. A difference is therefore excused only where llama.cpp's own two best tokens are
// closer than a tolerance that is given per weight type, and only few tokens may go that way.
import { TokenBias, getLlama } from "node-llama-cpp";
import { generate, inspect } from "./foretoken.mjs";

const said = []; // llama.cpp's error messages since the last model was opened

/** Opens the prebuilt library; never downloads, never compiles. */
export async function openLlama() {
  return getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    usePrebuiltBinaries: true,
    progressLogs: false,
    maxThreads: 1,
    logLevel: "error",
    logger: (level, message) => said.push(message.trim()),
  });
}

/** Loads a file with every tensor checked; throws llama.cpp's reasons where it refuses it. */
export async function loadModel(llama, path) {
  said.length = 0;
  try {
    return await llama.loadModel({ modelPath: path, gpuLayers: 0, checkTensors: true });
  } catch (error) {
    throw new Error([error.message, ...said].join("; "), { cause: error });
  }
}

// A sequence of its own for one prompt, closed when `use` is done with it. The context has room to
// spare: where it gets tight, node-llama-cpp forgets the oldest tokens before it is full.
async function withSequence(model, use) {
  const context = await model.createContext({
    contextSize: 1024,
    threads: 1,
    flashAttention: false,
    experimentalKvCacheKeyType: "F32",
    experimentalKvCacheValueType: "F32",
  });
  try {
    return await use(context.getSequence());
  } finally {
    await context.dispose();
  }
}

// Rows of the output matrix that belong to no token can win where weights are random. We never
// sample them; llama.cpp is told not to.
function padding(program, model, path) {
  const { metadata } = inspect(program, path);
  const kinds = metadata.find(({ key }) => key === "tokenizer.ggml.token_type").value;
  const kUnused = 5;
  const bias = new TokenBias(model.tokenizer);
  kinds.forEach((kind, token) => kind === kUnused && bias.set(token, "never"));
  return bias;
}

// Reads `ids` and gives the most probable next token, an end token like any other.
async function nextToken(sequence, ids, tokenBias, metadata = {}) {
  const options = { temperature: 0, tokenBias };
  const next = { generateNext: { token: true, options, ...metadata } };
  const results = await sequence.controlledEvaluate([...ids.slice(0, -1), [ids.at(-1), next]]);
  return results.at(-1).next;
}

function continueGreedily(model, ids, n, tokenBias) {
  return withSequence(model, async (sequence) => {
    const tokens = [];
    while (tokens.length < n) {
      const unread = tokens.length === 0 ? ids : tokens.slice(-1);
      tokens.push((await nextToken(sequence, unread, tokenBias)).token);
    }
    return tokens;
  });
}

// By how much, in log probability, llama.cpp's best token after `ids` is ahead of its second best.
function lead(model, ids, tokenBias) {
  return withSequence(model, async (sequence) => {
    const { probabilities } = await nextToken(sequence, ids, tokenBias, { probabilities: true });
    const [first, second] = [...probabilities.values()];
    return Math.log(first) - Math.log(second);
  });
}

/**
 * Complaints about the greedy text of one loaded model over `prompts` (lists of ids), `n` tokens
 * each; `tolerance` is the lead below which a difference is excused.
 */
export async function checkText(program, model, path, prompts, n, tolerance) {
  const complaints = [];
  let agreed = 0;
  let excused = 0;
  const tokenBias = padding(program, model, path);
  for (const ids of prompts) {
    const ours = generate(program, path, ids, n);
    const theirs = await continueGreedily(model, ids, n, tokenBias);
    const at = theirs.findIndex((token, i) => token !== ours[i]);
    agreed += at < 0 ? n : at;
    if (at < 0) continue;
    const margin = await lead(model, [...ids, ...theirs.slice(0, at)], tokenBias);
    if (margin < tolerance) {
      excused += n - at;
      continue;
    }
    complaints.push(
      `prompt [${ids.slice(0, 8)}${ids.length > 8 ? ",…" : ""}] of ${ids.length} ids, token ${at}: ` +
        `we say ${ours[at]}, llama.cpp ${theirs[at]}, ${margin.toFixed(4)} ahead of its second choice`,
    );
  }
  if (excused * 5 > agreed) {
    complaints.push(`only ${agreed} tokens agree and ${excused} follow a near tie: too few to tell`);
  }
  const ties = excused > 0 ? ` (${excused} behind near ties)` : "";
  return { complaints, summary: `${agreed} tokens of ${prompts.length} prompts equal${ties}` };
}
