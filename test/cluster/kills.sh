#!/usr/bin/env bash
# Kills a rank at random moments of a training that writes checkpoints all the time, takes the run up again from what
# it left, and at last lets it end: no moment may leave a checkpoint that does not load, or a process.
#
#   test/cluster/kills.sh pretrain.yaml 2 20 openmpi    2 ranks, 20 moments; or mpich
#
# CLIMAX is the command (climax), MPI further flags of it, SECONDS_MOST how long after its start a run may be killed (9).
# The settings should validate at every step (training.validateEvery 1) and make more steps than the kills let through.
set -euo pipefail
config=$1 ranks=$2 moments=$3 kind=$4
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
climax=${CLIMAX:-climax}
alive() { [ -d "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }

cat >"$dir/rank" <<'END'
#!/bin/sh
dir=$(dirname "$0") rank=$(printenv OMPI_COMM_WORLD_RANK || printenv PMI_RANK)
echo $$ >"$dir/pid.$rank"
exec "$@" >"$dir/out.$rank" 2>&1
END
chmod +x "$dir/rank"
start() {
  rm -f "$dir"/pid.* "$dir"/out.*
  local options=(-bind-to none)
  [ "$kind" = openmpi ] && options=(--allow-run-as-root --oversubscribe --bind-to none --mca btl_vader_single_copy_mechanism none)
  exec "mpirun.$kind" "${options[@]}" -n "$ranks" "$dir/rank" "$climax" pretrain --config "$config" --output "$dir/run" \
    --resume auto ${MPI:-} "$@"
}

for moment in $(seq "$moments"); do
  start >"$dir/mpirun" 2>&1 &
  mpirun=$!
  victim=$((RANDOM % ranks))
  until [ -s "$dir/pid.$victim" ]; do sleep 0.05; done
  wait_ms=$((RANDOM % (${SECONDS_MOST:-9} * 1000)))
  sleep "$((wait_ms / 1000)).$(printf %03d $((wait_ms % 1000)))"
  pids=$(cat "$dir"/pid.*)
  kill -KILL "$(cat "$dir/pid.$victim")" 2>/dev/null || { echo "the run ended before it could be killed:"; cat "$dir"/out.*; exit 1; }
  begin=$SECONDS code=0
  wait $mpirun || code=$?
  for _ in $(seq 300); do # a rank may need a moment longer than its launcher: 30 s are promised
    left=$(for pid in $pids; do if alive "$pid"; then echo "$pid"; fi; done)
    [ -z "$left" ] && break
    sleep 0.1
  done
  took=$((SECONDS - begin))
  step=$(tail -n 1 "$dir/run/log.jsonl" 2>/dev/null | grep -o '"step":[0-9]*' | tail -n 1 | cut -d: -f2 || true)
  loads=
  for file in "$dir"/run/*.safetensors; do
    [ -e "$file" ] || continue
    "$climax" inspect "$file" --tensors >/dev/null || { echo "DOES NOT LOAD: $file"; exit 1; }
    loads+=" $(basename "$file" .safetensors)"
  done
  echo "$moment: rank $victim of $ranks killed at $((wait_ms / 1000)).$(printf %03d $((wait_ms % 1000))) s, step ${step:-0};" \
    "ended $took s later, exit code $code; loads:${loads:- nothing yet}; running: ${left:-none}; other files:" \
    "$(ls -A "$dir/run" 2>/dev/null | grep -vE '^((best|last).safetensors|log.jsonl|settings.yaml)$' | tr '\n' ' ')"
  grep -h 'is lost\|has died\|ended' "$dir"/out.* | sed 's/^/   | /' | cut -c1-170 | sort -u | head -n 2 || true
  if [ -n "$left" ]; then exit 1; fi
done
(start --training.max-steps "$(($(tail -n 1 "$dir/run/log.jsonl" | grep -o '"step":[0-9]*' | tail -n 1 | cut -d: -f2) + 3))") || true
cat "$dir"/out.0 | tail -n 1
