/** `climax plot`: forecasts, states and scores as pictures. */
import { extname } from "node:path";
import { expandPaths } from "../data/paths.ts";
import { ClimaxError } from "../errors.ts";
import { cutAlignment } from "../eval/align.ts";
import { openClimatology } from "../eval/climatologysource.ts";
import type { FieldAt } from "../eval/truth.ts";
import { checkOutput, writeWhole } from "../files/wholefile.ts";
import { describeGrid } from "../grid/grid.ts";
import { encodeGif } from "../plot/animation.ts";
import { drawMaps, type MapOptions, type Picture } from "../plot/map.ts";
import { projectionFor } from "../plot/mapview.ts";
import { canvasLibrary } from "../plot/scenecanvas.ts";
import { timeTitle } from "../plot/words.ts";
import { definition } from "../scores/definitions.ts";
import { makeCards } from "../show/plotcards.ts";
import { type Instant, openPlotSource, type PlotSource } from "../show/plotsource.ts";
import { leadTitle, someOf, timesTitle } from "../show/plotwords.ts";
import { type Context, command } from "./command.ts";
import { interruptible } from "./interrupt.ts";
import {
  chooseLeads,
  chooseMember,
  chooseRegion,
  chooseTimes,
  chooseVariables,
  instantsOf,
  parseRange,
} from "./plotchoice.ts";
import { type PlotConfig, plotConfig } from "./plotconfig.ts";
import { isScores, plotScores } from "./plotscores.ts";

export const plotCommand = command({
  name: "plot",
  summary: "draw maps of forecasts, errors and states, and curves of scores, as PNG, SVG or GIF",
  description:
    "Draws a forecast file of any system, files of states or a prepared set as maps with coasts, units and times; " +
    "with --truth the error beside it; with --animate all leads as a GIF. Of scores (evaluate --json) it draws the " +
    "curves by lead with their confidence intervals. Files that are there are written over.",
  examples: [
    "climax plot forecast.nc --variable z_500 --lead 72h -o z500.png",
    "climax plot forecast.nc --variable z_500 --lead 3d --truth sets/era5 -o error.png,error.svg",
    "climax plot forecast.nc --variable t2m --animate --smooth -o t2m.gif",
    "climax plot era5.nc --variable t_850 --time 2020-01-01T12:00 --projection north-polar -o t850.png",
    "climax plot scores.json --metric rmse,acc -o scores.svg",
  ],
  positional: { key: "files", name: "FILE...", variadic: true },
  config: plotConfig,
  run: async (given, context) => {
    checkOutputs(given);
    if (given.output.some((path) => !isSvg(path))) canvasLibrary(); // says what is wrong before the work is done
    const paths = await expandPaths(given.files);
    if (isScores(paths)) {
      await plotScores(paths[0]!, given, context);
      return;
    }
    refuse(
      given,
      ["metric", "season"],
      "is for scores",
      "give the JSON file that climax evaluate --json writes",
    );
    for (const path of given.output) await checkOutput(path);
    const truth = given.truth && (await expandPaths(given.truth));
    const source = await openPlotSource(paths, { truth, name: given.name });
    try {
      await interruptible((signal) => plotFields(source, given, context, signal));
    } finally {
      await source.close();
    }
  },
});

const isSvg = (path: string) => extname(path).toLowerCase() === ".svg";
const endings = [".png", ".svg", ".gif"];

/** Whether each output can be what its name says. */
function checkOutputs({ output, animate }: PlotConfig): void {
  for (const path of output) {
    const ending = extname(path).toLowerCase();
    const wanted = animate ? [".gif"] : endings.slice(0, 2);
    if (wanted.includes(ending)) continue;
    const message = `--output ${path}: found the ending "${ending}"; wanted ${wanted.join(" or ")}`;
    if (animate)
      throw new ClimaxError("config", `${message} with --animate`, "name it .gif, or leave --animate out");
    throw new ClimaxError(
      "config",
      message,
      ending === ".gif"
        ? "a GIF is an animation: add --animate"
        : "name it .png, .svg, or .gif with --animate",
    );
  }
}

function refuse(given: PlotConfig, flags: readonly (keyof PlotConfig)[], why: string, hint: string): void {
  const flag = flags.find((name) => given[name] !== undefined);
  if (flag) throw new ClimaxError("config", `--${flag} ${why}`, hint);
}

