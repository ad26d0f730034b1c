/** The `climax` command line: finds the subcommand, runs it, and turns errors into text and an exit code. */
import colours from "picocolors";
import { ClimaxError, unknownName } from "../errors.ts";
import { version } from "../version.ts";
import type { Command } from "./command.ts";
import { Interrupted } from "./interrupt.ts";
import { printable } from "./printable.ts";
import { afterTheFirst, Told, unsharedError } from "./told.ts";

export { version };

/** A subcommand as `climax --help` lists it; its file is loaded only when it is wanted. */
export interface CommandEntry {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly summary: string;
  load(): Promise<Command>;
}

/** Every subcommand, in the order of a real run. A test holds the summaries equal to the commands' own. */
export const commandGroups: readonly { title: string; commands: readonly CommandEntry[] }[] = [
  {
    title: "Data",
    commands: [
      {
        name: "download",
        summary: "fetch CMIP6 or ERA5 for a training set, or write what to fetch and how",
        load: async () => (await import("./download.ts")).downloadCommand,
      },
      {
        name: "inspect",
        summary: "show what is in files as ClimaX sees them, and the command that makes them usable",
        load: async () => (await import("./inspect.ts")).inspectCommand,
      },
      {
        name: "regrid",
        summary: "put weather files on a regular latitude-longitude grid",
        load: async () => (await import("./regrid.ts")).regridCommand,
      },
      {
        name: "simulate",
        summary: "make years of synthetic weather with a small physical atmosphere, no download needed",
        load: async () => (await import("./simulate.ts")).simulateCommand,
      },
      {
        name: "prepare",
        summary: "turn regridded files into a training set: splits, statistics, climatology",
        load: async () => (await import("./prepare.ts")).prepareCommand,
      },
    ],
  },
  {
    title: "Model",
    commands: [
      {
        name: "config",
        summary: "print the settings of a task as a commented YAML file",
        load: async () => (await import("./config.ts")).configCommand,
      },
      {
        name: "pretrain",
        summary: "train a model from nothing on prepared sets",
        load: async () => (await import("./pretrain.ts")).pretrainCommand,
      },
      {
        name: "finetune",
        summary: "train for a task: forecasts, a region, two-week means, projection, downscaling",
        load: async () => (await import("./finetune.ts")).finetuneCommand,
      },
      {
        name: "forecast",
        summary: "forecast from an initial state with a trained checkpoint",
        load: async () => (await import("./forecast.ts")).forecastCommand,
      },
      {
        name: "downscale",
        summary: "make fine fields from coarse ones with a trained checkpoint, or by interpolation",
        load: async () => (await import("./downscale.ts")).downscaleCommand,
      },
      {
        name: "convert",
        summary: "bring PyTorch weights in, or write a checkpoint as safetensors, .ckpt or ONNX",
        load: async () => (await import("./convert.ts")).convertCommand,
      },
      {
        name: "study",
        summary:
          "train grids of models: how errors scale with size and data, or what each part of a recipe is worth",
        load: async () => (await import("./study.ts")).studyCommand,
      },
    ],
  },
  {
    title: "Scores",
    commands: [
      {
        name: "evaluate",
        aliases: ["eval"],
        summary: "score a forecast file of any system against the truth and simple baselines",
        load: async () => (await import("./evaluate.ts")).evaluateCommand,
      },
    ],
  },
  {
    title: "Pictures",
    commands: [
      {
        name: "plot",
        summary: "draw maps of forecasts, errors and states, and curves of scores, as PNG, SVG or GIF",
        load: async () => (await import("./plot.ts")).plotCommand,
      },
      {
        name: "view",
        summary: "look at forecasts in a browser, beside the truth: maps, leads, values",
        load: async () => (await import("./view.ts")).viewCommand,
      },
    ],
  },
  {
    title: "Machine",
    commands: [
      {
        name: "doctor",
        summary: "show adapters, limits and versions, and what is wrong with this machine",
        load: async () => (await import("./doctor.ts")).doctorCommand,
      },
      {
        name: "bench",
        summary: "measure how fast a prepared set is read, how fast ranks add up arrays, how training scales",
        load: async () => (await import("./bench.ts")).benchCommand,
      },
    ],
  },
];

const entries = commandGroups.flatMap(({ commands }) => commands);

/**
 * Runs `climax ...argv`.
 *
 * @returns the exit code: 0 done; 1 a bug, or an answer such as "beyond tolerance"; 2 a mistake the user
 *          can mend; 130 or 143 stopped by SIGINT or SIGTERM
 */
export async function main(argv: readonly string[]): Promise<number> {
  surviveClosedPipes();
  try {
    return await dispatch(argv);
  } catch (error) {
    return report(error, await afterTheFirst(error));
  }
}

async function dispatch([first = "--help", ...rest]: readonly string[]): Promise<number> {
  if (first === "--version" || first === "-V") {
    process.stdout.write(`${version()}\n`);
    return 0;
  }
  if (first === "--help" || first === "-h" || (first === "help" && rest.length === 0)) {
    process.stdout.write(usage());
    return 0;
  }
  if (first === "help") return dispatch([rest[0]!, "--help"]);
  const command = await entryOf(first).load();
  return command.run(rest);
}

