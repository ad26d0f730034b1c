/** The first half of `climax evaluate`: opens forecasts and truth, finds what can be scored, and takes its statistics. */
import { expandFolders } from "../data/folderfiles.ts";
import { parseLead } from "../data/leadtime.ts";
import type { Share } from "../data/share.ts";
import { formatTime } from "../data/time.ts";
import { unknownName } from "../errors.ts";
import { alignAll } from "../eval/align.ts";
import { type Climatologies, chooseClimatology } from "../eval/baselines.ts";
import { bench, checkBench, chooseMetrics, chooseRegions, chooseVariables } from "../eval/benches.ts";
import { fileRecords } from "../eval/filerecords.ts";
import { cellsOf } from "../eval/finish.ts";
import { landFraction } from "../eval/land.ts";
import { measure } from "../eval/measure.ts";
import { remarks } from "../eval/remarks.ts";
import type { Run, RunFacts } from "../eval/run.ts";
import { findSamples } from "../eval/samples.ts";
import { chooseSeepsClimate } from "../eval/seepsclimate.ts";
import { checkControl, controlName, type ForecastSystem, openSystems } from "../eval/systems.ts";
import { chooseTerciles } from "../eval/terciles.ts";
import { isPreparedSet, manifestOf, openTruth } from "../eval/truth.ts";
import { type Grid, longitudeSeam } from "../grid/grid.ts";
import { baselineNames } from "../scores/baselinenames.ts";
import { definition } from "../scores/definitions.ts";
import type { Need } from "../scores/metric.ts";
import { checkMetrics, metricInfo } from "../scores/metrics.ts";
import { version } from "../version.ts";
import type { Context } from "./command.ts";
import type { EvaluateConfig } from "./evaluateconfig.ts";
import { interruptible } from "./interrupt.ts";
import { progress } from "./progress.ts";

/**
 * Measures one run, or one share of it.
 *
 * @throws ClimaxError for whatever keeps forecasts from being scored as asked
 */
