#!/usr/bin/env bash
# Kills a rank at random moments of a training that writes checkpoints all the time, takes the run up again from what
# it left, and at last lets it end: no moment may leave a checkpoint that does not load, or a process.
#
#   test/cluster/kills.sh pretrain.yaml 2 20 openmpi    2 ranks, 20 moments; or mpich
#
# Two of three moments are random ones of the SECONDS_MOST seconds (4) that follow on the first checkpoint of each start,
# every third is one in which a checkpoint is being written. CLIMAX is the command (climax), MPI further flags of it, MPIRUN
# those of mpirun, SEED that of the random numbers. The settings should validate at every step (training.validateEvery 1)
# and make more steps than the kills let through. MPICH's mpirun kills all ranks when one dies, so that not every survivor
# comes to say who was lost.
set -euo pipefail
config=$1 ranks=$2 moments=$3 kind=$4
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
climax=${CLIMAX:-climax}
RANDOM=${SEED:=$RANDOM}
echo "seed $SEED, $ranks ranks, $moments moments, $kind"

cat >"$dir/rank" <<'END'
#!/bin/sh
dir=$(dirname "$0") rank=$(printenv OMPI_COMM_WORLD_RANK || printenv PMI_RANK)
echo $$ >"$dir/pid.$rank"
exec "$@" >"$dir/out.$rank" 2>&1
END
chmod +x "$dir/rank"
start() {
  rm -f "$dir"/pid.* "$dir"/out.* "$dir/started"
  touch "$dir/started"
  local options=(-bind-to none)
  [ "$kind" = openmpi ] && options=(--allow-run-as-root --oversubscribe --bind-to none --mca btl_vader_single_copy_mechanism none)
  "mpirun.$kind" "${options[@]}" ${MPIRUN:-} -n "$ranks" "$dir/rank" "$climax" pretrain --config "$config" --output "$dir/run" \
    --resume auto ${MPI:-} >"$dir/mpirun" 2>&1 &
  mpirun=$!
}
checkpointed() { [ -n "$(find "$dir/run/last.safetensors" -newer "$dir/started" 2>/dev/null)" ]; }
await() { # CONDITION..., while the run lives
  until "$@"; do
    kill -0 $mpirun 2>/dev/null || { echo "the run ended by itself:"; cat "$dir/mpirun" "$dir"/out.*; exit 1; }
    [ "${fast:-}" ] || sleep 0.05
  done
}
writing() { compgen -G "$dir/run/*.partial-*" >"$dir/before"; }
stale() { compgen -G "$dir/run/*.partial-*" | sort || true; }
milliseconds() { date +%s%3N; }
seconds() { printf '%d.%d' $(($1 / 1000)) $(($1 % 1000 / 100)); }
last_step() { sed -n 's/.*"event":"[a-z]*","step":\([0-9]*\).*/\1/p' "$dir/run/log.jsonl" | tail -n 1; }
load() { # every checkpoint there is
  local file
  loads=
  for file in "$dir"/run/*.safetensors; do
    [ -e "$file" ] || continue
    "$climax" inspect "$file" --tensors >/dev/null || { echo "DOES NOT LOAD: $file"; exit 1; }
    loads+=" $(basename "$file" .safetensors)"
  done
}

for moment in $(seq "$moments"); do
  start
  victim=$((RANDOM % ranks)) wait_ms=$((RANDOM % (${SECONDS_MOST:-4} * 1000)))
  await checkpointed
  pids=$(cat "$dir"/pid.*) left_before=$(stale)
  sleep "$((wait_ms / 1000)).$(printf %03d $((wait_ms % 1000)))"
  what="$wait_ms ms after a checkpoint"
  if [ $((moment % 3)) = 0 ]; then
    # What earlier kills have left is no sign of writing.
    partial() { writing && [ "$(sort "$dir/before")" != "$left_before" ]; }
    fast=yes await partial
    what="in the midst of writing"
  fi
  step=$(last_step)
  kill -KILL "$(cat "$dir/pid.$victim")" 2>/dev/null || { echo "rank $victim had ended:"; cat "$dir"/out.*; exit 1; }
  killed=$(milliseconds) ended= code=0
  for _ in $(seq 600); do # 30 s are promised
    left=$(for pid in $pids; do [ ! -d "/proc/$pid" ] || grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null || echo "$pid"; done)
    [ -z "$left" ] && ended=${ended:-$(($(milliseconds) - killed))}
    [ -z "$left" ] && ! kill -0 $mpirun 2>/dev/null && break
    sleep 0.05
  done
  all=$(($(milliseconds) - killed))
  wait $mpirun || code=$?
  load
  named=$( (grep -lE "^climax: .*[Rr]ank $victim of $ranks on .* (lost|ended)" "$dir"/out.* || true) | wc -l)
  others=$(pgrep -f "$dir/" | tr '\n' ' ' || true)
  echo "$moment: rank $victim killed $what, step ${step:-0}: ranks ended $(seconds "${ended:-99999}") s later," \
    "mpirun $(seconds $all) s with exit code $code; named by $named of $((ranks - 1)); loads:${loads:- nothing yet};" \
    "running: ${others:-none}; halves left: $(stale | wc -l)"
  grep -hE '^climax: ' "$dir"/out.* | cut -c1-230 | sort -u | head -n 1 | sed 's/^/   | /' || true
  if [ -z "$ended" ] || [ -n "$others" ]; then exit 1; fi
done
before=$(last_step)
start
await checkpointed
kill -USR1 $mpirun
code=0
wait $mpirun || code=$?
load
echo "at last: from step $before to $(last_step), ended by SIGUSR1 with exit code $code; loads:$loads; halves left: $(stale | wc -l)"
