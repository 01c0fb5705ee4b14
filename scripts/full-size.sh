#!/usr/bin/env bash
# full-size.sh SHAPE FOLDER [TYPE...]: the toolchain at a published size (0.8b, 2b, 4b, 9b, 27b).
# Makes a base and a fine-tune with random weights in FOLDER, runs graft, release, convert and
# quantize on them, and prints a table: time, GB/s beside cp of the same bytes, peak memory. Status 1
# when a step fails, takes more memory than it may, or makes a file of the wrong size (known for the
# 9b). Files are removed as soon as they are not needed; the most that lies there at once is three
# times the size of the checkpoint (9b: 55 GB).
#
# PROGRAM and MAKE_CHECKPOINT name other builds, CPUS the cores to use (a list for taskset).
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
program=${PROGRAM:-$source/build/release/foretoken}
maker=${MAKE_CHECKPOINT:-$source/build/release/tests/make_checkpoint}
if [ $# -lt 2 ]; then
  sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
shape=$1
folder=$2
shift 2
types=("$@")
if [ $# -eq 0 ]; then types=(Q8_0 Q6_K Q5_K_M Q4_K_M IQ4_XS); fi
if [ ! -x /usr/bin/time ]; then
  echo "full-size: /usr/bin/time is missing (Debian package time)" >&2
  exit 1
fi
pin=()
if [ -n "${CPUS:-}" ]; then pin=(taskset -c "$CPUS"); fi
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
threads=$("${pin[@]}" nproc)
made=("$folder"/{base,finetune,copy,grafted,release,log,time} "$folder"/{BF16,QUANTIZED}.gguf)
for path in "${made[@]}"; do
  if [ -e "$path" ]; then
    echo "full-size: $path is in the way" >&2
    exit 1
  fi
done
trap 'rm -rf "${made[@]}"; rmdir "$folder" 2>/dev/null || true' EXIT

# Tensor bytes of the 9b with its head; a file is this and its metadata.
declare -A tensor_bytes_9b=(
  [BF16]=18396352512 [Q8_0]=9775091712 [Q6_K]=7547932672 [Q5_K_M]=6631575552
  [Q5_K_S]=6461673472 [Q4_K_M]=5769121792 [Q4_K_S]=5477584896 [Q4_0]=5439311872
  [IQ4_NL]=5569859584 [IQ4_XS]=5346906112 [Q3_K_L]=5037543424 [Q3_K_M]=4726640640
  [Q3_K_S]=4353052672 [Q2_K]=3904000000
)
metadata_limit=$((12 << 20)) # the tokenizer is most of it

failures=0
fail() {
  echo "full-size: $*" >&2
  failures=$((failures + 1))
}

# step NAME LIMIT_MB OUTPUT COMMAND...: runs it and prints a row; OUTPUT is what it makes.
step() {
  local name=$1 limit=$2 output=$3 status=0
  shift 3
  "${pin[@]}" /usr/bin/time -q -o "$folder/time" -f '%e %M' "$@" >"$folder/log" 2>&1 || status=$?
  if [ $status -ne 0 ]; then
    cat "$folder/log" >&2
    echo "full-size: $name ended with status $status" >&2
    exit 1
  fi
  local seconds kib bytes
  read -r seconds kib <"$folder/time"
  bytes=$(du -sb --apparent-size "$output" | cut -f1)
  awk -v name="$name" -v s="$seconds" -v kib="$kib" -v b="$bytes" 'BEGIN {
    printf "%-26s %8.1f s %8.2f GB", name, s, b / 1e9
    printf " %7.2f GB/s %8.0f MB peak\n", b / (s + 1e-9) / 1e9, kib * 1.024e-3 }'
  if [ "$limit" -gt 0 ] && [ $((kib * 1024)) -gt $((limit * 1000000)) ]; then
    fail "$name held $((kib * 1024)) bytes of memory; at most ${limit} MB are allowed"
  fi
}

# check_size FILE TYPE: its tensors have the bytes they should, and its metadata are of a sane size.
check_size() {
  local weights file expected
  weights=$("$program" inspect "$1" --json | sed -n 's/^  "weight_bytes": \([0-9]*\),/\1/p')
  file=$(stat -c %s "$1")
  expected=${tensor_bytes_9b[$2]:-}
  if [ "$shape" = 9b ] && [ -n "$expected" ] && [ "$weights" != "$expected" ]; then
    fail "$2: $weights bytes of tensors, $expected expected"
  fi
  if [ $((file - weights)) -lt 1000000 ] || [ $((file - weights)) -gt $metadata_limit ]; then
    fail "$2: $((file - weights)) bytes of metadata are not between 1 MB and 12 MiB"
  fi
}

echo "$shape on $threads cores, $(uname -m), in $(df --output=fstype "$folder" | tail -1)"
step "make base (its head)" 0 "$folder/base" \
  "$maker" "$shape" "$folder/base" --seed 1 --hollow -t "$threads"
step "make fine-tune" 0 "$folder/finetune" \
  "$maker" "$shape" "$folder/finetune" --seed 2 --no-mtp --no-vision -t "$threads"

step "cp fine-tune" 0 "$folder/copy" cp -r --reflink=never "$folder/finetune" "$folder/copy"
rm -r "$folder/copy"
step "cp fine-tune, synced" 0 "$folder/copy" sh -c \
  'cp -r --reflink=never "$1" "$2" && sync "$2"/*' sh "$folder/finetune" "$folder/copy"
rm -r "$folder/copy"

step graft 300 "$folder/grafted" "$program" graft --base "$folder/base" \
  --finetune "$folder/finetune" --out "$folder/grafted" -t "$threads"
# Without the BF16 file, which would not fit beside the rest.
step "release Q8_0, Q4_K_M" 1000 "$folder/release" "$program" release --base "$folder/base" \
  --finetune "$folder/finetune" --out "$folder/release" --types Q8_0,Q4_K_M --no-measure \
  --name full -t "$threads"
check_size "$folder/release/full-Q8_0.gguf" Q8_0
check_size "$folder/release/full-Q4_K_M.gguf" Q4_K_M
rm -r "$folder/base" "$folder/finetune" "$folder/release"
step "convert to BF16" 1000 "$folder/BF16.gguf" "$program" convert "$folder/grafted" \
  --outfile "$folder/BF16.gguf" --outtype bf16 -t "$threads"
check_size "$folder/BF16.gguf" BF16
rm -r "$folder/grafted"

for type in "${types[@]}"; do
  step "quantize to $type" 1000 "$folder/QUANTIZED.gguf" \
    "$program" quantize "$folder/BF16.gguf" "$folder/QUANTIZED.gguf" "$type" "$threads"
  check_size "$folder/QUANTIZED.gguf" "$type"
  rm "$folder/QUANTIZED.gguf"
done
if [ $failures -gt 0 ]; then exit 1; fi
echo "full-size: every step within its limits, every size as it should be"
