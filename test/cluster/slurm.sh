#!/usr/bin/env bash
# A SLURM of one node on this machine, for trying bin/slurm by hand: munged, slurmctld and slurmd of your own, with
# settings, keys, state and logs in one folder. Nothing of a SLURM that is already configured here is touched.
#
#   eval "$(test/cluster/slurm.sh start)"     starts what does not run yet, and gives this shell SLURM_CONF
#   sbatch bin/slurm/pretrain.sbatch ...      squeue, srun, scontrol, scancel: as on a cluster
#   test/cluster/slurm.sh stop                ends the three by their process ids, jobs too, and removes the folder
#
# CLIMAX_SLURM names the folder (/tmp/climax-slurm), CLIMAX_SLURM_CPUS how many tasks fit at once (4, whatever the
# machine has: ranks then share cores). Needs Debian's slurm-wlm and munge; tried as root with SLURM 22.05.
# A requeued job waits 10 s here; on most clusters it is 2 minutes.
set -euo pipefail
dir=${CLIMAX_SLURM:-/tmp/climax-slurm}
conf=$dir/slurm.conf

running() { # NAME OF THE PID FILE: whether its process is alive
  { [ -s "$dir/$1.pid" ] && kill -0 "$(cat "$dir/$1.pid")"; } 2>/dev/null # it may remove the file meanwhile
}

configure() {
  mkdir -p "$dir/state" "$dir/spool"
  chmod 755 "$dir"
  [ -s "$dir/munge.key" ] || (umask 077 && head -c 128 /dev/urandom >"$dir/munge.key")
  local host cpus=${CLIMAX_SLURM_CPUS:-4}
  host=$(hostname -s)
  cat >"$conf" <<END
ClusterName=climax
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket,cred_expire=10
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
JobCompType=jobcomp/filetxt
JobCompLoc=$dir/completed
MpiDefault=none
ReturnToService=2
KillWait=30
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE
END
}

start() {
  for need in munged slurmctld slurmd; do
    command -v $need >/dev/null || { echo "$need is not installed: apt-get install slurm-wlm munge" >&2; exit 1; }
  done
  running slurmctld || configure
  running munged || munged --force --socket="$dir/munge.socket" --key-file="$dir/munge.key" \
    --pid-file="$dir/munged.pid" --log-file="$dir/munged.log" --seed-file="$dir/munge.seed" >&2
  export SLURM_CONF=$conf
  running slurmctld || slurmctld >&2
  running slurmd || slurmd >&2
  for _ in $(seq 100); do
    if sinfo -h -o %T 2>/dev/null | grep -qE 'idle|mixed|allocated'; then
      echo "export SLURM_CONF=$conf"
      return
    fi
    sleep 0.2
  done
  echo "the node does not come up: see $dir/slurmctld.log and slurmd.log" >&2
  exit 1
}

stop() {
  if running slurmctld; then
    SLURM_CONF=$conf scancel --quiet --user="$(id -un)" || true
    for _ in $(seq 50); do
      [ -z "$(SLURM_CONF=$conf squeue -h 2>/dev/null)" ] && break
      sleep 0.2
    done
  fi
  for name in slurmd slurmctld munged; do
    running $name || continue
    kill "$(cat "$dir/$name.pid")"
    for _ in $(seq 50); do running $name && sleep 0.1; done
    if running $name; then echo "$name does not end" >&2; exit 1; fi
  done
  rm -rf "$dir"
}

case ${1:-} in
  start) start ;;
  stop) stop ;;
  *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
esac
