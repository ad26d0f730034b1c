// Whether an output is there already, made from the same input by the same settings, and what killed runs left over.
import { readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { openDataset } from "./open.ts";
import type { AxisOptions } from "./regridaxes.ts";
import { digest, type PlanOptions } from "./regridplan.ts";

const url = /^[a-z][a-z0-9+.-]+:\/\//i;

/**
 * What an output depends on, in short: the settings and the input's name, size and time of change. Of an address on
 * the web only the address is known. Undefined when there is no such input.
 */
export async function fingerprintOf(
  input: string,
  {
    target,
    targetEdges,
    method,
    minimumValid,
    variables,
    cut,
    weights,
    levels,
    every,
    average,
    period,
  }: Omit<PlanOptions & AxisOptions, "cache" | "commandLine" | "program">,
  compress: number,
): Promise<string | undefined> {
  const settings = [target, targetEdges, method, minimumValid, variables, cut, weights, compress];
  const axes = [levels, every, average, period];
  if (url.test(input)) return digest([settings, axes, input]);
  const info = await stat(input).catch(() => undefined);
  if (!info) return undefined;
  return digest([settings, axes, basename(input), info.size, info.mtimeMs]);
}

/** The fingerprint that an output was written with; "other" for files of another making, undefined for none. */
export async function writtenAs(output: string): Promise<string | undefined> {
  if (!(await stat(output).catch(() => undefined))) return undefined;
  try {
    const dataset = await openDataset(output);
    const found = dataset.attributes.get("regrid_fingerprint");
    await dataset.close();
    return typeof found === "string" ? found : "other";
  } catch {
    return "other";
  }
}

/** Minutes after which an unfinished file that nobody writes to is taken for a killed run's. */
const abandonedAfter = 10;

/** Removes what killed runs left of an output. Another machine may be writing it, so only what has long been still. */
export async function removeAbandoned(output: string): Promise<void> {
  const folder = dirname(output);
  const prefix = `${basename(output)}.partial-`;
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.startsWith(prefix));
  for (const name of names) {
    const path = join(folder, name);
    const { mtimeMs = Date.now() } = (await stat(path).catch(() => undefined)) ?? {};
    if (Date.now() - mtimeMs > abandonedAfter * 60_000) await rm(path, { force: true });
  }
}
