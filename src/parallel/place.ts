// Where a process is: which others share its machine, its process ids and its loopback, and which have ended.
import { readFileSync, readlinkSync } from "node:fs";
import { hostname, networkInterfaces } from "node:os";

/** Texts that are equal where two processes share the thing. */
export interface Place {
  readonly host: string;
  /** The running system. Containers on it share it, under whatever host names. */
  readonly machine: string;
  /** Who sees the same process under the same id. */
  readonly processes: string;
  /** Who reaches the same 127.0.0.1. */
  readonly network: string;
}

export function thisPlace(): Place {
  const host = hostname();
  const machine = text(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()) ?? host;
  const namespace = (kind: string) =>
    `${machine} ${text(() => readlinkSync(`/proc/self/ns/${kind}`)) ?? host}`;
  return { host, machine, processes: namespace("pid"), network: namespace("net") };
}

function text(read: () => string): string | undefined {
  try {
    return read();
  } catch {
    return undefined; // not Linux, or /proc is not shown here
  }
}

/**
 * The addresses of this host that others may reach, IPv4 first. Link-local ones are left out: they mean nothing without
 * the name of the caller's own interface.
 */
export function ownAddresses(interfaces = networkInterfaces()): string[] {
  const all = Object.values(interfaces).flatMap((of) => of ?? []);
  const usable = all.filter(({ internal, address }) => !internal && !/^(fe80:|169\.254\.)/i.test(address));
  return [
    ...usable.filter(({ family }) => family === "IPv4"),
    ...usable.filter(({ family }) => family === "IPv6"),
  ].map(({ address }) => address);
}

/** PF_EXITING of the kernel's sched.h. */
const exiting = 0x4;

/** Whether the process of this id, here, has ended or is about to: also while its parent has not yet taken notice. */
export function hasEnded(pid: number): boolean {
  const stat = text(() => readFileSync(`/proc/${pid}/stat`, "utf8"));
  if (stat !== undefined) {
    // After the name, which may hold anything: state, ppid, pgrp, session, tty, tpgid, flags.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return "ZXx".includes(fields[0]!) || (Number(fields[6]) & exiting) !== 0;
  }
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
