// Has two independent readers judge GGUF files: main.mjs SOURCE_FOLDER PROGRAM MAKE_CHECKPOINT.
// Prints a line per file and reader; status 1 when a reader disagrees with us.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { checkHeader } from "./header_reader.mjs";
import { checkText, loadModel, openLlama } from "./llama_reader.mjs";
import { makeFiles } from "./made_files.mjs";

const [source, program, makeCheckpoint] = process.argv.slice(2);
const kTokens = 24;

// A difference is excused where llama.cpp's best two tokens are closer than this, in log
// probability. F32: the order of additions, a few 1e-5. BF16: llama.cpp rounds activations to BF16,
// which moved a log probability by up to 0.136 on these prompts (F32 arithmetic beside it).
// Quantized: both of us round activations to 8 bits, in different blocks.
const kTolerances = { F32: 0.001, F16: 0.02, BF16: 0.15, quantized: 0.25 };

/** Ids of the short golden prompts of "base" or "finetune". */
function goldenPrompts(name) {
  const path = join(source, "tests/data/goldens", `${name}.json`);
  const { prompts } = JSON.parse(readFileSync(path, "utf8"));
  return prompts.filter(({ n }) => n <= 120).map(({ ids }) => ids);
}

const scratch = mkdtempSync(join(tmpdir(), "foretoken-readers-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));
const tiny = (name) => join(source, "models/tiny", name);
const committed = [
  { name: "tiny-base-BF16.gguf", prompts: goldenPrompts("base"), weights: "BF16" },
  { name: "tiny-paw-BF16.gguf", prompts: goldenPrompts("finetune"), weights: "BF16" },
  { name: "tiny-paw-Q4_K_M.gguf", prompts: goldenPrompts("finetune"), weights: "quantized" },
].map(({ name, ...rest }) => ({ ...rest, path: tiny(name), llama: "continue" }));
const made = makeFiles(program, makeCheckpoint, tiny("tiny-base-BF16.gguf"), scratch);
const prompts = goldenPrompts("base").slice(0, 8);
const files = [...committed, ...made.map((file) => ({ ...file, prompts }))];

let nFailed = 0;
function report(reader, path, { complaints, summary }) {
  const verdict = complaints.length === 0 ? "ok" : "DISAGREES";
  console.log(`${reader.padEnd(17)} ${basename(path).padEnd(28)} ${verdict}: ${summary}`);
  for (const complaint of complaints) console.log(`    ${complaint}`);
  nFailed += complaints.length > 0 ? 1 : 0;
}

async function attempt(reader, path, judge) {
  try {
    report(reader, path, await judge());
  } catch (error) {
    report(reader, path, { complaints: [error.message], summary: "it could not read the file" });
  }
}

const llama = await openLlama();
const release = `llama.cpp ${llama.llamaCppRelease.release}`;
for (const { path, prompts, weights, llama: task } of files) {
  await attempt("@huggingface/gguf", path, () => checkHeader(program, path));
  if (task === "nothing") continue;
  await attempt(release, path, async () => {
    const model = await loadModel(llama, path);
    const result =
      task === "load"
        ? { complaints: [], summary: "loads, all tensors valid" }
        : await checkText(program, model, path, prompts, kTokens, kTolerances[weights]);
    await model.dispose();
    return result;
  });
}
await llama.dispose();
const verdict = nFailed === 0 ? `all agree on ${files.length} files` : `${nFailed} disagree`;
console.log(`readers: ${verdict}`);
process.exitCode = nFailed === 0 ? 0 : 1;
