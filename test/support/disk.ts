/** Disks of a few kilobytes, where the system lets us make them. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const mount = (folder: string, bytes: number): boolean =>
  spawnSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", folder]).status === 0;
const unmount = (folder: string): boolean => spawnSync("umount", [folder]).status === 0;

/** Whether this process may mount a disk of its own, as root may outside of most containers. */
export const canMount = ((): boolean => {
  const folder = mkdtempSync(join(tmpdir(), "climax-mount-"));
  try {
    return mount(folder, 4096) && unmount(folder);
  } finally {
    rmdirSync(folder);
  }
})();

/** Runs `work` while `folder`, which exists, is a disk of so many bytes. */
export async function onSmallDisk(folder: string, bytes: number, work: () => Promise<void>): Promise<void> {
  if (!mount(folder, bytes)) throw new Error(`cannot mount a disk at ${folder}`);
  await work().finally(() => unmount(folder));
}