function entryOf(word: string): CommandEntry {
  try {
    if (word.startsWith("-")) {
      throw new ClimaxError(
        "config",
        `found the flag ${word} where a command was wanted`,
        `write climax COMMAND ${word}; climax --help lists the commands`,
      );
    }
    return (
      entries.find(({ name, aliases = [] }) => name === word || aliases.includes(word)) ??
      unknownName(
        "command",
        word,
        entries.flatMap(({ name, aliases = [] }) => [name, ...aliases]),
      )
    );
  } catch (error) {
    throw unsharedError(error);
  }
}

function usage(): string {
  const label = ({ name, aliases = [] }: CommandEntry) => [name, ...aliases].join(", ");
  const width = Math.max(...entries.map((entry) => label(entry).length)) + 2;
  const groups = commandGroups.map(({ title, commands }) => {
    const lines = commands.map((entry) => `  ${label(entry).padEnd(width)}${entry.summary}`);
    return `${title}:\n${lines.join("\n")}\n`;
  });
  return `climax ${version()}: the ClimaX weather and climate model, from weather files to scored forecasts

Usage: climax COMMAND [flags]

${groups.join("\n")}
Flags:
  ${"-h, --help".padEnd(width)}show this help; climax COMMAND --help shows a command's
  ${"-V, --version".padEnd(width)}show the version

A first run, with synthetic weather and a small model:
  climax simulate --years 4 -o weather.nc
  climax prepare weather.nc --train 2001..2003 --val 2004 -o set
  climax pretrain --data.sources set --model.patch-size 4 --model.embed-dim 128 \\
    --model.heads 4 --model.depth 2 --training.max-steps 500 -o run
  climax forecast --checkpoint run/best.safetensors --input weather.nc \\
    --time 2004-07-01 --lead 72h -o forecast.nc
  climax evaluate forecast.nc --truth weather.nc
`;
}

/**
 * Prints what went wrong and returns the exit code.
 *
 * @param rank  says it in one line, with this name
 */
export function report(error: unknown, rank?: string): number {
  if (error instanceof Told) return error.exitCode;
  const debug = process.env.CLIMAX_DEBUG === "1";
  const say = (text: string) => void process.stderr.write(`${text}\n`);
  const { red, bold } = colours.createColors(process.stderr.isTTY === true && !process.env.NO_COLOR); // not by $CI
  if (error instanceof Interrupted) {
    if (rank === undefined) say(error.message); // the launcher's signal reached all of them
    return error.exitCode;
  }
  const mendable = error instanceof ClimaxError ? error : systemError(error);
  if (mendable && rank !== undefined) {
    say(`${rank}: ${red("error:")} ${printable(`${mendable.message} (${mendable.hint})`)}`);
    return 2;
  }
  if (mendable) {
    say(`${red("error:")} ${printable(mendable.message)}\n${bold("hint:")}  ${printable(mendable.hint)}`);
    if (debug) say((error as Error).stack ?? "");
    return 2;
  }
  say(
    `${red("error:")} a bug in climax ${version()}\n${error instanceof Error ? error.stack : String(error)}`,
  );
  return 1;
}

/** The exit code for what a command throws. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted || error instanceof Told) return error.exitCode;
  return error instanceof ClimaxError || systemError(error) ? 2 : 1;
}

/** What the operating system refuses is the user's to mend, wherever it comes from. */
const refusals: Readonly<Record<string, readonly [what: string, hint: string]>> = {
  ENOENT: ["there is no such file or folder", "check the path"],
  EACCES: ["permission denied", "check who owns it, or choose another path"],
  EPERM: ["not permitted", "check who owns it, or choose another path"],
  EROFS: ["the file system is read-only", "choose another path"],
  ENOSPC: ["no space left on the device", "free some space, or choose another disk"],
  EDQUOT: ["your disk quota is used up", "free some space, or choose another disk"],
  EISDIR: ["it is a folder, a file was wanted", "name a file"],
  ENAMETOOLONG: ["the name is too long", "choose a shorter one"],
  ELOOP: ["its links lead in a circle", "mend them, or choose another path"],
  ENOTDIR: ["a part of the path is a file, not a folder", "check the path"],
  EEXIST: ["it exists already", "remove it, or choose another path"],
  EMFILE: ["too many open files", "raise the limit with ulimit -n"],
  EIO: ["the disk or network file system failed", "check the disk"],
};

function systemError(error: unknown): ClimaxError | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, path, dest, syscall } = error as NodeJS.ErrnoException & { dest?: string };
  const known = syscall === undefined || code === undefined ? undefined : refusals[code];
  if (!known) return undefined;
  const [what, hint] = known;
  const [rank = ""] = /^rank \d+: /.exec(error.message) ?? []; // of one whose failure is everybody's
  const message = `${rank}${dest ?? path ?? `cannot ${syscall}`}: ${what}`;
  return new ClimaxError("data", message, hint, { cause: error });
}

let surviving = false;

/**
 * `climax ... | head` closes our stdout early: what is left unprinted is lost, the work goes on. A disk too full for what
 * is printed ends it.
 */
function surviveClosedPipes(): void {
  if (surviving) return;
  surviving = true;
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") return;
    const [what, hint] = refusals[error.code ?? ""] ?? [error.message, "print to another place"];
    process.stderr.write(`error: cannot print the results: ${what}\nhint:  ${hint}\n`);
    process.exit(2);
  });
  // There is nobody left to tell.
  process.stderr.on("error", () => undefined);
}
