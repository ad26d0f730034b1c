/** The flags of `climax plot`. */
import { z } from "zod";
import { projectionNames } from "../plot/mapview.ts";
import { definitionNames } from "../scores/definitions.ts";

export const plotConfig = z.strictObject({
  files: z
    .array(z.string())
    .min(1)
    .describe("forecasts of one system, files of states, a prepared set, or scores (evaluate --json)"),
  output: z
    .array(z.string())
    .min(1)
    .describe("picture to write: .png, .svg, or .gif with --animate; several are allowed")
    .meta({ short: "o", value: "PATH" }),
  variable: z
    .array(z.string())
    .optional()
    .describe("one panel each, such as z_500,t2m; the first in the file unless given")
    .meta({ value: "LIST" }),
  time: z
    .array(z.string())
    .optional()
    .describe("initial time of forecasts, or time of states, or a period a..b; the first unless given")
    .meta({ value: "LIST" }),
  lead: z
    .array(z.string())
    .optional()
    .describe("such as 72h or 3d, one panel each; the first unless given, with --animate all")
    .meta({ value: "LIST" }),
  member: z.string().optional().describe("of an ensemble: a number from 0 on, or mean, the default"),
  truth: z
    .array(z.string())
    .optional()
    .describe("what happened: draws forecast, truth and error side by side, with the RMSE")
    .meta({ value: "PATH" }),
  climatology: z
    .string()
    .optional()
    .describe("what anomalies are taken from: a prepared set, a climatology, or states (their mean)")
    .meta({ value: "PATH" }),
  what: z
    .enum(["state", "anomaly", "error"])
    .optional()
    .describe("state unless given; anomaly with --climatology; error alone, with --truth"),
  definition: z
    .enum([...definitionNames])
    .default("climax")
    .describe("whose weights the RMSE is made with"),
  name: z.string().optional().describe("name of the system; joins files that do not say they are of one"),
  projection: z
    .enum(projectionNames)
    .optional()
    .describe("robinson for the globe, regional for a part of it, unless given"),
  centre: z
    .number()
    .min(-180)
    .max(360)
    .default(0)
    .describe("longitude at the middle of a global or polar map"),
  region: z
    .string()
    .optional()
    .describe('cut to a region by name, or a box as "35..60,-10..20"; of scores, the region')
    .meta({ value: "REGION" }),
  smooth: z.boolean().default(false).describe("interpolate between points; else each cell has one colour"),
  range: z
    .string()
    .optional()
    .describe("limits of the colours, in the units of the file, such as 250..310")
    .meta({ value: "LOW..HIGH" }),
  title: z.string().optional().describe("in place of the one that says what is shown"),
  width: z.int().min(200).max(8000).optional().describe("px of a panel; 720 of one, 480 of several"),
  columns: z.int().min(1).max(12).optional().describe("panels side by side; 3, and 2 of four, unless given"),
  animate: z.boolean().default(false).describe("a frame for each lead, or each time of states: a GIF"),
  seconds: z.number().min(0.02).max(60).default(0.5).describe("that each frame of it is shown"),
  metric: z
    .array(z.string())
    .optional()
    .describe("of scores: which; rmse unless given")
    .meta({ value: "LIST" }),
  season: z.string().optional().describe("of scores: which, such as DJF; all unless given"),
});

export type PlotConfig = z.output<typeof plotConfig>;
