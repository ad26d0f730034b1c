// climax study: grids of runs that answer one question, which resume, with a table, a CSV file and figures.
import { rm } from "node:fs/promises";
import { join, normalize } from "node:path";
import { ClimaxError } from "../errors.ts";
import { writeWhole } from "../files/wholefile.ts";
import { openCheckpoint } from "../model/checkpoint.ts";
import { version } from "../version.ts";
import { type Context, command } from "./command.ts";
import { inRanks, type RanksAtWork } from "./ranks.ts";
import { modelsOf, planAblation, rowMeanings } from "./studyablation.ts";
import { ablationCsv, ablationTable, leadFigure, linesOf, ratioFigure } from "./studyablationpage.ts";
import { checkKind, StudyConfig } from "./studyconfig.ts";
import { chooseTargets, describeSets, Planner, type StudySet } from "./studyjobs.ts";
import { type Finished, openStudy, runCells, type Study } from "./studyruns.ts";
import {
  fitsOf,
  planScaling,
  pointsOf,
  quantitiesOf,
  type ScalingCell,
  scalingFacts,
} from "./studyscaling.ts";
import { describePoint, digits, fitTable, pointsCsv, pointTable, scalingFigure } from "./studyscalingpage.ts";
import { cellsOf, endOfShare } from "./studyshares.ts";
import { table } from "./table.ts";

export const studyCommand = command({
  name: "study",
  summary:
    "train grids of models: how errors scale with size and data, or what each part of a recipe is worth",
  description:
    "scaling trains models of several widths on several parts of the data, as section 4.5 of the paper, and fits power " +
    "laws to their errors. ablation compares ways to make forecasts, as section 4.6: a model for each lead, one for all, " +
    "a roll-out, and so on. Each run is a climax command in a folder of its own, whose line stands in study.json; the " +
    "same command goes on where it was stopped.",
  examples: [
    "climax study scaling --data.sources sets/a,sets/b --data.set sets/era5 --widths 128,256,512,1024 --fractions 0.25,0.5,1 -o scaling",
    "climax study scaling --data.set sets/planet --no-pretrain --widths 32,64,128 --training.max-steps 500 -o scaling",
    "climax study ablation --checkpoint runs/pretrain/best.safetensors --data.set sets/era5 --leads 24h,72h -o ablation",
    "srun -n 8 climax study scaling --data.set sets/era5 --widths 128,256,512,1024 --fractions 0.5,1 -o scaling",
  ],
  positional: { key: "kind", name: "KIND", variadic: false },
  config: StudyConfig,
  together: true,
  run: async (given, context) => {
    const config = { ...given, output: normalize(given.output).replace(/[/\\]$/, "") };
    return await inRanks(config, context, async (ranks) => {
      checkKind(config);
      return await (config.kind === "scaling" ? scaling(config, ranks) : ablation(config, ranks));
    });
  },
});

async function scaling(config: StudyConfig, ranks: RanksAtWork): Promise<number> {
  const { share, context } = ranks;
  const { set: dir = onlySource(config), sources = [dir] } = config.data;
  const found = await describeSets(config.pretrain === false ? [] : sources, dir);
  const set = found.get(dir)!;
  const variables = chooseTargets(config.variables, set);
  const planned = { set, sources: sources.flatMap((source) => found.get(source) ?? []) };
  const plan = planScaling(new Planner(), config, planned, variables);
  const synthetic = [...found.values()].some((one) => one.synthetic);
  const study = await begin(config, ranks, found, synthetic);
  const units = (done: Readonly<Record<string, Finished>>) => (variable: string) =>
    Object.values(done)
      .flatMap(({ scores }) => scores)
      .find((score) => score.variable === variable)?.units ?? "";
  const own = await runCells(
    study,
    share ? cellsOf(plan.cells, share) : plan.cells,
    (cell) => scalingFacts(cell as ScalingCell),
    (done) => {
      const values = quantitiesOf(plan, units({ done })).map(
        (one) => `${one.name} ${digits(one.of(done))}${one.name === "loss" ? "" : ` ${one.units}`}`,
      );
      return describePoint(done.facts.parameters!, done.facts.states!, values);
    },
    context,
  );
  const failed = await endOfShare(study, plan.cells, own, ranks);
  if (!failed) return own.length > 0 ? 1 : 0;

  const { cells } = study.file;
  const quantities = quantitiesOf(plan, units(cells));
  const points = pointsOf(plan, cells, quantities);
  const fits = fitsOf(points, quantities, config.offset ?? false);
  study.file.results = { lead_hours: plan.lead, points, fits };
  await study.saveWhole();
  const { out } = study;
  await writeWhole(join(out, "study.csv"), pointsCsv(points, quantities, plan.lead));
  const about = { lead: plan.lead, synthetic, pretrained: config.pretrain ?? true };
  const figures = (["parameters", "states"] as const).map((over) => ({
    path: join(out, `scaling-${over}.svg`),
    svg: scalingFigure(over, points, fits, quantities, about),
  }));
  const made = await writeFigures(figures);
  const first = plan.cells.map(({ name }) => cells[name]).find((one) => one !== undefined);
  const baselines = ["persistence", "climatology"].map((name) => ({
    name,
    values: Object.fromEntries(
      variables.map((variable) => [
        variable,
        first?.scores.find((score) => score.system === name && score.variable === variable)?.value ??
          undefined,
      ]),
    ),
  }));
  context.print(
    [
      `Error ${plan.lead} h ahead on the test period of ${set.dir}${synthetic ? ", SYNTHETIC" : ""}`,
      pointTable(points, quantities, baselines),
      "",
      ...(fits.length > 0
        ? [[...new Set(fits.map(({ method }) => method))].join("; "), fitTable(fits)]
        : ["no power law: it takes two widths, or two fractions"]),
      "",
      ["study.json", "study.csv"]
        .map((name) => join(out, name))
        .concat(made)
        .join("\n"),
    ].join("\n"),
  );
  return ended(failed, plan.cells.length, context);
}