export async function measureRun(
  config: EvaluateConfig,
  share: Share | undefined,
  context: Context,
): Promise<Run> {
  const truthPaths = config.truth ?? [];
  const chosen = bench(config.bench);
  const by = definition(config.definition ?? chosen.definition);
  const baselines = baselineNames.filter((name) => (config.baselines ?? chosen.baselines).includes(name));
  const opened: { close(): Promise<void> }[] = [];
  const keep = <T extends { close(): Promise<void> }>(resource: T): T => {
    opened.push(resource);
    return resource;
  };
  const maybe = <T extends { close(): Promise<void> }>(resource: T | undefined): T | undefined =>
    resource && keep(resource);
  try {
    const whole = keep(await openTruth(truthPaths));
    const files = keep(
      await openSystems(
        [...config.forecast, ...config.files],
        config.name,
        chosen.leadZero,
        config.validTime,
      ),
    );
    checkBench(chosen, files.systems, baselines);
    if (config.control) checkControl(files.systems);
    checkVersus(config.versus, files.systems, baselines);
    const aligned = alignAll(whole, files.systems, chosen.units, {
      regrid: config.regrid,
      grid: config.grid,
    });
    const { truth, systems } = aligned;
    for (const note of [...whole.notes, ...files.notes, ...aligned.notes]) context.info(note);
    const { variables, left } = chooseVariables(config.variables, chosen, systems, truth);
    if (left.length > 0) context.warn(`of the variables of ${chosen.name}, left out: ${left.join(", ")}`);
    const askedMetrics = config.metrics && checkMetrics(config.metrics);
    const choice = { variables, terciles: config.terciles !== undefined };
    const wanted = chooseMetrics(askedMetrics, chosen, systems, choice);
    const usual = { asked: config.climatology, truth, alignmentOf: aligned.alignmentOf };
    const seeps = needed(wanted, "seeps") ? maybe(await chooseSeepsClimate(usual)) : undefined;
    const metrics = [
      ...chooseMetrics(askedMetrics, chosen, systems, { ...choice, seeps: seeps !== undefined }),
      ...(askedMetrics ? [] : curvesFor(config, truth.grid, systems)),
    ];
    const averageHours = systems[0]?.averageHours;
    const terciles = needed(metrics, "terciles")
      ? maybe(await chooseTerciles({ ...usual, asked: config.terciles, averageHours }))
      : undefined;
    for (const note of [...(seeps?.notes ?? []), ...(terciles?.notes ?? [])]) context.info(note);
    const samples = findSamples({
      systems,
      truth,
      variables,
      leads: config.leads?.map(parseLead),
      leadZero: chosen.leadZero,
      baselines,
      missing: config.missing,
      absent: config.gaps === "error" ? "error" : "skip",
    });
    const climatology = keep(
      await chooseClimatology({
        ...usual,
        definition: by,
        samples,
        baselines,
        baselinesAsked: config.baselines !== undefined,
      }),
    );
    for (const note of climatology.notes) context.info(note);
    const anomalies = needed(metrics, "climatology") ? climatology.anomalies : undefined;
    const said = remarks({
      ...{ truth, systems, samples, definition: by, bench: chosen, anomalies, baselines },
      published: config.published ?? true,
    });
    if (baselines.some((name) => name !== "persistence" && !climatology.baselines.has(name))) {
      said.push("no climatology baseline: the truth is no prepared set, and no --climatology was given");
    }
    for (const text of said) context.warn(text);
    const mask = needed(metrics, "terciles") || config.region?.some((name) => /(^|-)(land|sea)$/.test(name));
    const landNotes: string[] = [];
    const land = mask
      ? await landFraction(config.land ?? whole, aligned.alignmentOf, (note) => landNotes.push(note))
      : undefined;
    for (const note of landNotes) context.info(note);
    const regions = chooseRegions(config.region, metrics, land !== undefined);
    const place = { definition: by.name, regions, whole: aligned.region, land: land ? [...land] : null };
    const fields = samples.byVariable.reduce((sum, { samples }) => sum + samples.length, 0);
    await context.ready?.();
    const bar = progress({ label: "evaluate", total: fields, quiet: context.quiet });
    const statistics = await interruptible((signal) =>
      measure({
        systems,
        truth,
        samples,
        definition: by,
        metrics,
        baselines,
        climatologies: climatology.baselines,
        anomalies,
        seeps: seeps?.climate,
        terciles: terciles?.terciles,
        control: config.control,
        regions: cellsOf(place, truth.grid),
        share,
        gaps: config.gaps,
        doubts: config.doubts,
        // A share does not know what will be made of the whole.
        maps: [config.report, config.netcdf, config.part].some((path) => path !== undefined),
        onProgress: (done) => bar.update(done),
        warn: (text) => {
          said.push(text);
          // Without a bar, or for rank 0 to pass it on.
          if (context.quiet || context.world) context.warn(text);
          else bar.log(`warning: ${text}`);
        },
        signal,
      }),
    ).finally(() => bar.stop());
    const scored = statistics.systems;
    const facts: RunFacts = {
      version: version(),
      bench: chosen.name,
      anomalies: anomalies?.label ?? null,
      climatology: labelsOf(climatology),
      averageHours: averageHours ?? null,
      initialTimes: [formatTime(samples.initial[0]), formatTime(samples.initial[1])],
      validTimes: [formatTime(samples.valid[0]), formatTime(samples.valid[1])],
      systems: scored.map((name) => {
        const own = systems.find((system) => system.name === name);
        return { name, files: [...(own?.paths ?? [])], members: own?.members ?? 1, made: own?.made ?? [] };
      }),
      truth: truthPaths,
      synthetic: truth.synthetic || systems.some((system) => system.synthetic),
      units: Object.fromEntries(truth.units),
      ...place,
      files: await filesRead(
        systems.flatMap(({ paths }) => paths),
        truthPaths,
      ),
    };
    const notes = [
      ...whole.notes,
      ...files.notes,
      ...aligned.notes,
      ...climatology.notes,
      ...(seeps ? [`seeps by the ${seeps.label}`, ...seeps.notes] : []),
      ...(terciles ? [`terciles: ${terciles.terciles.label}`, ...terciles.notes] : []),
      ...landNotes,
      ...said,
    ];
    return { facts, statistics, notes, share };
  } finally {
    for (const resource of opened.toReversed()) await resource.close();
  }
}

/** Before hours of measuring rather than after. */
function checkVersus(
  asked: string | undefined,
  systems: readonly ForecastSystem[],
  baselines: readonly string[],
): void {
  const names = systems.flatMap((system) =>
    system.members > 1 ? [system.name, controlName(system)] : [system.name],
  );
  const known = [...names, ...baselines];
  if (asked !== undefined && !known.includes(asked)) unknownName("system", asked, known);
}

const needed = (metrics: readonly string[], need: Need) =>
  metrics.some((name) => metricInfo(name).needs.includes(need));

/** Curves that a report shows; a share does not know what will be made of the whole. */
function curvesFor(config: EvaluateConfig, grid: Grid, systems: readonly ForecastSystem[]): string[] {
  if (config.report === undefined && config.part === undefined) return [];
  return [
    ...(longitudeSeam(grid).periodic ? ["spectrum"] : []),
    ...(systems.some(({ members }) => members > 1) ? ["rank_histogram"] : []),
  ];
}

const labelsOf = ({ baselines }: Climatologies): string | null =>
  baselines.size > 0 ? [...baselines.values()].map(({ label }) => label).join("; ") : null;

/** A set's own list of checksums stands for all of its files; an archive may be too large to read twice. */
async function filesRead(forecasts: readonly string[], truth: readonly string[]) {
  const sets = truth.filter(isPreparedSet);
  const archives = await expandFolders(truth.filter((path) => !sets.includes(path)));
  return [
    ...(await fileRecords([...forecasts, ...sets.map(manifestOf)], true)),
    ...(await fileRecords(archives, false)),
  ];
}
