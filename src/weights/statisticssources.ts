// The places that statistics come from: ERA5's (built in), ClimaX's npz files, prepared sets, climax checkpoints, and
// YAML or JSON.
import { existsSync } from "node:fs";
import { open, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { era5Statistics } from "../data/era5statistics.ts";
import { readClimaxStatistics } from "../data/shardstatistics.ts";
import { knownName } from "../data/variables.ts";
import { ClimaxError } from "../errors.ts";
import { readTextFile } from "../files/textfile.ts";
import { openCheckpoint } from "../model/checkpoint.ts";
import { parseSettings } from "./settingsfile.ts";

export interface Scale {
  readonly mean: number;
  readonly std: number;
  /** When the source says them. */
  readonly units?: string | undefined;
}

export interface StatisticsSource {
  /** As messages name it. */
  readonly from: string;
  /** By the source's own names. */
  readonly of: ReadonlyMap<string, Scale>;
  /** What the user should know when these are taken from it. */
  notes(taken: readonly string[]): readonly string[];
}

/** Bytes of a YAML, JSON or set.json: of a set with many years, a few MB. */
const LARGEST = 64 * 2 ** 20;
const LARGEST_YAML = 2 ** 19;

const kinds =
  "give era5, a folder with normalize_mean.npz and normalize_std.npz, a prepared set, a climax checkpoint, or a YAML " +
  "or JSON file of {name: {mean, std}}";

/**
 * Opens one source.
 *
 * @throws ClimaxError "data" or "checkpoint" when it is none or is damaged
 */
export async function openStatistics(source: string): Promise<StatisticsSource> {
  if (source === "era5") {
    return { from: "era5", of: era5Statistics, notes: () => ["ERA5 as published with Stormer"] };
  }
  const there = await stat(source).catch(() => undefined);
  if (!there) return refuse(source, "there is no such file or folder", kinds);
  if (there.isDirectory()) return ofFolder(source);
  if (!there.isFile()) return refuse(source, "it is a device or a pipe, not a file", kinds);
  return ofFile(source);
}

function refuse(source: string, what: string, hint: string): never {
  throw new ClimaxError("data", `statistics of ${source}: ${what}`, hint);
}

const lastYear =
  "where ClimaX's own scripts made them, those of variables on levels are of the last training year, with which its " +
  "published checkpoints were most likely trained";
const simulated = (synthetic: boolean) => () => (synthetic ? ["of a simulated atmosphere"] : []);

async function ofFolder(folder: string): Promise<StatisticsSource> {
  if (existsSync(join(folder, "set.json"))) return ofSet(folder);
  if (!existsSync(join(folder, "normalize_mean.npz"))) {
    return refuse(folder, "the folder has neither set.json nor normalize_mean.npz", kinds);
  }
  const { mean, std } = await readClimaxStatistics(folder);
  const of = new Map<string, Scale>();
  for (const [name, value] of mean) {
    // The reference divides precipitation by its deviation and subtracts nothing (get_normalize of its datamodules).
    of.set(name, { mean: name === "total_precipitation" ? 0 : value, std: std.get(name)! });
  }
  const notes = (taken: readonly string[]) => [
    ...(taken.some((name) => knownName(name)?.level !== undefined) ? [lastYear] : []),
    ...(taken.includes("total_precipitation")
      ? ["a mean of 0 for total_precipitation, as the reference takes it"]
      : []),
  ];
  return { from: folder, of, notes };
}

const finite = z.number();

/** What of set.json is wanted here. */
const setSchema = z.object({
  format: z.literal("climax-set"),
  version: z.literal(1),
  variables: z.array(z.object({ name: z.string().min(1), units: z.string() })).min(1),
  mean: z.record(z.string(), finite),
  std: z.record(z.string(), finite),
  synthetic: z.boolean(),
});

async function ofSet(folder: string): Promise<StatisticsSource> {
  const path = join(folder, "set.json");
  const text = await textOf(folder, path, LARGEST);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return refuse(folder, "set.json is not JSON", "run climax prepare again");
  }
  const { data, error } = setSchema.safeParse(json);
  if (error) {
    const { path: key, message } = error.issues[0]!;
    return refuse(
      folder,
      `set.json: ${key.join(".") || "it"} is wrong: ${message}`,
      "run climax prepare again",
    );
  }
  const of = new Map<string, Scale>();
  for (const { name, units } of data.variables) {
    const [mean, std] = [data.mean, data.std].map((by) => (Object.hasOwn(by, name) ? by[name] : undefined));
    if (mean === undefined || std === undefined) {
      return refuse(folder, `set.json has no mean or std of ${name}`, "run climax prepare again");
    }
    of.set(name, { mean, std, units });
  }
  return {
    from: folder,
    of,
    notes: simulated(data.synthetic),
  };
}

async function ofFile(path: string): Promise<StatisticsSource> {
  const head = await headOf(path);
  // Eight bytes of length, then the header of safetensors, JSON.
  if (head.length > 8 && head[8] === 0x7b && head[7] === 0) return ofCheckpoint(path);
  if (head[0] === 0x50 && head[1] === 0x4b) {
    return refuse(
      path,
      "it is a zip archive",
      "give the folder of an npz; convert a .ckpt first, or --stats what it was made with",
    );
  }
  const text = await textOf(path, path, LARGEST_YAML);
  let value: unknown;
  try {
    value = parseSettings(text);
  } catch (error) {
    return refuse(path, `it is neither YAML nor JSON: ${(error as Error).message}`, kinds);
  }
  const { data, error } = written.safeParse(value);
  if (error) {
    const { path: key, message } = error.issues[0]!;
    return refuse(
      path,
      `${key.slice(0, 3).join(".").slice(0, 200) || "it"} is wrong: ${message}`,
      "write lines such as 2m_temperature: {mean: 278.5, std: 21.2}",
    );
  }
  return { from: basename(path), of: new Map(Object.entries(data)), notes: () => [] };
}

/** A number, also where 1e-5 or .nan makes it text or none. */
const written = z.record(
  z.string().min(1).max(200),
  z.strictObject({
    mean: z.union([finite, z.nan()]),
    std: z.union([finite, z.nan()]),
    units: z.string().optional(),
  }),
);

async function ofCheckpoint(path: string): Promise<StatisticsSource> {
  const checkpoint = await openCheckpoint(path);
  const { variables, synthetic } = checkpoint.info;
  await checkpoint.close();
  return {
    from: basename(path),
    of: new Map(variables.map(({ name, ...scale }) => [name, scale])),
    notes: simulated(synthetic),
  };
}

async function headOf(path: string): Promise<Uint8Array> {
  const handle = await open(path);
  try {
    const head = new Uint8Array(16);
    const { bytesRead } = await handle.read(head, 0, 16, 0);
    return head.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

function textOf(source: string, path: string, largest: number): Promise<string> {
  return readTextFile(path, largest, (what) => refuse(source, `${basename(path)} ${what}`, kinds));
}
