// A text file that is read whole: of bounded size, and a file indeed. A pipe would keep us waiting, a device never end.
import { constants } from "node:fs";
import { open } from "node:fs/promises";

/**
 * @param largest  bytes
 * @param refuse   throws, told what is wrong with it: "is a folder"
 * @throws         what Node does where it cannot be opened or read
 */
export async function readTextFile(
  path: string,
  largest: number,
  refuse: (what: string) => never,
): Promise<string> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const about = await handle.stat();
    if (!about.isFile()) refuse(about.isDirectory() ? "is a folder" : "is a device or a pipe, not a file");
    if (about.size > largest) refuse(`has ${about.size} bytes, more than ${largest}`);
    return await handle.readFile("utf8");
  } finally {
    await handle.close();
  }
}