async function plotFields(
  source: PlotSource,
  given: PlotConfig,
  context: Context,
  signal: AbortSignal,
): Promise<void> {
  for (const note of source.notes) context.info(note);
  const variables = chooseVariables(source, given.variable);
  const leads = chooseLeads(source, given.lead, given.animate);
  const times =
    given.animate && source.kind === "states" && !given.time
      ? [...source.times.keys()]
      : chooseTimes(source, given.time);
  say(source, given, variables, context);
  const what = given.what ?? (given.climatology === undefined ? "state" : "anomaly");
  checkWhat(what, given, source);
  const range = parseRange(given.range);
  if (range && variables.length > 1) {
    throw new ClimaxError(
      "config",
      `--range is for one variable; there are ${variables.length}: ${variables.join(", ")}`,
      "choose one with --variable, or leave --range out",
    );
  }
  const climatology =
    given.climatology === undefined ? undefined : await usualFields(given.climatology, source, context);
  try {
    const cards = makeCards(source, {
      ...{ variables, what, range },
      member: chooseMember(source, given.member),
      region: chooseRegion(given.region),
      usual: climatology?.field,
      usualLabel: climatology?.label,
      cropped: given.projection?.endsWith("-polar") ?? false,
      definition: definition(given.definition),
    });
    const instants = instantsOf(times, leads);
    const painted = await cards.prepare(instants);
    const projection = given.projection ?? projectionFor(cards.grid);
    const draw = async (some: readonly Instant[]): Promise<Picture> => {
      signal.throwIfAborted();
      const { title, subtitle, panels } = await painted.draw(some);
      const options: MapOptions = {
        ...{ title: given.title ?? title, subtitle, projection, centre: given.centre, smooth: given.smooth },
        ...(given.width === undefined ? {} : { width: given.width }),
        ...(given.columns === undefined ? {} : { columns: given.columns }),
      };
      return drawMaps(panels, options);
    };
    if (given.animate) await writeAnimation(instants, draw, given, context);
    else await writePictures(await draw(instants), given.output, context);
  } finally {
    await climatology?.close();
  }
}

/** What was chosen for who did not choose. */
function say(source: PlotSource, given: PlotConfig, variables: readonly string[], { info }: Context): void {
  const { units, times, leads, kind } = source;
  if (!given.variable && units.size > 1)
    info(
      `${variables[0]}, the first of ${units.size} variables: ${someOf([...units.keys()])}; --variable chooses`,
    );
  const varies = variables.some((name) => !source.isConstant(name));
  if (!given.time && times.length > 1 && varies && !(given.animate && kind === "states"))
    info(`${timeTitle(times[0]!)}, the first of ${timesTitle(times)}; --time chooses`);
  if (!given.lead && leads.length > 1 && !given.animate)
    info(`lead ${leadTitle(leads[0]!)}, the first of ${someOf(leads)} h; --lead chooses`);
}

function checkWhat(what: "state" | "anomaly" | "error", given: PlotConfig, source: PlotSource): void {
  const wanting = (flag: string, hint: string) =>
    new ClimaxError("config", `--what ${what} wants ${flag}, and there is none`, hint);
  if (what === "error" && !source.truth) throw wanting("--truth", "say what happened: --truth PATH");
  if (what === "anomaly" && given.climatology === undefined)
    throw wanting("--climatology", "say what is usual: --climatology PATH, such as a prepared set");
  if (what !== "anomaly" && given.climatology !== undefined) {
    throw new ClimaxError(
      "config",
      `found --climatology beside --what ${what}, which takes no anomalies`,
      "leave one of them out",
    );
  }
}

/** The climatology on the points of the source. */
async function usualFields(path: string, source: PlotSource, { info }: Context) {
  const opened = await openClimatology(path, (from, what) => {
    const cut = cutAlignment(from, source.grid, new Map());
    if (cut) return { ...cut, note: undefined };
    throw new ClimaxError(
      "grid",
      `${what} is on ${describeGrid(from)}, ${source.paths[0]} on ${describeGrid(source.grid)}`,
      "put them on one grid first: climax regrid IN --grid FILE -o OUT",
    );
  });
  for (const note of opened.notes) info(note);
  info(`anomalies from ${opened.climatology.label}`);
  return {
    close: () => opened.close(),
    label: opened.climatology.label,
    field: async (variable: string): Promise<FieldAt> => {
      const field = await opened.climatology.field(variable);
      if (field) return field;
      throw new ClimaxError("data", `${path} has no ${variable}`, "give a climatology that has it");
    },
  };
}

async function writePictures(picture: Picture, output: readonly string[], { info }: Context): Promise<void> {
  for (const path of output) {
    const content = isSvg(path) ? picture.svg() : await picture.png();
    await writeWhole(path, content);
    info(`${path}: ${picture.width} x ${picture.height} px`);
  }
}

async function writeAnimation(
  instants: readonly Instant[],
  draw: (some: readonly Instant[]) => Promise<Picture>,
  { output, seconds }: PlotConfig,
  { info }: Context,
): Promise<void> {
  if (instants.length < 2) {
    throw new ClimaxError(
      "config",
      "an animation of one frame: there is one lead of one time",
      "choose several with --lead or --time, or leave --animate out and name a .png",
    );
  }
  async function* frames() {
    for (const at of instants) yield await draw([at]);
  }
  // The title of the longest lead has the most lines.
  const longest = instants.reduce((a, b) => (b.leadHours > a.leadHours ? b : a));
  const gif = await encodeGif(frames(), await draw([longest]), seconds);
  for (const path of output) {
    await writeWhole(path, gif);
    info(`${path}: ${instants.length} frames of ${seconds} s`);
  }
}