/** @throws ClimaxError "config" when there is nothing, or more than one thing, to score on */
function onlySource({ data: { sources = [] } }: StudyConfig): string {
  if (sources.length === 1) return sources[0]!;
  throw new ClimaxError(
    "config",
    sources.length === 0
      ? "no set was given"
      : `${sources.length} sources were given, and no set to finetune and score on`,
    "give --data.set SET",
  );
}

async function ablation(config: StudyConfig, ranks: RanksAtWork): Promise<number> {
  const { share, context } = ranks;
  const { checkpoint: path, data } = config;
  if (path === undefined) {
    throw new ClimaxError(
      "config",
      "no pretrained model was given",
      "give --checkpoint FILE of climax pretrain",
    );
  }
  if (data.set === undefined) throw new ClimaxError("config", "no set was given", "give --data.set SET");
  const checkpoint = await openCheckpoint(path);
  const { info } = checkpoint;
  const sha256 = await checkpoint.sha256();
  await checkpoint.close();
  const found = await describeSets([], data.set);
  const set = found.get(data.set)!;
  const plan = planAblation(new Planner(), config, set, chooseTargets(config.variables, set), info);
  const synthetic = set.synthetic || info.synthetic;
  const study = await begin(config, ranks, found, synthetic, { pretrained: sha256 });
  const own = await runCells(
    study,
    share ? cellsOf(plan.cells, share) : plan.cells,
    async (cell) => ({ models: modelsOf(cell) }),
    ({ scores }) =>
      scores
        .filter(({ system }) => system === "model")
        .map((one) => `${one.variable} ${one.lead_hours} h ${digits(one.value ?? undefined)} ${one.units}`)
        .join(", "),
    context,
  );
  const failed = await endOfShare(study, plan.cells, own, ranks);
  if (!failed) return own.length > 0 ? 1 : 0;

  const { out } = study;
  const lines = linesOf(plan, study.file.cells);
  study.file.results = { lines };
  await study.saveWhole();
  await writeWhole(join(out, "study.csv"), ablationCsv(lines));
  const made =
    lines.length === 0
      ? []
      : await writeFigures([
          { path: join(out, "ablation-leads.svg"), svg: leadFigure(lines, synthetic) },
          { path: join(out, "ablation-ratios.svg"), svg: ratioFigure(lines, synthetic) },
        ]);
  context.print(
    [
      `RMSE on the test period of ${set.dir}${synthetic ? ", SYNTHETIC" : ""}; in brackets its ratio to direct`,
      ablationTable(lines),
      "",
      table(
        plan.cells.map(({ name }) => [name, rowMeanings[name]]),
        { header: false },
      ),
      "",
      ["study.json", "study.csv"]
        .map((name) => join(out, name))
        .concat(made)
        .join("\n"),
    ].join("\n"),
  );
  return ended(failed, plan.cells.length, context);
}

/** Opens the study with all settings that decide its numbers. */
async function begin(
  config: StudyConfig,
  { share, context }: RanksAtWork,
  sets: ReadonlyMap<string, StudySet>,
  synthetic: boolean,
  more: Readonly<Record<string, unknown>> = {},
): Promise<Study> {
  // Widths, fractions and rows may be added; offset is only how the points are fitted; the adapter does the same sums.
  const { kind, output, widths, fractions, rows, offset, adapter, memory, checkpoint, data, ...rest } =
    config;
  const { shard, mpi, ...settings } = rest;
  const contents = {
    sources: data.sources?.map((dir) => sets.get(dir)?.sha256) ?? null,
    set: data.set === undefined ? null : sets.get(data.set)!.sha256,
  };
  const begun = {
    ...{ kind, synthetic },
    settings: { ...settings, data: contents, ...more },
    provenance: { command: context.commandLine, climax: version() },
  };
  const study = await openStudy(output, begun, share);
  await context.ready?.();
  return study;
}

/** Returns the paths of those that there are; one of an earlier call that there is none of now is taken away. */
async function writeFigures(
  figures: readonly { path: string; svg: string | undefined }[],
): Promise<string[]> {
  const made: string[] = [];
  for (const { path, svg } of figures) {
    if (svg === undefined) await rm(path, { force: true });
    else {
      await writeWhole(path, svg);
      made.push(path);
    }
  }
  return made;
}

/** The exit code: 1 when the answer has gaps. */
function ended(failed: readonly string[], of: number, context: Context): number {
  if (failed.length === 0) return 0;
  context.warn(`${failed.length} of ${of} failed: ${failed.join(", ")}; the same command tries them again`);
  return 1;
}
