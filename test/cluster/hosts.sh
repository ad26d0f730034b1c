#!/usr/bin/env bash
# Two hosts on one machine, for trying several by hand: network namespaces with a hostname and an address each, joined
# by one cable (a veth pair), reached by no one else. Ranks on one talk to those on the other over TCP alone.
#
#   test/cluster/hosts.sh up                                makes climax-a (10.99.0.1) and climax-b (10.99.0.2)
#   test/cluster/hosts.sh run openmpi 2 climax pretrain ... mpirun on climax-a, N ranks dealt out over both; or mpich
#   test/cluster/hosts.sh in climax-b COMMAND...            a command on one of them
#   test/cluster/hosts.sh cut                               pulls the cable out, as far as packets go: they vanish
#   test/cluster/hosts.sh unplug                            takes climax-b's interface down
#   test/cluster/hosts.sh slow 1gbit                        as fast as that, each way
#   test/cluster/hosts.sh mend                              undoes all three
#   test/cluster/hosts.sh down                              removes what `up` made
#
# Files and process ids are shared, as files are on a cluster. Needs root, iproute2, util-linux and Linux.
set -euo pipefail
self=$(readlink -f "$0")
hosts=(climax-a climax-b)
exists() { ip netns list | grep -qw "$1"; }

up() {
  down
  ip link add climax-veth-a type veth peer name climax-veth-b
  for i in 0 1; do
    local host=${hosts[i]}
    mkdir -p "/etc/netns/$host" # `ip netns exec` lays these over /etc
    printf '127.0.0.1 localhost\n10.99.0.1 climax-a\n10.99.0.2 climax-b\n' >"/etc/netns/$host/hosts"
    ip netns add "$host"
    ip link set "climax-veth-${host#climax-}" netns "$host" name eth0
    ip -n "$host" addr add "10.99.0.$((i + 1))/24" dev eth0
    ip -n "$host" link set lo up
    ip -n "$host" link set eth0 up
  done
}

down() {
  for host in "${hosts[@]}"; do
    if exists "$host"; then ip netns delete "$host"; fi
    rm -rf "/etc/netns/$host"
  done
  ip link delete climax-veth-a 2>/dev/null || true
  rmdir /etc/netns 2>/dev/null || true
}

# What mpirun takes for ssh: HOST COMMAND, the command being words for a shell.
agent() {
  while [[ $1 == -* ]]; do shift; done
  local host=$1
  shift
  inside "$host" sh -c "$*"
}

inside() {
  local host=$1
  shift
  exec ip netns exec "$host" unshare --uts sh -c 'hostname "$0" && exec "$@"' "$host" "$@"
}

run() {
  local kind=$1 n=$2
  shift 2
  local each=$(((n + 1) / 2)) tool
  tool=$(mktemp)
  trap 'rm -f '"$tool" EXIT # after mpirun has ended
  printf '#!/bin/sh\nexec %s agent "$@"\n' "$self" >"$tool"
  chmod +x "$tool"
  case $kind in
    openmpi) (inside climax-a mpirun.openmpi --allow-run-as-root --bind-to none --oversubscribe \
      --mca plm_rsh_agent "$tool" --mca oob_tcp_if_include eth0 --mca btl self,vader,tcp --mca btl_tcp_if_include eth0 \
      --mca btl_vader_single_copy_mechanism none --mca mpi_yield_when_idle 1 ${HOSTS_MPIRUN:-} \
      --host "climax-a:$each,climax-b:$each" --map-by node -n "$n" "$@") ;;
    # UCX knows hosts by the running system: these two would use its shared memory.
    mpich) (inside climax-a env UCX_TLS=self,tcp UCX_NET_DEVICES=eth0 mpirun.mpich -launcher ssh -launcher-exec "$tool" \
      -iface eth0 -bind-to none -hosts climax-a,climax-b -ppn 1 ${HOSTS_MPIRUN:-} -n "$n" "$@") ;;
    *) echo "openmpi or mpich" >&2; exit 2 ;;
  esac
}

cable() { # what leaves each host goes through this queue
  for host in "${hosts[@]}"; do ip netns exec "$host" tc qdisc replace dev eth0 root "$@"; done
}

case ${1:-} in
  up) up ;;
  down) down ;;
  run) shift; run "$@" ;;
  in) shift; inside "$@" ;;
  agent) shift; agent "$@" ;;
  cut) cable blackhole ;;
  slow) cable tbf rate "$2" burst 256kb latency 50ms ;;
  unplug) ip -n climax-b link set eth0 down ;;
  mend)
    ip -n climax-b link set eth0 up
    for host in "${hosts[@]}"; do ip netns exec "$host" tc qdisc delete dev eth0 root 2>/dev/null || true; done ;;
  *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
esac
