#!/usr/bin/env bash
# The whole way with the tiny model of models/tiny: a fine-tune ("Paw") that lost its MTP head gets
# its base model's back and becomes GGUF files; then one of them is served, with MTP, until Ctrl-C.
# Usage: demo.sh [FORETOKEN_PROGRAM]; PORT=8088 chooses the port.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:-build/release/foretoken}
port=${PORT:-8088}
out=build/demo
url=http://127.0.0.1:$port

echo "demo: base and fine-tune in, a finished set of files out"
"$program" release --base models/tiny/base --finetune models/tiny/paw --out $out --name paw \
  --types BF16,Q8_0,Q4_K_M --no-mmproj
model=$out/paw-Q8_0.gguf

echo
echo "demo: serving $model with its MTP head; the line is llama-server's"
echo "  $program serve -m $model -ngl 99 -fa on -c 8192 --spec-type draft-mtp --spec-draft-n-max 2 --port $port"
"$program" serve -m $model -ngl 99 -fa on -c 8192 --spec-type draft-mtp --spec-draft-n-max 2 \
  --host 127.0.0.1 --port "$port" --metrics --alias paw -lv 2 &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null' EXIT
trap 'exit 130' INT TERM
for _ in $(seq 100); do
  kill -0 $server 2>/dev/null || { wait $server; exit $?; }
  curl -fs $url/health >/dev/null 2>&1 && break
  sleep 0.1
done

cat <<END

  A page to chat on           $url/

  From a shell                curl $url/v1/chat/completions -H 'Content-Type: application/json' \\
                                -d '{"messages": [{"role": "user", "content": "Who are you?"}]}'

  With OpenAI's client        import OpenAI from 'openai';
  (JavaScript)                const client = new OpenAI({ baseURL: '$url/v1', apiKey: 'none' });
                              const reply = await client.chat.completions.create({
                                model: 'paw', messages: [{ role: 'user', content: 'Who are you?' }] });
                              console.log(reply.choices[0].message.content, reply.timings);

  With Anthropic's            export ANTHROPIC_BASE_URL=$url ANTHROPIC_AUTH_TOKEN=none
  (Claude Code and its like)

  In a terminal, no server    $program run -m $model

END
reply=$(curl -fs $url/v1/chat/completions -H 'Content-Type: application/json' \
  -d '{"messages": [{"role": "user", "content": "Who are you?"}], "temperature": 0}')
echo "demo: the curl line answers"
echo "  $reply"
echo
echo "demo: Ctrl-C ends it"
wait $server
