/**
 * The file of a share of a run: one line of JSON, which says what was scored and where each array lies, then the
 * statistics as little-endian float64, then the SHA-256 of all that stands before it.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { z } from "zod";
import type { Calendar, CfTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { writeWhole } from "../files/wholefile.ts";
import { makeGrid } from "../grid/grid.ts";
import type { CellSums, LeadStatistics, ProfileSums, Series, Statistics } from "../scores/statistics.ts";
import type { Run, RunFacts } from "./run.ts";

const format = "climax-evaluation-part";

/** Writes the share of a run. Throws a `data` error where that cannot be done, and leaves nothing behind. */
export async function writePart(path: string, { facts, statistics, notes, share }: Run): Promise<void> {
  const arrays: Float64Array[] = [];
  let length = 0;
  const place = (array: Float64Array): Place => {
    arrays.push(array);
    length += array.length;
    return [length - array.length, array.length];
  };
  const times = (list: readonly CfTime[]) => place(Float64Array.from(list, ({ seconds }) => seconds));
  const header: Header = {
    format,
    share: share!,
    facts,
    notes: [...notes],
    calendar: statistics.leads[0]?.initial[0]?.calendar ?? "standard",
    grid: { lat: [...statistics.grid.lat], lon: [...statistics.grid.lon] },
    systems: [...statistics.systems],
    metrics: [...statistics.metrics],
    regions: [...statistics.regions],
    leads: statistics.leads.map((lead) => ({
      variable: lead.variable,
      leadHours: lead.leadHours,
      initial: times(lead.initial),
      valid: times(lead.valid),
      series: lead.series.map(({ values, ...rest }) => ({ ...rest, values: place(values) })),
      cells: lead.cells.map(({ sums, rest, ...of }) => ({ ...of, sums: place(sums), rest: place(rest) })),
      profiles: lead.profiles.map(({ sums, rest, ...of }) => ({
        ...of,
        sums: place(sums),
        rest: place(rest),
      })),
    })),
  };
  const line = Buffer.from(`${JSON.stringify(header)}\n`);
  const numbers = Buffer.alloc(length * 8);
  let at = 0;
  for (const array of arrays) for (const value of array) at = numbers.writeDoubleLE(value, at);
  await writeWhole(path, Buffer.concat([line, numbers, checksumOf(line, numbers)]));
}

const checksumBytes = 32;
const checksumOf = (...parts: readonly Buffer[]): Buffer =>
  parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();

/**
 * Reads the share of a run.
 *
 * @throws ClimaxError "data" for a file that is none, or was damaged
 */
export async function readPart(path: string): Promise<Run> {
  const bytes = await readFile(path);
  const end = bytes.indexOf(10);
  const header = readHeader(path, end < 0 ? "" : bytes.toString("utf8", 0, end));
  const whole = bytes.subarray(0, -checksumBytes);
  if (!checksumOf(whole).equals(bytes.subarray(-checksumBytes))) {
    throw new ClimaxError(
      "data",
      `${path} is not as it was written: the checksum at its end is not that of its ${bytes.length} bytes`,
      "copy it again, or make this share again",
    );
  }
  const numbers = whole.subarray(end + 1);
  const array = ([start, length]: Place): Float64Array => {
    if ((start + length) * 8 > numbers.length)
      throw noPart(path, `an array ends beyond its ${numbers.length} bytes`);
    return Float64Array.from({ length }, (_, i) => numbers.readDoubleLE((start + i) * 8));
  };
  const times = (where: Place): CfTime[] =>
    Array.from(array(where), (seconds) => ({ calendar: header.calendar as Calendar, seconds }));
  const leads = header.leads.map(
    (lead): LeadStatistics => ({
      variable: lead.variable,
      leadHours: lead.leadHours,
      initial: times(lead.initial),
      valid: times(lead.valid),
      series: lead.series.map(({ values, ...rest }): Series => ({ ...rest, values: array(values) })),
      cells: lead.cells.map(
        ({ sums, rest, ...of }): CellSums => ({ ...of, sums: array(sums), rest: array(rest) }),
      ),
      profiles: lead.profiles.map(
        ({ sums, rest, ...of }): ProfileSums => ({ ...of, sums: array(sums), rest: array(rest) }),
      ),
    }),
  );
  const { systems, metrics, regions } = header;
  const statistics: Statistics = {
    grid: makeGrid(header.grid.lat, header.grid.lon),
    systems,
    metrics,
    regions,
    leads,
  };
  return { facts: header.facts, statistics, notes: header.notes, share: header.share };
}

/** First element and number of elements, counted in float64. */
type Place = [start: number, length: number];

const count = z.int().min(0);
const place = z.tuple([count, count]);
const sums = {
  system: z.string(),
  metric: z.string(),
  size: count,
  forecasts: count,
  sums: place,
  rest: place,
};
const named = z.object({
  name: z.string(),
  files: z.array(z.string()),
  members: count,
  made: z.array(z.string()),
});
const pair = z.tuple([z.string(), z.string()]);

const headerSchema = z.object({
  format: z.literal(format),
  share: z.object({ index: z.int().min(1), count: z.int().min(1) }),
  facts: z.object({
    version: z.string(),
    bench: z.string(),
    definition: z.enum(["climax", "weatherbench1", "weatherbench2"]),
    anomalies: z.string().nullable(),
    climatology: z.string().nullable(),
    averageHours: z.number().nullable(),
    initialTimes: pair,
    validTimes: pair,
    systems: z.array(named),
    truth: z.array(z.string()),
    synthetic: z.boolean(),
    units: z.record(z.string(), z.string()),
    regions: z.array(z.string()),
    whole: z.string(),
    land: z.array(z.number()).nullable(),
    files: z.array(
      z.object({ path: z.string(), bytes: z.number().nullable(), sha256: z.string().nullable() }),
    ),
  }),
  notes: z.array(z.string()),
  calendar: z.string(),
  grid: z.object({ lat: z.array(z.number()), lon: z.array(z.number()) }),
  systems: z.array(z.string()),
  metrics: z.array(z.string()),
  regions: z.array(z.string()),
  leads: z.array(
    z.object({
      variable: z.string(),
      leadHours: z.number(),
      initial: place,
      valid: place,
      series: z.array(
        z.object({ system: z.string(), metric: z.string(), region: z.string(), size: count, values: place }),
      ),
      cells: z.array(z.object(sums)),
      profiles: z.array(z.object({ ...sums, region: z.string() })),
    }),
  ),
});
type Header = Omit<z.infer<typeof headerSchema>, "facts"> & { facts: RunFacts };

function readHeader(path: string, line: string): Header {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    throw noPart(path, "its first line is no JSON");
  }
  const { success, data, error } = headerSchema.safeParse(json);
  if (success) return data;
  const [issue] = error.issues;
  throw noPart(path, `${issue!.path.join(".") || "its first line"}: ${issue!.message}`);
}

const noPart = (path: string, what: string) =>
  new ClimaxError(
    "data",
    `${path} is no share of an evaluation: ${what}`,
    "give files that climax evaluate --shard I/N --part FILE wrote",
  );
