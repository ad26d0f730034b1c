/** The flags of `climax evaluate`. */
import { z } from "zod";
import { benches } from "../eval/benches.ts";
import { regridChoices } from "../eval/commongrid.ts";
import { baselineNames } from "../scores/baselinenames.ts";
import { definitionNames } from "../scores/definitions.ts";
import { metricNames } from "../scores/metrics.ts";
import { seasonNames } from "../scores/reduce.ts";
import { mpiField } from "./ranks.ts";

export const evaluateConfig = z.strictObject({
  forecast: z
    .array(z.string())
    .default([])
    .describe(
      "forecast files of one system or several, ours or anyone's: NetCDF, Zarr or GRIB with initial time and lead; " +
        "patterns in quotes",
    )
    .meta({ value: "FILE" }),
  files: z.array(z.string()).default([]).describe("more forecast files"),
  truth: z
    .array(z.string())
    .min(1)
    .optional()
    .describe("what happened: the folder of a prepared set, or files or stores of analyses")
    .meta({ value: "PATH" }),
  bench: z
    .enum(benches.map(({ name }) => name))
    .default("weatherbench")
    .describe("which benchmark"),
  definition: z
    .enum([...definitionNames])
    .optional()
    .describe("whose formulas; that of the bench unless given"),
  variables: z
    .array(z.string())
    .optional()
    .describe("fields to score, such as geopotential_500 or t2m; those of the bench unless given")
    .meta({ value: "FIELD,..." }),
  leads: z
    .array(z.union([z.number(), z.string()]))
    .optional()
    .describe("leads to score: 24, 24h, 3d, 2w, 1mo; all of the forecasts unless given")
    .meta({ value: "LEAD,..." }),
  metrics: z
    .array(z.string())
    .min(1)
    .optional()
    .describe(
      `which scores; those of the bench unless given, and those of ensembles where there are members (${metricNames.join(", ")}; ` +
        "of an event brier(2m_temperature>303.15), fair_brier(...))",
    )
    .meta({ value: "METRIC,..." }),
  region: z
    .array(z.string())
    .min(1)
    .optional()
    .describe(
      "where: global, WeatherBench 2's (tropics, europe, north-america, ...), the paper's (NorthAmerica, ...), a box " +
        "35..60/-10..20, land, sea, and any of these with -land or -sea behind",
    )
    .meta({ value: "REGION,..." }),
  land: z
    .string()
    .optional()
    .describe("file with the land mask, for regions of land or sea; that of the truth unless given")
    .meta({ value: "FILE" }),
  seasons: z
    .array(z.enum(seasonNames))
    .min(1)
    .default(["all"])
    .describe("by the valid time: all, DJF, MAM, JJA, SON"),
  baselines: z
    .array(z.enum([...baselineNames, "none"]))
    .optional()
    .describe(
      "what to score beside the forecasts, at the same times; persistence and climatology for weather, none for " +
        "projections and downscaling, unless given. Those of climatology are of the training period of the set",
    ),
  control: z
    .boolean()
    .default(false)
    .describe("score the first member of an ensemble too, beside the mean of all"),
  climatology: z
    .string()
    .optional()
    .describe(
      "what acc takes anomalies from: evaluation (the mean of the truth over the test period, as climax and " +
        "weatherbench1 define it), train (the training mean of the set), weekly or dayofyear (its seasonal means), or " +
        "a prepared set, a file of states, or a climatology by hour and day of the year as WeatherBench 2 stores it, " +
        "which then also is the climatology baseline",
    )
    .meta({ value: "WHICH" }),
  terciles: z
    .string()
    .optional()
    .describe("tercile edges for rpss: a file of them; the training period of the set unless given")
    .meta({ value: "FILE" }),
  regrid: z
    .enum([...regridChoices])
    .default("auto")
    .describe(
      "how forecasts on another grid are brought to that of the truth: conservative from a finer one, bilinear from a " +
        "coarser one, unless given; none refuses them",
    ),
  grid: z
    .number()
    .positive()
    .optional()
    .describe("degrees of the grid that all is scored on; that of the truth unless given")
    .meta({ value: "DEGREES" }),
  missing: z
    .enum(["error", "skip"])
    .default("error")
    .describe("what to do with forecasts for whose times there is no truth"),
  gaps: z
    .enum(["error", "mask", "skip"])
    .default("error")
    .describe(
      "what to do with forecasts that are not whole: mask leaves their gaps out for every system, skip the forecast",
    ),
  doubts: z
    .enum(["error", "warn"])
    .default("error")
    .describe("what to do with forecasts that seem to be in other units, mirrored, or shifted in time"),
  validTime: z
    .boolean()
    .default(false)
    .describe("a plain time axis beside leads is that of valid times; of initial times unless given"),
  name: z.array(z.string()).optional().describe("name of the system, or one name for each forecast file"),
  versus: z
    .string()
    .optional()
    .describe(
      "system or baseline that differences are taken from; a climatology, persistence, or the last system, unless given",
    )
    .meta({ value: "NAME" }),
  bootstrap: z
    .strictObject({
      resamples: z
        .int()
        .min(0)
        .max(100_000)
        .default(1000)
        .describe("resamples of the initial times, for confidence intervals; 0: none"),
      level: z.number().min(0.5).max(0.999).default(0.95).describe("of the intervals"),
      block: z
        .int()
        .min(1)
        .optional()
        .describe("initial times that stay together; chosen from the scores unless given"),
      seed: z.int().min(0).default(0).describe("of the resamples"),
    })
    .prefault({}),
  published: z
    .boolean()
    .optional()
    .describe(
      "show published scores too; unless given, those on the same grid, and none beside synthetic weather",
    ),
  shard: z
    .string()
    .optional()
    .describe(
      "score only this share of the initial times, into --part; --merge puts the shares together. Ranks of mpirun or srun " +
        "share the times by themselves",
    )
    .meta({ value: "I/N" }),
  part: z.string().optional().describe("write the share to this file").meta({ value: "FILE" }),
  merge: z
    .array(z.string())
    .min(1)
    .optional()
    .describe("files of all shares, in place of forecasts and truth")
    .meta({ value: "PART" }),
  mpi: mpiField,
  json: z
    .string()
    .optional()
    .describe("write the scores and where they come from to this file")
    .meta({ value: "FILE" }),
  csv: z.string().optional().describe("write the scores to this file").meta({ value: "FILE" }),
  netcdf: z
    .string()
    .optional()
    .describe("write scores and maps of them to this NetCDF file")
    .meta({ value: "FILE" }),
  markdown: z.string().optional().describe("write tables for a paper to this file").meta({ value: "FILE" }),
  report: z
    .string()
    .optional()
    .describe("write a page with score cards, curves, maps and spectra to this folder")
    .meta({ value: "DIR" }),
});
export type EvaluateConfig = z.output<typeof evaluateConfig>;
