// What `climax inspect` says of a file, as data: the shape of its --json, and of what the text is laid out from.
import { z } from "zod";

const count = z.int().nonnegative();

/** Numbers of the sampled fields of one variable, in ClimaX units. */
const valuesSchema = z.strictObject({
  min: z.number().nullable().describe("null when all sampled values are missing"),
  mean: z
    .number()
    .nullable()
    .describe("weighted by the area of the cells in latitude, missing values left out"),
  max: z.number().nullable(),
  missing: count.describe("values that are missing, by NaN or by the file's fill value"),
  of: count.describe("values looked at"),
  outOfBounds: count.describe("values beyond what occurs on Earth below 50 km"),
  bounds: z.tuple([z.number(), z.number()]).describe("what occurs on Earth, in the same units"),
  steps: count.describe("time steps looked at"),
  levels: count.describe("levels looked at at each of them"),
});
export type SampledValues = z.output<typeof valuesSchema>;

const variableSchema = z.strictObject({
  name: z.string().describe("in the file"),
  climax: z.string().describe("ClimaX name, without levels"),
  recognisedBy: z.string().describe('what told: "standard name air_temperature", "its name"'),
  role: z.enum(["atmosphere", "surface", "constant", "forcing"]),
  levels: z.array(z.number()).describe("hPa; empty for a single level"),
  fileUnits: z.string(),
  units: z.string().describe("ClimaX units, those of `values`"),
  conversion: z.string().nullable().describe("how the file's numbers become those units; null when they are"),
  dimensions: z.array(z.string()),
  shape: z.array(count),
  dtype: z.string().describe("as stored"),
  packing: z
    .strictObject({ scale: z.number(), offset: z.number() })
    .nullable()
    .describe("of integers that stand for real numbers"),
  chunks: z
    .array(count)
    .nullable()
    .describe("lengths of a chunk on disk; null when in one piece or not known"),
  grid: z.int().nullable().describe("index in `grids`"),
  time: z.int().nullable().describe("index in `times`; null for a constant"),
  values: valuesSchema
    .nullable()
    .describe("null when reading even one field would be too much; `notes` says so"),
});
export type InspectedVariable = z.output<typeof variableSchema>;

const gridSchema = z.strictObject({
  kind: z.enum(["regular", "gaussian", "rectilinear", "curvilinear", "rotated", "unstructured", "none"]),
  description: z.string().describe('"721 x 1440, 0.25 degrees"'),
  global: z.boolean(),
  latitudes: z
    .strictObject({
      first: z.number(),
      last: z.number(),
      order: z.enum(["north to south", "south to north"]),
    })
    .nullable()
    .describe("as in the file, degrees north"),
  longitudes: z
    .strictObject({ first: z.number(), last: z.number() })
    .nullable()
    .describe("as in the file, degrees east"),
  variables: z.array(z.string()).describe("names in the file of what lies on it"),
});
export type InspectedGrid = z.output<typeof gridSchema>;

const timeSchema = z.strictObject({
  calendar: z.string(),
  first: z.string(),
  last: z.string(),
  steps: count,
  stepHours: z.number().describe("the most frequent distance between steps; 0 for a single step"),
  step: z.string().describe('"every 6 h", "every month"'),
  missing: count.describe("steps that the usual distance asks for and that are not there"),
  gaps: z
    .array(z.strictObject({ from: z.string(), to: z.string(), hours: z.number(), missing: count }))
    .describe("the first ten"),
  gapCount: count,
  repeated: count.describe("steps whose time was there already"),
  backwards: count.describe("steps earlier than the one before"),
});
export type InspectedTimes = z.output<typeof timeSchema>;

const nextSchema = z.strictObject({
  usable: z.boolean().describe("whether climax prepare or forecast takes it as it is"),
  why: z.string(),
  commands: z.array(z.string()).describe("in this order"),
});
export type Next = z.output<typeof nextSchema>;

export const fileSchema = z.strictObject({
  path: z.string(),
  format: z.string(),
  bytes: count.nullable().describe("on disk; null when not known, as over a network"),
  title: z.string().nullable(),
  synthetic: z.boolean().describe("it comes from a simulated planet"),
  dimensions: z.array(z.strictObject({ name: z.string(), length: count, unlimited: z.boolean() })),
  variables: z.array(variableSchema).describe("those that ClimaX can use"),
  unused: z
    .array(
      z.strictObject({
        name: z.string(),
        dimensions: z.array(z.string()),
        units: z.string(),
        climax: z.string().nullable().describe("what it would be; null for what is no variable of ClimaX"),
        why: z.string(),
        mend: z.string().nullable(),
      }),
    )
    .describe("those that it cannot, and why"),
  grids: z.array(gridSchema),
  times: z.array(timeSchema),
  notes: z.array(z.string()).describe("what was assumed"),
  next: nextSchema,
});
export type Inspection = z.output<typeof fileSchema>;

const setSchema = z.strictObject({
  path: z.string(),
  format: z.literal("prepared set"),
  bytes: count,
  synthetic: z.boolean(),
  dtype: z.string(),
  grid: z.string(),
  calendar: z.string(),
  step: z.string(),
  splits: z.array(z.strictObject({ name: z.string(), first: z.string(), last: z.string(), steps: count })),
  variables: z.array(
    z.strictObject({
      name: z.string(),
      units: z.string(),
      constant: z.boolean(),
      mean: z.number(),
      std: z.number(),
    }),
  ),
  notes: z.array(z.string()),
  checked: z.boolean().describe("every file was read again, and its SHA-256 is that of set.json"),
  next: nextSchema,
});
export type InspectedSet = z.output<typeof setSchema>;

const togetherSchema = z.strictObject({
  files: count,
  variables: z.array(z.string()).describe("ClimaX names with levels"),
  grid: z.string(),
  times: timeSchema.nullable(),
  notes: z.array(z.string()),
  next: nextSchema,
});
export type Together = z.output<typeof togetherSchema>;

const refusedSchema = z.strictObject({ path: z.string(), why: z.string(), mend: z.string() });
export type Refused = z.output<typeof refusedSchema>;

/** `climax inspect --json`. */
export const inspectionSchema = z.strictObject({
  files: z.array(fileSchema),
  sets: z.array(setSchema),
  refused: z.array(refusedSchema).describe("what could not be read, why, and what to do"),
  together: z
    .union([togetherSchema, refusedSchema.omit({ path: true })])
    .nullable()
    .describe("how several files join as one archive, or why they do not; null for a single file"),
});
export type InspectionReport = z.output<typeof inspectionSchema>;
