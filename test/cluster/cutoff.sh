#!/usr/bin/env bash
# Cuts one of two hosts off in the middle of a training and watches both ends: after how long each rank ended, with
# what words, and whether the last checkpoint loads.
#
#   test/cluster/hosts.sh up
#   test/cluster/cutoff.sh openmpi cut pretrain.yaml    or mpich; `cut` lets packets vanish, `unplug` takes the link down
#   test/cluster/hosts.sh down
#
# CLIMAX is the command (climax). The settings should make checkpoints soon and run for minutes; RANKS are 2.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
kind=$1 how=$2 config=$3 ranks=${RANKS:-2}
dir=$(mktemp -d)
trap '"$here/hosts.sh" mend; rm -rf "$dir"' EXIT
"$here/hosts.sh" mend
alive() { [ -d "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }

cat >"$dir/rank" <<'END'
#!/bin/sh
dir=$(dirname "$0") rank=$(printenv OMPI_COMM_WORLD_RANK || printenv PMI_RANK)
"$@" >"$dir/out.$rank" 2>&1 &
echo $! >"$dir/pid.$rank"
wait $!
echo $? >"$dir/code.$rank"
exit $(cat "$dir/code.$rank")
END
chmod +x "$dir/rank"
"$here/hosts.sh" run "$kind" "$ranks" "$dir/rank" "${CLIMAX:-climax}" pretrain --config "$config" --output "$dir/run" \
  >"$dir/mpirun" 2>&1 &
mpirun=$!
until [ -s "$dir/run/last.safetensors" ]; do
  kill -0 $mpirun || { cat "$dir/mpirun" "$dir"/out.*; exit 1; }
  sleep 0.2
done
sleep 2.3
"$here/hosts.sh" "$how"
start=$(date +%s.%N)
since() { echo "$(date +%s.%N) - $start" | bc | sed 's/\(\.[0-9]\).*/\1/; s/^\./0./'; }
echo "$how after step $(tail -n 1 "$dir/run/log.jsonl" | grep -o '"step":[0-9]*' | cut -d: -f2)"
declare -A ended=()
for _ in $(seq 600); do
  for rank in $(seq 0 $((ranks - 1))); do
    alive "$(cat "$dir/pid.$rank")" || ended[$rank]=${ended[$rank]:-$(since)}
  done
  kill -0 $mpirun 2>/dev/null || ended[mpirun]=${ended[mpirun]:-$(since)}
  [ ${#ended[@]} = $((ranks + 1)) ] && break
  sleep 0.1
done
for rank in $(seq 0 $((ranks - 1))); do
  echo "rank $rank: ended after ${ended[$rank]:-(not within a minute)} s with $(cat "$dir/code.$rank" 2>/dev/null || echo '(its shell was ended too)')"
  grep -v 'artificially reduced' "$dir/out.$rank" | tail -n 8 | sed 's/^/  | /' || true
done
echo "mpirun: ended after ${ended[mpirun]:-(not within a minute)} s"
"$here/hosts.sh" mend
sleep 5
for pid in $(cat "$dir"/pid.*); do alive "$pid" && { echo "left running: $pid"; kill -KILL "$pid"; }; done
kill -0 $mpirun 2>/dev/null && { echo "mpirun is left running"; kill $mpirun; }
wait $mpirun || echo "mpirun: exit code $?"
for file in "$dir"/run/*.safetensors; do
  "${CLIMAX:-climax}" inspect "$file" >/dev/null && echo "loads: $(basename "$file")"
done
ls -A "$dir/run"
