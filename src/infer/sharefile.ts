// The file of a share of forecasts: one line of JSON, which says what all shares make together and whose this one is;
// then the fields in the order in which they were made, each behind four uint32 that say which it is; then the SHA-256
// of all that stands before it. Numbers are little-endian.
import { createHash } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { z } from "zod";
import type { Share } from "../data/share.ts";
import type { Calendar } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { OutputFile } from "../files/outputfile.ts";
import { makeGrid } from "../grid/grid.ts";
import type { ForecastOutput, OutputShape } from "./output.ts";

const format = "climax-forecast-share";

/** What a process that makes only a part of the fields says beside them. */
export interface ShareOfForecasts extends Share {
  /** What decides the fields and does not stand in the attributes, by the name that people know it by. */
  readonly settings: Readonly<Record<string, string>>;
}

/** Where a share of the file `output` lies. */
export const shareFileOf = (output: string, { index, count }: Share): string =>
  `${output}.share-${index}-of-${count}`;

const headerSchema = z.strictObject({
  format: z.literal(format),
  version: z.literal(1),
  share: z.strictObject({ index: z.int().min(1), count: z.int().min(1) }),
  settings: z.record(z.string(), z.string()),
  attributes: z.record(z.string(), z.string()),
  grid: z.strictObject({ lat: z.array(z.number()).min(1), lon: z.array(z.number()).min(1) }),
  calendar: z.string(),
  /** Seconds since 1970. */
  initial: z.array(z.number()).min(1),
  leads: z.array(z.number()).min(1),
  members: z.int().min(1),
  variables: z.array(z.strictObject({ name: z.string(), units: z.string() })).min(1),
  averageHours: z.number().nullable(),
});
type Header = z.output<typeof headerSchema>;

const prefix = 16; // bytes before a field: variable, initial time, lead, member
const blockBytes = 4 * 2 ** 20; // small fields are written and read many at a time

/**
 * Starts the file of a share; it appears whole or not at all.
 *
 * @param path  of the share itself
 * @throws ClimaxError for a place that cannot be written
 */
export function createShare(
  path: string,
  shape: OutputShape,
  { index, count: of, settings }: ShareOfForecasts,
): ForecastOutput {
  const header: Header = {
    ...{ format, version: 1, share: { index, count: of }, settings, attributes: { ...shape.attributes } },
    grid: { lat: [...shape.grid.lat], lon: [...shape.grid.lon] },
    calendar: shape.initial[0]!.calendar,
    initial: shape.initial.map(({ seconds }) => seconds),
    ...{ leads: [...shape.leads], members: shape.members },
    variables: shape.variables.map(({ name, units }) => ({ name, units })),
    averageHours: shape.averageHours ?? null,
  };
  const file = new OutputFile(path);
  const hash = createHash("sha256");
  const waiting: Buffer[] = [];
  let bytes = 0;
  let descriptor: number | undefined;
  const flush = (): void => {
    const block = Buffer.concat(waiting);
    waiting.length = bytes = 0;
    hash.update(block);
    writeAll(descriptor!, block);
  };
  const abandon = (): void => {
    if (descriptor !== undefined) closeSync(descriptor);
    descriptor = undefined;
    file.remove();
  };
  /** Runs a step. If it fails, the temporary file goes and the user is told why. */
  const guarded = (step: () => void): void => {
    try {
      step();
    } catch (error) {
      abandon();
      throw file.explain(error);
    }
  };
  guarded(() => {
    file.claim();
    descriptor = openSync(file.temporaryPath, "w");
    waiting.push(Buffer.from(`${JSON.stringify(header)}\n`));
    flush();
  });
  const numbers = new Map(header.variables.map(({ name }, v) => [name, v]));
  return {
    write: async (name, { t, l, member }, field) =>
      guarded(() => {
        const record = Buffer.alloc(prefix + 4 * field.length);
        for (const [i, number] of [numbers.get(name)!, t, l, member].entries())
          record.writeUInt32LE(number, 4 * i);
        for (let i = 0; i < field.length; i++) record.writeFloatLE(field[i]!, prefix + 4 * i);
        waiting.push(record);
        bytes += record.length;
        if (bytes >= blockBytes) flush();
      }),
    close: async () =>
      guarded(() => {
        flush();
        writeAll(descriptor!, hash.digest());
        closeSync(descriptor!);
        descriptor = undefined;
        file.finish();
      }),
    abort: async () => abandon(),
  };
}

function writeAll(descriptor: number, block: Buffer): void {
  for (let done = 0; done < block.length; ) done += writeSync(descriptor, block, done);
}

/** A share that is being read. */
export interface OpenShare {
  readonly path: string;
  readonly share: Share;
  readonly settings: Readonly<Record<string, string>>;
  readonly shape: OutputShape;
  /** How many there are in it. */
  readonly fields: number;
  /**
   * Its fields, in the order in which they were made; each is valid until the next.
   *
   * @throws ClimaxError "data" behind the last one when the file is not as it was written
   */
  read(): AsyncGenerator<ShareField>;
  close(): Promise<void>;
}

export interface ShareField {
  readonly name: string;
  readonly at: { readonly t: number; readonly l: number; readonly member: number };
  /** [H, W] */
  readonly field: Float32Array;
}

