// The runs of a study: commands of this program, each in its own folder, that are made once and taken up where they
// were cut off. study.json says what is done.
import { existsSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { z } from "zod";
import { makeFolder } from "../data/folder.ts";
import type { Share } from "../data/share.ts";
import { ClimaxError } from "../errors.ts";
import { writeWhole } from "../files/wholefile.ts";
import { alone } from "../parallel/world.ts";
import { differences, lastCheckpoint } from "../train/resume.ts";
import type { Command, Context, Voice } from "./command.ts";
import { evaluateCommand } from "./evaluate.ts";
import { finetuneCommand } from "./finetune.ts";
import { forecastCommand } from "./forecast.ts";
import { Interrupted } from "./interrupt.ts";
import { pretrainCommand } from "./pretrain.ts";
import { duration } from "./progress.ts";
import { addTo, shareStudyFile, shareStudyFiles } from "./studyshares.ts";
import { alsoHinted } from "./told.ts";

const commands = {
  pretrain: pretrainCommand,
  finetune: finetuneCommand,
  forecast: forecastCommand,
  evaluate: evaluateCommand,
} as const satisfies Record<string, Command>;

/** One command line of a study. */
export interface Job {
  readonly command: keyof typeof commands;
  readonly argv: readonly string[];
  /** Folder of a training run, or the file that is written. */
  readonly product: string;
}

/** Jobs whose scores stand together in one row or at one point. */
export interface Cell {
  readonly name: string;
  /** In the order in which they are run; an evaluation's product is the JSON of its scores. */
  readonly jobs: readonly Job[];
}

const Score = z.object({
  system: z.string(),
  definition: z.string(),
  metric: z.string(),
  variable: z.string(),
  lead_hours: z.number(),
  value: z.number().nullable(),
  samples: z.number().nullable(),
  units: z.string(),
});
export type Score = z.output<typeof Score>;

const Finished = z.object({
  /** What the study says of the cell beside its scores, such as its number of parameters. */
  facts: z.record(z.string(), z.number()),
  seconds: z.number(),
  /** Command lines that make it. */
  commands: z.array(z.string()),
  scores: z.array(Score),
});
export type Finished = z.output<typeof Finished>;

const StudyFile = z.object({
  format: z.literal("climax-study"),
  version: z.literal(1),
  kind: z.string(),
  /** Whether any of it is simulated weather. */
  synthetic: z.boolean(),
  /** What decides the numbers; widths, fractions and rows may be added later. */
  settings: z.record(z.string(), z.unknown()),
  provenance: z.object({ command: z.string(), climax: z.string() }),
  /** Seconds that each job took, by its product. */
  jobs: z.record(z.string(), z.number()),
  cells: z.record(z.string(), Finished),
  /** What follows from the cells: fits, ratios. */
  results: z.unknown().optional(),
});
export type StudyFile = z.output<typeof StudyFile>;

/** study.json of a folder, or what a share of the study writes in its place, written after each job. */
export interface Study {
  readonly out: string;
  readonly file: StudyFile;
  save(): Promise<void>;
  /** Into study.json itself. */
  saveWhole(): Promise<void>;
}

/**
 * Opens the study of a folder, with what all shares of it have done, or begins one.
 *
 * @param share  whose file is written
 * @throws ClimaxError "config" when the folder holds a study with other settings, naming them, or something else
 */
export async function openStudy(
  out: string,
  begun: Pick<StudyFile, "kind" | "synthetic" | "settings" | "provenance">,
  share: Share | undefined,
): Promise<Study> {
  const plain = JSON.parse(JSON.stringify(begun)) as typeof begun; // as it will be read again
  const file: StudyFile = { format: "climax-study", version: 1, ...plain, jobs: {}, cells: {} };
  await makeFolder(out).catch((error: Error) => {
    throw new ClimaxError("config", `cannot write to ${out}: ${error.message}`, "choose another --output");
  });
  const there = ["study.json", ...shareStudyFiles(out)].filter((name) => existsSync(join(out, name)));
  for (const name of there) {
    const found = readStudy(join(out, name));
    const changed = differences(
      { kind: found.kind, ...found.settings },
      { kind: plain.kind, ...plain.settings },
    );
    if (changed.length > 0) {
      throw new ClimaxError(
        "config",
        `${out} holds a study with other settings: ${changed.join("; ")}`,
        "give the same settings (widths, fractions and rows may be added), or choose another --output",
      );
    }
    addTo(file, found);
    if (found.results !== undefined) file.results = found.results;
  }
  const write = (name: string) => writeWhole(join(out, name), `${JSON.stringify(file, null, 2)}\n`);
  return {
    ...{ out, file },
    save: () => write(share ? shareStudyFile(share) : "study.json"),
    saveWhole: () => write("study.json"),
  };
}

/** @throws ClimaxError "config" for a file that is none */
export function readStudy(path: string): StudyFile {
  let found: unknown;
  try {
    found = JSON.parse(readFileSync(path, "utf8"));
  } catch {
    found = undefined;
  }
  const { data } = StudyFile.safeParse(found);
  if (data) return data;
  throw new ClimaxError(
    "config",
    `${path} is not a study of this program`,
    "choose another --output, or move it away",
  );
}

/**
 * Makes the cells that are not done yet. A run that diverges is said and left out; the others go on.
 *
 * @param factsOf   what study.json says of a cell beside its scores
 * @param describe  one line for the user about a cell that is done
 * @returns         names of the cells that failed
 */
export async function runCells(
  study: Study,
  cells: readonly Cell[],
  factsOf: (cell: Cell) => Promise<Record<string, number>>,
  describe: (found: Finished) => string,
  context: Context,
): Promise<string[]> {
  const failed: string[] = [];
  const said = new Set<string>();
  await study.save(); // what the runs of this folder belong to, should the first be cut off
  for (const [i, cell] of cells.entries()) {
    const label = `[${i + 1}/${cells.length}] ${cell.name}`;
    const before = study.file.cells[cell.name];
    if (before) {
      context.info(`${label}: done before, ${describe(before)}`);
      continue;
    }
    try {
      for (const job of cell.jobs) await runJob(study, job, label, said, context);
    } catch (error) {
      if (error instanceof Interrupted) context.warn("the same command goes on with the study from here");
      // A run that diverged says nothing about the others; anything else would stop them too.
      if (!(error instanceof ClimaxError && error.kind === "data" && /diverged/.test(error.message))) {
        const some = Object.keys(study.file.jobs).length > 0;
        throw some
          ? alsoHinted(error, `what is done stays in ${study.out}: the same command goes on`)
          : error;
      }
      context.warn(`${label}: ${error.message}`);
      failed.push(cell.name);
      continue;
    }
    const found: Finished = {
      facts: await factsOf(cell),
      seconds: cell.jobs.reduce((sum, { product }) => sum + study.file.jobs[keyOf(study, product)]!, 0),
      commands: cell.jobs.map(lineOf),
      scores: cell.jobs.flatMap(({ command, product }) => (command === "evaluate" ? scoresIn(product) : [])),
    };
    study.file.cells[cell.name] = found;
    await study.save();
    context.info(`${label}: ${describe(found)}, in ${duration(found.seconds)}`);
  }
  return failed;
}

const lineOf = ({ command, argv }: Job): string => ["climax", command, ...argv].join(" ");

/** Products are named within the study, which may be moved. */
const keyOf = ({ out }: Study, product: string): string => relative(out, product);

/** @param said  what the jobs have warned of: what holds for all of them is said once */
async function runJob(
  study: Study,
  job: Job,
  label: string,
  said: Set<string>,
  context: Context,
): Promise<void> {
  const { command, argv, product } = job;
  const key = keyOf(study, product);
  if (study.file.jobs[key] !== undefined && existsSync(product)) return;
  const training = command === "pretrain" || command === "finetune";
  const resume = training && existsSync(lastCheckpoint(product));
  // What broke off before its first checkpoint has nothing to go on from.
  if (training && !resume) await rm(product, { recursive: true, force: true });
  const silent = context.quiet || command === "evaluate"; // which takes no time
  if (!silent) context.info(`${label}: ${resume ? "going on with " : ""}${command}`);
  const voice: Voice = {
    print: () => undefined, // the scores and losses are told by the study itself
    info: () => undefined,
    warn: (text) => {
      if (!said.has(text)) context.warn(`${command}: ${text}`);
      said.add(text);
    },
    // Whatever the launcher says, a step is one process's; on the adapter of its rank.
    world: { ...alone, localRank: context.world?.localRank ?? 0 },
  };
  await makeFolder(dirname(product));
  const started = performance.now();
  await commands[command].run(
    [...argv, ...(resume ? ["--resume"] : []), ...(silent ? ["--quiet"] : [])],
    voice,
  );
  study.file.jobs[key] = (study.file.jobs[key] ?? 0) + (performance.now() - started) / 1000;
  await study.save();
}

function scoresIn(path: string): Score[] {
  return z.object({ rows: z.array(Score) }).parse(JSON.parse(readFileSync(path, "utf8"))).rows;
}
