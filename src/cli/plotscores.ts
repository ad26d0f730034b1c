/** Scores as curves by lead: what `climax plot` makes of the JSON of `climax evaluate`. */
import { extname } from "node:path";
import { ClimaxError } from "../errors.ts";
import { checkOutput, writeWhole } from "../files/wholefile.ts";
import { svgPng } from "../plot/scenecanvas.ts";
import { scoreCurves } from "../report/scorecurves.ts";
import { readScores } from "../scores/readscores.ts";
import type { Context } from "./command.ts";
import type { PlotConfig } from "./plotconfig.ts";

/** Whether the paths are scores. @throws ClimaxError "config" for scores beside other files */
export function isScores(paths: readonly string[]): boolean {
  const scores = paths.filter((path) => extname(path).toLowerCase() === ".json");
  if (scores.length === 0) return false;
  if (paths.length === 1) return true;
  throw new ClimaxError(
    "config",
    `found ${scores[0]} beside other files; wanted one file of scores`,
    "draw each by itself; climax evaluate scores several systems in one file",
  );
}

/** Flags that are about fields. */
const ofFields = [
  "time",
  "lead",
  "member",
  "truth",
  "climatology",
  "what",
  "name",
  "projection",
  "range",
] as const;

/** @throws ClimaxError "config" for flags that are about fields, "data" for a file that holds no scores */
export async function plotScores(path: string, given: PlotConfig, { info }: Context): Promise<void> {
  const flag = ofFields.find((name) => given[name] !== undefined) ?? (given.animate ? "animate" : undefined);
  if (flag) {
    throw new ClimaxError(
      "config",
      `found --${flag}, but ${path} holds scores, not fields`,
      "leave it out; --metric, --variable, --region and --season choose scores",
    );
  }
  for (const output of given.output) await checkOutput(output);
  const svg = scoreCurves(await readScores(path), {
    metrics: given.metric,
    variables: given.variable,
    ...{ region: given.region, season: given.season, title: given.title },
    ...{ columns: given.columns, width: given.width },
  });
  for (const output of given.output) {
    await writeWhole(output, extname(output).toLowerCase() === ".svg" ? svg : await svgPng(svg, 2));
    info(output);
  }
}
