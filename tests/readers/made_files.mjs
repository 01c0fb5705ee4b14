// Files that the program under test makes, for the readers to judge: by graft, convert and release from
// checkpoints with random weights in the tiny model's shape, by quantize from the trained tiny model.
//
// A network with random weights is chaotic: the rounding of activations that llama.cpp does for
// 16-bit and quantized weights changes its text within a dozen tokens, and so does our own choice
// of kernels. Its text is compared where nothing is rounded (F32, F16), exactly; its other files are
// loaded and checked. The trained model is calm, so quantized files of it are compared as well.
import { join } from "node:path";
import { run } from "./foretoken.mjs";

/**
 * Runs the toolchain in `folder` and returns what it made: `path`, `weights` (the key of a
 * tolerance), and what llama.cpp is to do with it: "continue" prompts, "load" it, or "nothing".
 */
export function makeFiles(program, makeCheckpoint, trainedModel, folder) {
  const at = (name) => join(folder, name);
  const foretoken = (...words) => run(program, words);
  run(makeCheckpoint, ["tiny", at("base"), "--seed", "1"]);
  const lost = ["--no-mtp", "--no-vision", "--shard-bytes", "7000000"];
  run(makeCheckpoint, ["tiny", at("finetune"), "--seed", "2", ...lost]);
  foretoken("graft", "--base", at("base"), "--finetune", at("finetune"), "--out", at("grafted"));

  const made = [];
  const convert = (from, type, name, ...more) => {
    foretoken("convert", at(from), "--outfile", at(name), "--outtype", type.toLowerCase(), ...more);
    const isExact = type === "F32" || type === "F16";
    made.push({ path: at(name), weights: type, llama: isExact ? "continue" : "load" });
  };
  for (const type of ["F32", "F16", "BF16", "Q8_0"]) convert("grafted", type, `grafted-${type}.gguf`);
  convert("finetune", "F32", "no-head-F32.gguf", "--no-mtp");
  convert("base", "F16", "vision-F16.gguf", "--mmproj");
  made.at(-1).llama = "nothing"; // it belongs beside a text model

  // GGUF into GGUF: the model that lost its head, and the base's, each converted on its own.
  convert("base", "F32", "base-F32.gguf");
  const sides = ["--base", at("base-F32.gguf"), "--finetune", at("no-head-F32.gguf")];
  foretoken("graft", ...sides, "--out", at("joined-F32.gguf"));
  made.push({ path: at("joined-F32.gguf"), weights: "F32", llama: "continue" });

  // All in one pass.
  const both = ["--base", at("base"), "--finetune", at("finetune"), "--out", at("set")];
  foretoken("release", ...both, "--types", "F32,Q4_K_M", "--name", "set", "--no-measure");
  made.push({ path: at("set/set-F32.gguf"), weights: "F32", llama: "continue" });
  made.push({ path: at("set/set-Q4_K_M.gguf"), weights: "quantized", llama: "load" });
  made.push({ path: at("set/mmproj-set-BF16.gguf"), weights: "BF16", llama: "nothing" });

  for (const type of ["F32", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "IQ4_XS", "Q4_0"]) {
    const path = at(`trained-${type}.gguf`);
    foretoken("quantize", trainedModel, path, type);
    made.push({ path, weights: type === "F32" ? "F32" : "quantized", llama: "continue" });
  }
  return made;
}
