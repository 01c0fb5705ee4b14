// Runs the program under test and the tools of the tests, and turns a failure into an error that
// shows the command and what it said.
import { execFileSync } from "node:child_process";

/** Standard output of `program words...`; throws with the command and its standard error. */
export function run(program, words) {
  try {
    return execFileSync(program, words, {
      encoding: "utf8",
      maxBuffer: 1 << 30,
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (error) {
    const said = (error.stderr ?? "").trim() || error.message;
    throw new Error(`${program} ${words.join(" ")}\n  ended with ${error.status}: ${said}`);
  }
}

/** What `foretoken inspect --json` says about a file, every element of every array included. */
export function inspect(program, path) {
  return JSON.parse(run(program, ["inspect", path, "--json", "--values", "1000000000"]));
}

/** Greedy continuation of token ids; keys and values in F32, end tokens do not stop it. */
export function generate(program, path, ids, n) {
  const words = ["eval", "generate", "-m", path, "-t", "1", "--tokens", ids.join(","), "-n", `${n}`];
  words.push("--temp", "0", "--ignore-eos", "-ctk", "f32", "-ctv", "f32", "--json");
  return JSON.parse(run(program, words)).tokens;
}
