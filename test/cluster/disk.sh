#!/usr/bin/env bash
# What the disk of a run's folder may do without loss: stand still for longer than a silent rank would be given, and be
# full. Also stops rank 0 as a whole for a while.
#
#   test/cluster/disk.sh pretrain.yaml openmpi    or mpich
#
# CLIMAX is the command (climax), KIB the size of the disk that is soon full: room for one checkpoint that --resume takes
# up and the best one, and not for another (900, for a last.safetensors of 525 KB). The settings should validate at every
# step and make thousands. Needs root, util-linux, mkfs.ext4, loop devices and tmpfs.
set -euo pipefail
config=$1 kind=$2 climax=${CLIMAX:-climax}
dir=$(mktemp -d)
mkdir "$dir/slow" "$dir/full"
mpirun=
tidy() {
  fsfreeze --unfreeze "$dir/slow" 2>/dev/null || true
  if [ -n "$mpirun" ]; then kill $mpirun 2>/dev/null && wait $mpirun || true; fi
  for disk in slow full; do if mountpoint -q "$dir/$disk"; then umount "$dir/$disk"; fi; done
  rm -rf "$dir"
}
trap tidy EXIT
cat >"$dir/rank" <<'END'
#!/bin/sh
dir=$(dirname "$0") rank=$(printenv OMPI_COMM_WORLD_RANK || printenv PMI_RANK)
echo $$ >"$dir/pid.$rank"
exec "$@" >"$dir/out.$rank" 2>&1
END
chmod +x "$dir/rank"
start() { # FOLDER
  rm -f "$dir"/pid.* "$dir"/out.*
  local options=(-bind-to none)
  [ "$kind" = openmpi ] && options=(--allow-run-as-root --oversubscribe --bind-to none --mca btl_vader_single_copy_mechanism none)
  "mpirun.$kind" "${options[@]}" -n 2 "$dir/rank" "$climax" pretrain --config "$config" --output "$1" --resume auto \
    ${MPI:-} >"$dir/mpirun" 2>&1 &
  mpirun=$!
}
last_step() { sed -n 's/.*"event":"[a-z]*","step":\([0-9]*\).*/\1/p' "$1/log.jsonl" | tail -n 1; }
await_step() { # FOLDER STEP
  until [ -s "$1/last.safetensors" ] && [ "$(last_step "$1")" -gt "$2" ]; do
    kill -0 $mpirun 2>/dev/null || { echo "the run ended by itself:"; cat "$dir"/out.*; exit 1; }
    sleep 0.1
  done
}
loads() {
  for file in "$1"/*.safetensors; do "$climax" inspect "$file" --tensors >/dev/null || { echo "DOES NOT LOAD: $file"; exit 1; }; done
  echo "   loads: $(cd "$1" && ls ./*.safetensors | tr '\n' ' ')"
}
finish() { # FOLDER
  local code=0
  kill -USR1 $mpirun
  wait $mpirun || code=$?
  echo "   ended by SIGUSR1 after step $(last_step "$1") with exit code $code"
  loads "$1"
}
words() { grep -hvE 'artificially reduced' "$dir"/out.* | grep -E '^(error|hint|climax):|^hint' | cut -c1-260 | sed 's/^/   | /' || true; }

truncate -s 64M "$dir/slow.img"
mkfs.ext4 -q "$dir/slow.img"
mount -o loop "$dir/slow.img" "$dir/slow"
run=$dir/slow/run
start "$run"
await_step "$run" 2
fsfreeze --freeze "$dir/slow"
sleep 1
before=$(last_step "$run")
sleep 25
kill -0 $mpirun
echo "a disk that stands still: step $before, 25 s later step $(last_step "$run"), the run lives: $(ls -d /proc/"$(cat "$dir/pid.0")" /proc/"$(cat "$dir/pid.1")" | wc -l) of 2 ranks"
fsfreeze --unfreeze "$dir/slow"
await_step "$run" $((before + 3))
echo "   goes on: step $(last_step "$run")"
before=$(last_step "$run")
kill -STOP "$(cat "$dir/pid.0")"
sleep 8
kill -CONT "$(cat "$dir/pid.0")"
await_step "$run" $((before + 3))
echo "rank 0 stopped for 8 s after step $before: goes on: step $(last_step "$run")"
finish "$run"

mount -t tmpfs -o size="${KIB:-900}k" tmpfs "$dir/full"
run=$dir/full/run
start "$run"
code=0
wait $mpirun || code=$?
echo "a full disk: ended after step $(last_step "$run") with exit code $code; in the folder: $(ls -A "$run" | tr '\n' ' ')"
words
loads "$run"
mount -o remount,size=64m "$dir/full"
before=$(last_step "$run")
start "$run"
await_step "$run" "$before"
echo "   with room again: goes on from step $before"
finish "$run"
mpirun=
