// How climax forecast and climax downscale share their work: each process makes some of the batches, into a file of its
// own, and one puts these together.
import { statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { formatLead } from "../data/leadtime.ts";
import { removeAbandoned } from "../data/regriddone.ts";
import { type Share, shareName } from "../data/share.ts";
import { ClimaxError } from "../errors.ts";
import { checkOutput } from "../files/wholefile.ts";
import { mergeShares } from "../infer/mergeshares.ts";
import type { OutputShape } from "../infer/output.ts";
import { shareFileOf } from "../infer/sharefile.ts";
import type { Context } from "./command.ts";
import { handOver } from "./handover.ts";
import { counted } from "./inference.ts";
import { interruptible } from "./interrupt.ts";
import { duration, progress } from "./progress.ts";
import { inRanks, mpiField, refuseRanks } from "./ranks.ts";
import { alsoHinted } from "./told.ts";

/** The flags of both. */
export const shareFields = {
  shard: z
    .string()
    .optional()
    .describe(
      "make only this share of the batches, into OUTPUT.share-I-of-N: for job arrays; --merge puts the shares together. " +
        "Ranks of mpirun or srun share the batches by themselves",
    )
    .meta({ value: "I/N" }),
  merge: z
    .boolean()
    .default(false)
    .describe("put the shares of --output together; it and nothing else is given"),
  mpi: mpiField,
};

interface Shared {
  readonly output: string;
  readonly shard?: string | undefined;
  readonly mpi?: string | undefined;
}

/**
 * Makes the output, or a share of it, or one share in each rank and the output of them. What was made is said.
 *
 * @param name  the command's
 * @param make  makes the file of a share, or without one the whole; says what the whole holds
 */
export async function makeShared(
  name: "forecast" | "downscale",
  config: Shared,
  spoken: Context,
  make: (share: Share | undefined, context: Context) => Promise<string>,
): Promise<void> {
  const started = performance.now();
  const took = (): string => duration((performance.now() - started) / 1000);
  const { output } = config;
  await inRanks(config, spoken, async (ranks) => {
    const { share, context, world } = ranks;
    if (!share) {
      const said = await make(undefined, context);
      return context.print(`${output}: ${said}, in ${took()}`);
    }
    const own = shareFileOf(output, share);
    if (world.size === 1) {
      await removeAbandoned(own);
      const said = await make(share, context);
      return context.print(
        `${own}: share ${shareName(share)} of ${said}, in ${took()}; put the ${share.count} together: ` +
          `climax ${name} --merge -o ${output}`,
      );
    }
    if (world.rank === 0) await checkOutput(output); // before the work, not after
    let said = "";
    const merge = `climax ${name} --merge -o ${output}`;
    await handOver(
      ranks,
      own,
      () =>
        make(share, context).then(
          (text) => (said = text),
          async (error: unknown) => {
            const finished = await finishedBeside(output, share);
            if (finished === 0) throw error;
            const stay = `${finished} of ${share.count} shares ${finished === 1 ? "is" : "are"} finished and stay`;
            const rest = `with the same command and --shard ${shareName(share)}, each as one process`;
            throw alsoHinted(error, `${stay}: make the others ${rest}, then ${merge}`);
          },
        ),
      (paths) =>
        merged(paths, output, (first) => first, context).catch((error: unknown) => {
          const whole = !(error instanceof ClimaxError) || error.kind !== "config"; // shares that do not belong together
          throw whole
            ? alsoHinted(error, `the ${share.count} shares stay: ${merge} goes on from them`)
            : error;
        }),
      true,
    );
    return context.print(`${output}: ${said}, ${world.size} ranks, in ${took()}`);
  });
}

/**
 * Puts the shares of an output together.
 *
 * @throws ClimaxError "config" for other settings beside --merge, no shares, and shares that do not make up one run
 */
export async function mergeOutput(
  name: "forecast" | "downscale",
  { output, merge, ...others }: Shared & { readonly merge: boolean },
  given: readonly string[],
  context: Context,
): Promise<void> {
  const extra = [...given, ...(others.shard === undefined ? [] : ["--shard"])];
  if (extra.length > 0)
    throw new ClimaxError(
      "config",
      `found ${extra.join(" and ")} beside --merge`,
      "the shares know all that was asked of them: give --merge and --output alone",
    );
  refuseRanks("--merge", context);
  const paths = await sharesOf(output);
  if (paths.length === 0)
    throw new ClimaxError(
      "config",
      `there is no share of ${output}`,
      `make them with the same --output and --shard 1/N to N/N: climax ${name} ... --shard 1/8 -o ${output}`,
    );
  const now = `${new Date().toISOString().slice(0, 19)}Z ${context.commandLine}`;
  const started = performance.now();
  const shape = await merged(paths, output, (first) => `${now}\n${first}`, context);
  context.print(
    `${output}: ${counted(paths.length, "share")}, ${describe(shape)}, in ${duration((performance.now() - started) / 1000)}`,
  );
}

/** The files of shares beside an output. */
async function sharesOf(output: string): Promise<string[]> {
  const folder = dirname(output);
  const prefix = `${basename(output)}.share-`;
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((one) => one.startsWith(prefix) && /^\d+-of-\d+$/.test(one.slice(prefix.length)))
    .map((one) => join(folder, one));
}

/** How many of the other shares are finished. */
async function finishedBeside(output: string, { index, count }: Share): Promise<number> {
  const others = (await sharesOf(output)).filter((path) => path !== shareFileOf(output, { index, count }));
  const whole = (path: string) => statSync(path, { throwIfNoEntry: false })?.isFile() === true;
  return others.filter((path) => path.endsWith(`-of-${count}`) && whole(path)).length;
}

async function merged(
  paths: readonly string[],
  output: string,
  history: (first: string) => string,
  context: Context,
): Promise<OutputShape> {
  let bar: ReturnType<typeof progress> | undefined;
  try {
    return await interruptible((signal) =>
      mergeShares({
        ...{ paths, output, history, signal },
        onProgress: (done, total) =>
          (bar ??= progress({ label: "merge", total, quiet: context.quiet })).update(done),
      }),
    );
  } finally {
    bar?.stop();
  }
}

function describe({ variables, initial, leads, members }: OutputShape): string {
  return (
    `${variables.length} variables, ${counted(initial.length, "time")}, leads ${leads.map(formatLead).join(", ")}` +
    `${members > 1 ? `, ${members} members` : ""}`
  );
}
