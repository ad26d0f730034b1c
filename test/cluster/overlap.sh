#!/usr/bin/env bash
# How much of the allreduce hides behind the backward pass: the step of two ranks beside that of one and the allreduce
# of the gradients alone. Each rank has one core, also the single one; over the cable of hosts.sh the network takes its
# time without taking theirs. Wants a quiet machine of two cores or more.
#
#   test/cluster/hosts.sh up; test/cluster/hosts.sh slow 200mbit
#   test/cluster/overlap.sh pretrain.yaml 640000      the settings, and the bytes of the gradients: 4 a parameter
#   test/cluster/hosts.sh down
#
# CLIMAX is the command (climax), STEPS how many steps (60), of which the first third is left out.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
config=$1 size=$2 steps=${STEPS:-60} climax=${CLIMAX:-climax}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export LP_NUM_THREADS=1 # of lavapipe
cat >"$dir/rank" <<'END'
#!/bin/sh
exec taskset -c "$(printenv OMPI_COMM_WORLD_RANK || echo 0)" "$@"
END
chmod +x "$dir/rank"
train=("$dir/rank" "$climax" pretrain --config "$config" --quiet --training.max-steps "$steps" --training.log-every 1
  --training.validate-every "$steps" --training.validation-batches 1)
"${train[@]}" --output "$dir/one" >/dev/null 2>"$dir/err" || { cat "$dir/err"; exit 1; }
"$here/hosts.sh" run openmpi 2 "${train[@]}" --output "$dir/two" >/dev/null 2>"$dir/err" || { cat "$dir/err"; exit 1; }
"$here/hosts.sh" run openmpi 2 "$dir/rank" "$climax" bench allreduce --sizes "$size" 2>/dev/null
node -e '
  const { readFileSync } = require("node:fs");
  for (const run of ["one", "two"]) {
    const steps = readFileSync(`${process.argv[1]}/${run}/log.jsonl`, "utf8").trim().split("\n").map((l) => JSON.parse(l))
      .filter((e) => e.event === "step").slice(process.argv[2] / 3);
    const times = steps.slice(1).map((e, i) => new Date(e.time) - new Date(steps[i].time)).sort((a, b) => a - b);
    const waited = steps.map((e) => 1000 * (e.seconds_waiting_for_ranks ?? 0)).sort((a, b) => a - b);
    const middle = (list) => list[list.length >> 1].toFixed(1);
    console.log(`${run === "one" ? "1 rank " : "2 ranks"}: step ${middle(times)} ms, of them waiting for ranks ${middle(waited)} ms (medians of ${times.length})`);
  }' "$dir" "$steps"
