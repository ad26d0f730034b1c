/** Reads the JSON that `climax evaluate --json` writes. */
import { z } from "zod";
import { ClimaxError } from "../errors.ts";
import { readTextFile } from "../files/textfile.ts";
import type { ScoreDocument } from "./scoredocument.ts";

/** Bytes; with a row for each variable, lead, region and season there are some MB. */
const LARGEST = 256 * 2 ** 20;

const number = z.number().nullable();
const text = z.string().nullable();
/** JSON has no NaN: a point of a curve without a value is null. */
const curve = z.array(
  z
    .number()
    .nullable()
    .transform((value) => value ?? Number.NaN),
);
const period = z.tuple([z.string(), z.string()]);
const definition = z.object({ name: z.string(), description: z.string(), source: z.string() });

const place = {
  system: z.string(),
  metric: z.string(),
  variable: z.string(),
  lead_hours: z.number(),
  region: z.string(),
};

const row = z.object({
  ...place,
  definition: z.string(),
  season: z.string(),
  value: number,
  low: number,
  high: number,
  samples: number,
  units: z.string(),
  source: z.string(),
  synthetic: z.boolean(),
});

const difference = z.object({
  ...place,
  versus: z.string(),
  season: z.string(),
  difference: number,
  low: number,
  high: number,
  p: number,
  better: z.enum(["system", "versus", "tie"]).nullable(),
  samples: z.number(),
});

const profile = z.object({
  ...place,
  axis: z.object({ name: z.string(), values: z.array(z.number()) }),
  values: curve,
  truth: curve,
  units: z.string(),
  samples: z.number(),
});

const file = z.object({ path: z.string(), bytes: number, sha256: text });

const provenance = z.object({
  command: z.string(),
  version: z.string(),
  created: z.string(),
  machine: z.string(),
  files: z.array(file),
});

const shared = {
  format: z.literal("climax-scores"),
  bench: z.string(),
  definition,
  anomalies: text,
  climatology: text,
  average_hours: number,
  initial_times: period,
  valid_times: period,
  grid: z.string(),
  synthetic: z.boolean(),
  notes: z.array(z.string()),
};

const second = z.object({
  ...shared,
  version: z.literal(2),
  systems: z.array(
    z.object({
      name: z.string(),
      files: z.array(z.string()),
      members: z.number(),
      made: z.array(z.string()).default([]),
    }),
  ),
  truth: z.array(z.string()),
  versus: text,
  intervals: z
    .object({ method: z.string(), level: z.number(), resamples: z.number(), seed: z.number(), block: number })
    .nullable(),
  provenance,
  rows: z.array(row),
  differences: z.array(difference),
  profiles: z.array(profile),
});

/** Version 1 knew neither seasons nor differences, and did not list the systems. */
const first = z
  .object({
    ...shared,
    version: z.literal(1),
    provenance: provenance.omit({ machine: true }),
    rows: z.array(row.omit({ season: true })),
  })
  .transform(
    ({ rows, ...document }): ScoreDocument => ({
      ...document,
      version: 2,
      systems: [
        ...new Set(rows.filter(({ source }) => source === "measured").map(({ system }) => system)),
      ].map((name) => ({ name, files: [], members: 1, made: [] })),
      truth: [],
      versus: null,
      intervals: null,
      provenance: { ...document.provenance, machine: "" },
      rows: rows.map((row) => ({ ...row, season: "all" })),
      differences: [],
      profiles: [],
    }),
  );

/**
 * The scores in a file. One of version 1 is read as what it would be in version 2.
 *
 * @throws ClimaxError "data" for a file that cannot be read, that holds something else, or of a later version
 */
export async function readScores(path: string): Promise<ScoreDocument> {
  const refuse = (reason: string, cause?: unknown): never => {
    throw new ClimaxError("data", `cannot read the scores ${path}: ${reason}`, "check the path", { cause });
  };
  const text = await readTextFile(path, LARGEST, (what) => refuse(`it ${what}`)).catch(
    (error: NodeJS.ErrnoException) => {
      if (error instanceof ClimaxError) throw error;
      return refuse(error.code === "ENOENT" ? "there is no such file" : error.message, error);
    },
  );
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new ClimaxError(
      "data",
      `${path} holds no scores: it is no JSON (${(error as Error).message})`,
      "give a file that climax evaluate --json wrote",
      { cause: error },
    );
  }
  const { format, version } = (json ?? {}) as { format?: unknown; version?: unknown };
  if (format !== "climax-scores") {
    throw new ClimaxError(
      "data",
      `${path} holds no scores: its "format" is ${JSON.stringify(format) ?? "missing"}, wanted "climax-scores"`,
      "give a file that climax evaluate --json wrote",
    );
  }
  if (version !== 1 && version !== 2) {
    throw new ClimaxError(
      "data",
      `${path} holds scores of version ${JSON.stringify(version)}; this program reads versions 1 and 2`,
      "read it with the version of climax that wrote it, or a later one",
    );
  }
  const read = (version === 1 ? first : second).safeParse(json);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const where = issue!.path.reduce<string>(
    (at, key) =>
      typeof key === "number" ? `${at}[${key}]` : at === "" ? String(key) : `${at}.${String(key)}`,
    "",
  );
  throw new ClimaxError(
    "data",
    `${path} holds damaged scores: ${where}: ${issue!.message}`,
    "write it again with climax evaluate --json",
  );
}
