// What lies beside a file of weights: a YAML with our keys, or the config.yaml that LightningCLI writes into the
// folder of a run.
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { ClimaxError, nearestNames } from "../errors.ts";
import { type Said, saidFields, sayings, sourceFields, type Teller, withSpelling } from "./describe.ts";
import { isLightning, lightningSays } from "./lightning.ts";
import { parseSettings } from "./settingsfile.ts";

/** Bytes; those of ClimaX's runs have 6 kB. */
const LARGEST = 256 * 1024;

const hint = "mend the file, or move it away and give the flags --source.* instead";

/**
 * Reads what is said beside a file: `<file>.yaml`, `<stem>.yaml`, `config.yaml` in its folder, or in the folder above
 * when its own is called checkpoints, where LightningCLI puts them. The first that there is counts.
 *
 * @returns undefined when there is none
 * @throws  ClimaxError "config" for one that is no YAML, is too large, or says what cannot be
 */
export async function readSidecar(
  path: string,
): Promise<(Teller & { readonly description: Said }) | undefined> {
  const folder = dirname(path);
  const stem = basename(path).replace(/\.[^.]*$/, "");
  const own = [`${path}.yaml`, join(folder, `${stem}.yaml`)].filter((place) => place !== path);
  const ofRun = [
    join(folder, "config.yaml"),
    ...(basename(folder) === "checkpoints" ? [join(dirname(folder), "config.yaml")] : []),
  ];
  for (const place of new Set([...own, ...ofRun])) {
    const text = await textOf(place);
    if (text === undefined) continue;
    const value = yamlOf(place, text);
    const from = basename(place);
    if (isLightning(value)) {
      const teller = lightningSays(value, from, (what) => refuse(place, what));
      return { ...teller, description: teller.said };
    }
    if (own.includes(place)) {
      const said = ownKeys(place, value);
      return { from, said, description: said, notes: sayings(from, said) };
    }
    const strange = `${from} beside it is not LightningCLI's (no model.net) and was not read`;
    return { from, said: {}, description: {}, notes: [strange] };
  }
  return undefined;
}

function refuse(place: string, what: string): never {
  throw new ClimaxError("config", `${place}, which lies beside the weights, ${what}`, hint);
}

async function textOf(place: string): Promise<string | undefined> {
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    handle = await open(place, constants.O_RDONLY | constants.O_NONBLOCK); // a pipe must not keep us waiting
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    return refuse(place, `cannot be read (${code})`);
  }
  try {
    const file = await handle.stat();
    if (!file.isFile()) return refuse(place, "is not a file");
    if (file.size > LARGEST)
      return refuse(place, `has ${file.size} bytes, more than the ${LARGEST} of any settings`);
    return await handle.readFile("utf8");
  } finally {
    await handle.close();
  }
}

function yamlOf(place: string, text: string): unknown {
  try {
    return parseSettings(text);
  } catch (error) {
    return refuse(place, `is not YAML: ${(error as Error).message}`);
  }
}

/** Flags of climax convert that are keys here too: where statistics come from, paths being beside the YAML. */
const ownFields = sourceFields.extend({
  stats: z
    .union([
      saidFields.shape.stats.unwrap(),
      z
        .string()
        .min(1)
        .max(1000)
        .transform((one) => [one]),
    ])
    .optional(),
});

function ownKeys(place: string, value: unknown): Said {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return refuse(place, 'is no list of settings, one "name: value" a line');
  }
  const known = Object.keys(ownFields.shape);
  const named = Object.entries(value).map(([key, said]): [string, unknown] => {
    const found = known.find((name) => plainKey(name) === plainKey(key));
    if (found !== undefined) return [found, said];
    return refuse(
      place,
      `has the key "${key}"; did you mean "${nearestNames(key, known)[0]}"? Known: ${known.join(", ")}`,
    );
  });
  const parsed = ownFields.safeParse(Object.fromEntries(named));
  if (!parsed.success) return refuse(place, `says what cannot be: ${firstProblem(parsed.error)}`);
  const { stats, ...said } = parsed.data;
  const found = stats?.map((source) => (source === "era5" ? source : resolve(dirname(place), source)));
  return { ...withSpelling(said), ...(found ? { stats: found } : {}) };
}

/** gridShape, grid-shape and grid_shape are one key. */
const plainKey = (key: string) => key.toLowerCase().replace(/[-_]/g, "");

/** The first of the problems, with its place. */
function firstProblem(error: z.ZodError): string {
  const [{ path, message }] = error.issues as [z.core.$ZodIssue];
  return `${path.join(".")}: ${message}`;
}
