/** `climax evaluate`: scores forecast files of any system, beside persistence, climatology and published rows. */
import { randomUUID } from "node:crypto";
import { arch, platform } from "node:os";
import { resolve } from "node:path";
import { expandPaths } from "../data/paths.ts";
import type { Share } from "../data/share.ts";
import { ClimaxError } from "../errors.ts";
import { finish } from "../eval/finish.ts";
import { readPart, writePart } from "../eval/partfile.ts";
import { mergeRuns, type Run } from "../eval/run.ts";
import { checkOutput, writeWhole } from "../files/wholefile.ts";
import { toMarkdown } from "../scores/markdown.ts";
import type { Scores } from "../scores/scoredocument.ts";
import { writeScoresNetcdf } from "../scores/scoresnetcdf.ts";
import { toCsv, toJson } from "../scores/tables.ts";
import { byAll } from "../train/together.ts";
import { version } from "../version.ts";
import { type Context, command } from "./command.ts";
import { type EvaluateConfig, evaluateConfig } from "./evaluateconfig.ts";
import { choosePublished, printScores } from "./evaluatepage.ts";
import { measureRun } from "./evaluaterun.ts";
import { handOver } from "./handover.ts";
import { inRanks, type RanksAtWork, refuseRanks } from "./ranks.ts";
import { parseShard } from "./shard.ts";

export const evaluateCommand = command({
  name: "evaluate",
  aliases: ["eval"],
  summary: "score a forecast file of any system against the truth and simple baselines",
  description:
    "Scores forecasts against what happened: latitude-weighted RMSE, MAE, bias and ACC for each variable and lead, " +
    "with persistence and climatology at exactly the same initial and valid times, confidence intervals, and the " +
    "significance of differences; CRPS and spread of ensembles; two-week means (--bench s2s), projections " +
    "(climatebench) and downscaled fields (downscaling) by their own scores. Forecasts on another grid are regridded, a " +
    "regional forecast is scored on its region. No model is needed. The definition of the scores stands in every output.",
  examples: [
    "climax evaluate --forecast forecast.nc --truth set --report report",
    "climax eval --forecast a.nc,b.nc --name ours,theirs --truth era5_2018.nc --definition weatherbench2 --leads 1d,3d,5d",
    "climax eval --forecast 'ifs/*.grib' --truth era5.zarr --region global,tropics,europe-land --seasons DJF,JJA",
    "climax eval --forecast f.nc --truth t.nc --shard 1/8 --part 1.part; climax eval --merge '*.part' --json scores.json",
  ],
  positional: { key: "files", name: "FORECAST...", variadic: true },
  config: evaluateConfig,
  together: true,
  run,
});

async function run(config: EvaluateConfig, context: Context): Promise<void> {
  if (config.merge) {
    checkInputs(config);
    refuseRanks("--merge", context);
    await checkOutputs(config);
    const found = await mergeFiles(await expandPaths(config.merge));
    for (const note of found.notes) context.warn(note);
    return await score(config, found, context);
  }
  await inRanks(config, context, async (ranks) => {
    const share = checkInputs(config);
    if (ranks.world.rank === 0) await checkOutputs(config);
    const found = await measureRun(config, ranks.share, ranks.context);
    if (share) {
      await writePart(config.part!, found);
      const forecasts = found.statistics.leads.reduce((sum, { initial }) => sum + initial.length, 0);
      context.print(
        `${config.part}: share ${config.shard}, ${forecasts} forecast fields; put the ${share.count} together: ` +
          "climax evaluate --merge FILE...",
      );
      return;
    }
    const whole = ranks.world.size > 1 ? await ofAllRanks(config, found, ranks) : found;
    if (whole) await score(config, whole, ranks.context);
  });
}

/** Writes and prints the scores of a run. */
async function score(config: EvaluateConfig, found: Run, context: Context): Promise<void> {
  const { resamples } = config.bootstrap;
  const scores = finish(found, {
    seasons: config.seasons,
    versus: config.versus,
    bootstrap: resamples > 0 ? { ...config.bootstrap, block: config.bootstrap.block } : undefined,
    published: (measured) => choosePublished(config.published, found, measured, context),
    provenance: {
      command: context.commandLine,
      version: version(),
      created: new Date().toISOString(),
      machine: `${platform()} ${arch()}, Node ${process.versions.node}`,
    },
  });
  for (const note of scores.document.notes.slice(found.notes.length)) context.warn(note);
  await writeOutputs(config, scores);
  printScores(scores.document, context);
}