/** @throws ClimaxError "data" for a file that is none, or not whole */
export async function openShare(path: string): Promise<OpenShare> {
  const handle = await open(path);
  try {
    const line = await firstLine(handle);
    const header = readHeader(path, line.toString("utf8"));
    const { lat, lon } = header.grid;
    const record = prefix + 4 * lat.length * lon.length;
    const size = (await stat(path)).size;
    const fields = (size - line.length - 32) / record;
    if (!Number.isInteger(fields) || fields < 0) throw damaged(path, `it ends within a field`);
    const calendar = header.calendar as Calendar;
    const shape: OutputShape = {
      grid: makeGrid(lat, lon),
      initial: header.initial.map((seconds) => ({ calendar, seconds })),
      ...{ leads: header.leads, members: header.members, variables: header.variables },
      averageHours: header.averageHours ?? undefined,
      attributes: header.attributes,
    };
    return {
      ...{ path, share: header.share, settings: header.settings, shape, fields },
      read: () => readFields(handle, path, line, header, fields),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function* readFields(
  handle: FileHandle,
  path: string,
  line: Buffer,
  { grid, initial, leads, members, variables }: Header,
  fields: number,
): AsyncGenerator<ShareField> {
  const cells = grid.lat.length * grid.lon.length;
  const record = prefix + 4 * cells;
  const hash = createHash("sha256").update(line);
  const together = Math.max(1, Math.floor(blockBytes / record));
  const block = Buffer.alloc(together * record);
  const field = new Float32Array(cells);
  for (let done = 0; done < fields; done += together) {
    const n = Math.min(together, fields - done);
    await readWhole(handle, path, block, n * record, line.length + done * record);
    hash.update(block.subarray(0, n * record));
    for (let k = 0; k < n; k++) {
      const from = k * record;
      const [v = 0, t = 0, l = 0, member = 0] = [0, 1, 2, 3].map((i) => block.readUInt32LE(from + 4 * i));
      const name = variables[v]?.name;
      if (name === undefined || t >= initial.length || l >= leads.length || member >= members)
        throw damaged(path, `field ${done + k + 1} is of no place among the forecasts`);
      for (let i = 0; i < cells; i++) field[i] = block.readFloatLE(from + prefix + 4 * i);
      yield { name, at: { t, l, member }, field };
    }
  }
  const sum = Buffer.alloc(32);
  await readWhole(handle, path, sum, 32, line.length + fields * record);
  if (!hash.digest().equals(sum)) throw damaged(path, "the checksum at its end is not that of its bytes");
}

async function readWhole(
  handle: FileHandle,
  path: string,
  into: Buffer,
  bytes: number,
  at: number,
): Promise<void> {
  for (let done = 0; done < bytes; ) {
    const { bytesRead } = await handle.read(into, done, bytes - done, at + done);
    if (bytesRead === 0) throw damaged(path, "it became shorter while it was read");
    done += bytesRead;
  }
}

/** With its end of line. */
async function firstLine(handle: FileHandle): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const part = Buffer.alloc(65_536);
    const { bytesRead } = await handle.read(part, 0, part.length, at);
    const end = part.subarray(0, bytesRead).indexOf(10);
    parts.push(part.subarray(0, end < 0 ? bytesRead : end + 1));
    at += bytesRead;
    // Whatever has no end of line in so many bytes is no share.
    if (end >= 0 || bytesRead === 0 || at > 2 ** 28) return Buffer.concat(parts);
  }
}

function readHeader(path: string, line: string): Header {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    throw noShare(path, "its first line is no JSON");
  }
  const { data, error } = headerSchema.safeParse(json);
  if (data) return data;
  const [issue] = error.issues;
  throw noShare(path, `${issue!.path.join(".") || "its first line"}: ${issue!.message}`);
}

const noShare = (path: string, what: string) =>
  new ClimaxError(
    "data",
    `${path} is no share of forecasts: ${what}`,
    "give the --output whose shares were made with --shard I/N",
  );

const damaged = (path: string, what: string) =>
  new ClimaxError(
    "data",
    `${path} is not as it was written: ${what}`,
    "copy it again, or make this share again",
  );

/** In what two shares were made otherwise, for people; undefined where all is the same. */
export function otherwise(a: OpenShare, b: OpenShare): string | undefined {
  const [one, other] = [factsOf(a), factsOf(b)];
  const names = [...new Set([...Object.keys(one), ...Object.keys(other)])];
  const name = names.find((key) => one[key] !== other[key]);
  return name && `${name}: ${short(one[name])} and ${short(other[name])}`;
}

/** What must be the same; not the adapter, which may be another's of the same kind, and not the command line. */
function factsOf({ settings, shape }: OpenShare): Record<string, string | undefined> {
  const { history, climax_adapter, ...attributes } = shape.attributes;
  const times = shape.initial.map(({ calendar, seconds }) => `${calendar} ${seconds}`);
  return {
    ...settings,
    ...attributes,
    leads: shape.leads.join(", "),
    variables: shape.variables.map(({ name, units }) => `${name} (${units})`).join(", "),
    members: String(shape.members),
    "initial times": `${times.length} (${createHash("sha256").update(times.join()).digest("hex").slice(0, 8)})`,
    grid: createHash("sha256")
      .update([...shape.grid.lat, ...shape.grid.lon].join())
      .digest("hex")
      .slice(0, 8),
    "hours of means": String(shape.averageHours),
  };
}

const short = (text = "not given"): string => (text.length > 80 ? `${text.slice(0, 77)}...` : text);
