#!/usr/bin/env bash
# How training scales over the cores of one machine: steps of 1, 2 and 4 ranks with the same batch for each rank, each
# rank on a core of its own as far as there are cores, with one thread of lavapipe; then what `climax bench scaling`
# makes of them. Wants a quiet machine, Open MPI and taskset. With more ranks than cores the step is the sum of what
# the ranks of a core do: efficiency is then at most cores / ranks.
#
#   test/cluster/scaling.sh pretrain.yaml [FLAGS OF climax bench scaling]
#
# CLIMAX is the command (climax), RANKS which numbers of them ("1 2 4"), STEPS of each run (15), of which the first
# third is left out; KEEP a folder that keeps the logs, allreduce.json and scaling.json.
set -euo pipefail
config=$1 climax=${CLIMAX:-climax} steps=${STEPS:-15}
shift
dir=${KEEP:-$(mktemp -d)}
mkdir -p "$dir"
[ -n "${KEEP:-}" ] || trap 'rm -rf "$dir"' EXIT
export LP_NUM_THREADS=1
cat >"$dir/rank" <<'END'
#!/bin/sh
exec taskset -c "$(($(printenv OMPI_COMM_WORLD_RANK || echo 0) % $(nproc)))" "$@"
END
chmod +x "$dir/rank"
ranks() { # N COMMAND...
  local n=$1
  shift
  if [ "$n" = 1 ]; then "$dir/rank" "$@"; else
    mpirun.openmpi --allow-run-as-root --bind-to none --oversubscribe --mca mpi_yield_when_idle 1 -n "$n" "$dir/rank" "$@"
  fi
}
runs=()
for n in ${RANKS:-1 2 4}; do
  rm -rf "$dir/$n"
  ranks "$n" "$climax" pretrain --config "$config" --output "$dir/$n" --quiet --training.max-steps "$steps" \
    --training.log-every 1 --training.validate-every "$steps" --training.validation-batches 1 >/dev/null 2>"$dir/err" ||
    { cat "$dir/err" >&2; exit 1; }
  runs+=("$dir/$n")
done
ranks 2 "$climax" bench allreduce --seconds 0.5 --json "$dir/allreduce.json" >/dev/null 2>"$dir/err" ||
  { cat "$dir/err" >&2; exit 1; }
echo "$(nproc) cores; more ranks than that share them"
"$climax" bench scaling "${runs[@]}" --measured "$dir/allreduce.json" --json "$dir/scaling.json" "$@"