async function checkOutputs(config: EvaluateConfig): Promise<void> {
  const outputs = [config.json, config.csv, config.netcdf, config.markdown, config.part];
  for (const path of outputs) if (path !== undefined) await checkOutput(path);
  if (config.report === undefined) return;
  const { checkReportFolder } = await import("../report/write.ts");
  await checkReportFolder(config.report);
}

/**
 * What all ranks measured, on rank 0. It goes through files beside the output, or in the working folder where there is
 * none: maps of error may be too much for messages.
 */
async function ofAllRanks(
  { json, csv, netcdf, markdown, report }: EvaluateConfig,
  found: Run,
  ranks: RanksAtWork,
): Promise<Run | undefined> {
  const beside = resolve(json ?? csv ?? netcdf ?? markdown ?? report ?? "climax-evaluate");
  const [token = ""] = await ranks.meet(randomUUID().slice(0, 8)); // rank 0's: two evaluations may go on here at once
  const own = `${beside}.${token}.share-${ranks.world.rank + 1}-of-${ranks.world.size}`;
  const write = () => byAll(ranks.world, () => writePart(own, found)); // no time: all or none
  return await handOver(ranks, own, write, mergeFiles);
}

/** What excludes what. */
function checkInputs(config: EvaluateConfig): Share | undefined {
  const { forecast, files, truth, merge, shard, part } = config;
  const given = [...forecast, ...files];
  if (merge) {
    const extra = [
      ...(given.length > 0 ? [`forecasts (${given.join(", ")})`] : []),
      ...(truth ? ["--truth"] : []),
      ...(shard ? ["--shard"] : []),
      ...(part ? ["--part"] : []),
    ];
    if (extra.length === 0) return undefined;
    throw new ClimaxError(
      "config",
      `found ${extra.join(" and ")} beside --merge`,
      "the files of the shares hold all that was scored: give them alone, with --seasons, --versus and outputs",
    );
  }
  if (given.length === 0) {
    throw new ClimaxError("config", "no forecast file was given", "name one: --forecast forecast.nc");
  }
  if (!truth) {
    throw new ClimaxError(
      "config",
      "no truth was given, which forecasts are scored against",
      "name the folder of a prepared set, or files of analyses: --truth era5_2018.nc",
    );
  }
  if (shard === undefined) {
    if (part === undefined) return undefined;
    throw new ClimaxError(
      "config",
      "found --part without --shard",
      "say which share it is (--shard 1/8), or write scores: --json FILE",
    );
  }
  const share = parseShard(shard);
  if (part === undefined) {
    throw new ClimaxError(
      "config",
      "found --shard without --part",
      "a share has no scores yet: name the file that it goes to, --part FILE",
    );
  }
  const scores = (["json", "csv", "netcdf", "markdown", "report"] as const).filter((key) => config[key]);
  if (scores.length > 0) {
    throw new ClimaxError(
      "config",
      `found --${scores.join(" and --")} beside --shard; a share has no scores yet`,
      "write them when all shares are merged: climax evaluate --merge FILE... --json FILE",
    );
  }
  return share;
}

async function mergeFiles(paths: readonly string[]): Promise<Run> {
  const parts = [];
  for (const path of paths) parts.push({ path, run: await readPart(path) });
  return mergeRuns(parts);
}

async function writeOutputs(config: EvaluateConfig, scores: Scores): Promise<void> {
  const { document } = scores;
  if (config.json !== undefined) await writeWhole(config.json, toJson(document));
  if (config.csv !== undefined) await writeWhole(config.csv, toCsv(document.rows));
  if (config.markdown !== undefined) await writeWhole(config.markdown, toMarkdown(document));
  if (config.netcdf !== undefined) await writeScoresNetcdf(config.netcdf, scores);
  if (config.report !== undefined) {
    const { writeReport } = await import("../report/write.ts");
    await writeReport(config.report, scores);
  }
}
