// Folders of files as input: a folder that is no store of its own stands for the files and stores in it.
import { readdirSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { ClimaxError } from "../errors.ts";
import { expandPaths } from "./paths.ts";
import { looksLikeNpzShards, looksLikeZarr } from "./storefolders.ts";

const dataFile = /\.(nc[34]?|cdf|hdf5|h5|gri?b[12]?|grb2|zarr)$/i;
const natural = new Intl.Collator("en", { numeric: true });

/** Whether a folder is a store, or holds files or stores by the names in use for them. */
export function holdsData(folder: string): boolean {
  const names = readdirSync(folder);
  return isStore(names) || names.some((name) => dataFile.test(name));
}

const isStore = (names: readonly string[]) => looksLikeZarr(names) || looksLikeNpzShards(names);

/**
 * The inputs that paths stand for: those of patterns (paths.ts), and the files and stores in folders, in natural order.
 * @throws ClimaxError "data" for a pattern that matches nothing, and for a folder with nothing to read in it
 */
export async function expandFolders(patterns: readonly string[]): Promise<string[]> {
  const inputs: string[] = [];
  for (const path of await expandPaths(patterns)) {
    const folder = await stat(path).then(
      (info) => info.isDirectory(),
      () => false, // a URL, or what is not there, which its reader says best
    );
    const names = folder ? await readdir(path) : [];
    if (!folder || isStore(names)) inputs.push(path);
    else inputs.push(...filesIn(path, names));
  }
  return [...new Set(inputs)];
}

function filesIn(folder: string, names: readonly string[]): string[] {
  const files = names.filter((name) => dataFile.test(name)).sort(natural.compare);
  if (files.length > 0) return files.map((name) => join(folder, name));
  const some = [...names].sort(natural.compare).slice(0, 5);
  const found = names.length === 0 ? "nothing" : `${some.join(", ")}${names.length > 5 ? ", ..." : ""}`;
  throw new ClimaxError(
    "data",
    `${folder} is a folder without files to read; it holds ${found}`,
    `name the files, or a pattern in quotes: '${join(folder, "*.nc")}'`,
  );
}
