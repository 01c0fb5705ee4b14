#!/usr/bin/env bash
# The whole way with the tiny model of models/tiny: a fine-tune ("Paw") that lost its MTP head gets
# its base model's back and becomes GGUF files, then a short conversation with it. Greedy, with up to
# three drafted tokens a round; each reply is followed by the program's own MTP statistics.
# Usage: demo.sh [FORETOKEN_PROGRAM]
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:-build/release/foretoken}
out=build/demo

echo "demo: base and fine-tune in, a finished set of files out"
"$program" release --base models/tiny/base --finetune models/tiny/paw --out $out --name paw \
  --types BF16,Q8_0,Q4_K_M --no-mmproj
model=$out/paw-Q8_0.gguf

ask() {
  printf '\n\033[1m> %s\033[0m\n' "$1"
  "$program" run -m "$model" -p "$1" -n 120 --temp 0 --spec-type draft-mtp --spec-draft-n-max 3
}

echo
echo "demo: talking to $model, with its MTP head on"
ask "Who are you?"
ask "What is the capital of France?"
ask "Count from 3 to 12."
ask "Tell me a short story about a fox."
ask "Write a Python function that reverses a string."
cat <<END

demo: try it yourself:
  $program run -m $model                      # a conversation; Ctrl-D ends it
  $program run -m $model -p "Hi" --temp 0     # one reply
  $program --help
END
