// What users name as input: files, folders of Zarr or of shards, URLs, and patterns ("era5/*_2001*.nc") that the shell
// left to us: quoted ones, and those too many for its command line.
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, dirname, isAbsolute, join } from "node:path";
import { ClimaxError, nearestNames } from "../errors.ts";
import { looksLikeNpzShards, looksLikeZarr } from "./storefolders.ts";

const url = /^[a-z][a-z0-9+.-]+:\/\//i;
const magic = /[*?[\]{}]|[!@+]\(/;

/**
 * The inputs that patterns stand for, those of each pattern in natural order ("a2.nc" before "a10.nc"), each once. Names
 * without pattern, names that exist as they are, and URLs are taken as they are.
 * @throws ClimaxError "data" for a pattern that matches nothing, with the nearest names that there are
 */
export async function expandPaths(patterns: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const pattern of patterns) {
    if (url.test(pattern) || !magic.test(pattern) || existsSync(pattern)) found.push(pattern);
    else found.push(...(await matches(pattern)));
  }
  return [...new Set(found)];
}

const natural = new Intl.Collator("en", { numeric: true });

async function matches(pattern: string): Promise<string[]> {
  // Where a backslash parts folders, it does not quote.
  const slashed = process.platform === "win32" ? pattern.replaceAll("\\", "/") : pattern;
  const written = slashed.replace(/^(?:\.\/)+/, "");
  const { glob } = await import("tinyglobby"); // plain names need none
  const all = await glob(written, {
    expandDirectories: false,
    onlyFiles: false,
    absolute: isAbsolute(written),
  });
  const plain = all.map((path) => path.replace(/\/+$/, ""));
  const base = written.split("/").findIndex((part) => magic.test(part));
  const known = new Map<string, Promise<boolean>>();
  const inputs = new Set<string>();
  for (const [i, path] of plain.entries()) {
    const store = await storeOf(path, path === all[i], base, known);
    if (store !== undefined || path === all[i]) inputs.add(store ?? path);
  }
  if (inputs.size === 0) throw await nothing(written, all.length);
  return [...inputs].sort(natural.compare);
}

/** The store that a path is or lies in, if that is below the `base` first parts; of stores in stores the outermost. */
async function storeOf(
  path: string,
  file: boolean,
  base: number,
  known: Map<string, Promise<boolean>>,
): Promise<string | undefined> {
  const parts = path.split("/");
  for (let length = base + 1; length <= parts.length - (file ? 1 : 0); length++) {
    const folder = parts.slice(0, length).join("/");
    const store = known.get(folder) ?? isStore(folder);
    known.set(folder, store);
    if (await store) return folder;
  }
  return undefined;
}

async function isStore(folder: string): Promise<boolean> {
  const names: string[] = await readdir(folder).catch(() => []); // a file, mostly
  return looksLikeZarr(names) || looksLikeNpzShards(names);
}

async function nothing(pattern: string, folders: number): Promise<ClimaxError> {
  // As deep as the pattern names folders that exist.
  const parts = pattern.split("/");
  let folder = pattern.startsWith("/") ? "/" : ".";
  let rest = parts.filter((part) => part !== "");
  while (rest.length > 1 && existsSync(join(folder, rest[0]!))) {
    folder = join(folder, rest[0]!);
    rest = rest.slice(1);
  }
  const names = (await readdir(folder).catch(() => [])).filter((name) => !name.startsWith("."));
  const near = nearestNames(rest[0] ?? basename(pattern), names).slice(0, 3);
  const only = folders > 0 ? `no file, only ${folders} folder${folders === 1 ? "" : "s"}` : "nothing";
  const where = folder === "." ? "this folder" : folder;
  return new ClimaxError(
    "data",
    `the pattern ${pattern} matches ${only}`,
    near.length > 0
      ? `the nearest in ${where}: ${near.map((name) => (folder === "." ? name : join(folder, name))).join(", ")}`
      : `there is nothing in ${existsSync(folder) ? where : dirname(folder)}`,
  );
}
