// Folders made on the way to a file.
import { mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/**
 * Makes a folder and those above it. Node's own `recursive` never returns where the system says that a folder which
 * exists is not there, as Linux does in /proc.
 *
 * @returns the topmost folder made, to be removed after a failure; undefined when there was nothing to make
 */
export async function makeFolder(path: string): Promise<string | undefined> {
  const folder = resolve(path);
  const there = await stat(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT" && error.code !== "ENOTDIR") throw error;
    return undefined;
  });
  if (there?.isDirectory()) return undefined;
  if (there) throw new Error(`${folder} is a file, not a folder`);
  const above = await makeFolder(dirname(folder));
  await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error; // another process was faster
  });
  return above ?? folder;
}
