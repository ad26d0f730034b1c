#!/usr/bin/env bash
# Cuts one of two hosts off in the middle of a training and watches both ends: after how long each rank ended, with
# what words, and whether the last checkpoint loads.
#
#   test/cluster/hosts.sh up
#   test/cluster/cutoff.sh openmpi cut pretrain.yaml    or mpich; `cut` lets packets vanish, `unplug` takes the link down
#   test/cluster/hosts.sh down
#
# CLIMAX is the command (climax). The settings should make checkpoints soon and run for minutes; RANKS are 2.
# Open MPI's mpirun misses a lost host after 8 minutes only; with these settings of its own after 16 to 19 s, and all ends:
#   HOSTS_MPIRUN="--mca oob_tcp_keepalive_time 3 --mca oob_tcp_keepalive_intvl 4 --mca oob_tcp_keepalive_probes 4"
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
trap : TERM # launchers send it to the whole group: a rank whose shell has died gets no time for its last words
"$@" >"$dir/out.$rank" 2>&1 &
echo $! >"$dir/pid.$rank"
code=143
while kill -0 $! 2>/dev/null; do wait $!; code=$?; done
echo $code >"$dir/code.$rank"
exit $code
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
echo "$how after step $(tail -n 1 "$dir/run/log.jsonl" | sed 's/.*"event":"[a-z]*","step":\([0-9]*\).*/\1/')"
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
