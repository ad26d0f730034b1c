#!/usr/bin/env bash
# How much of the allreduce hides behind the backward pass: the step of two ranks beside that of one and the allreduce
# of the gradients alone. Each rank has one core, also the single one; over the cable of hosts.sh the network takes its
# time without taking theirs. Wants a quiet machine of two cores or more.
#
#   test/cluster/hosts.sh up; test/cluster/hosts.sh slow 200mbit
#   test/cluster/overlap.sh pretrain.yaml [FLAGS]     the settings, and flags of climax pretrain for both runs
#   test/cluster/hosts.sh down
#
# CLIMAX is the command (climax), STEPS how many steps (60), of which the first third is left out; KEEP a folder that
# keeps the logs and allreduce.json. Without HOSTS=no the two ranks are on the two hosts; with it, both here.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
config=$1 steps=${STEPS:-60} climax=${CLIMAX:-climax}
shift
dir=${KEEP:-$(mktemp -d)}
mkdir -p "$dir"
[ -n "${KEEP:-}" ] || trap 'rm -rf "$dir"' EXIT
export LP_NUM_THREADS=1 # of lavapipe
cat >"$dir/rank" <<'END'
#!/bin/sh
exec taskset -c "$(printenv OMPI_COMM_WORLD_RANK || echo 0)" "$@"
END
chmod +x "$dir/rank"
two() {
  if [ "${HOSTS:-yes}" = no ]; then
    mpirun.openmpi --allow-run-as-root --bind-to none --oversubscribe --mca mpi_yield_when_idle 1 -n 2 "$@"
  else "$here/hosts.sh" run openmpi 2 "$@"; fi
}
quietly() { "$@" >/dev/null 2>"$dir/err" || { cat "$dir/err" >&2; exit 1; }; }

train=("$dir/rank" "$climax" pretrain --config "$config" --quiet --training.max-steps "$steps" --training.log-every 1
  --training.validate-every "$steps" --training.validation-batches 1 "$@")
rm -rf "$dir/one" "$dir/two"
quietly "${train[@]}" --output "$dir/one"
quietly two "${train[@]}" --output "$dir/two"
size=$(sed -n 's/.*"gradient_bytes":\([0-9]*\).*/\1/p;q' "$dir/one/log.jsonl")
quietly two "$dir/rank" "$climax" bench allreduce --sizes "$((size / 16 * 4)),$((size / 8 * 4)),$size" --json "$dir/allreduce.json"
"$climax" bench scaling "$dir/one" "$dir/two" --measured "$dir/allreduce.json" --ranks 2 --json "$dir/scaling.json" |
  sed '/^PROJECTION/,$d'
node -e '
  const { readFileSync } = require("node:fs");
  const read = (name) => JSON.parse(readFileSync(`${process.argv[1]}/${name}.json`, "utf8"));
  const [one, two] = read("scaling").measured.map((run) => 1000 * run.step);
  const kind = { f32: "whole", f16: "halves" }[read("scaling").measured[1].way] ?? "shares";
  const rows = read("allreduce").rows.filter((row) => row.kind === kind);
  const all = rows.reduce((a, b) => (b.bytes > a.bytes ? b : a)).median_ms;
  const line = (what, time) => console.log(`${what.padEnd(34)}${time.toFixed(time < 10 ? 2 : 0).padStart(7)} ms`);
  line("compute alone, a step of one rank", one);
  line(`allreduce alone (${kind})`, all);
  line("one after the other", one + all);
  line("a step of two ranks", two);
  const hidden = (one + all - two) / all;
  console.log(`hidden: (${one.toFixed(0)} + ${all.toFixed(0)} - ${two.toFixed(0)}) / ${all.toFixed(0)} = ${(100 * hidden).toFixed(0)} % of the allreduce`);
' "$dir"
