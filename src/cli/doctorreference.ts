/** climax doctor --reference: computes the cases of a reference implementation on an adapter and compares. */
import { readdir } from "node:fs/promises";
import { openGpu } from "../engine/device.ts";
import { ClimaxError } from "../errors.ts";
import type { Context } from "./command.ts";
import { inRanks, turnOf } from "./ranks.ts";
import { type CaseResult, checkCase } from "./referencecase.ts";
import { table } from "./table.ts";

/** What float32 can hold to: the reference itself is within 5e-7 and 6e-6 of its own float64. */
const TOLERANCE = { predictions: 1e-5, loss: 1e-5, gradient: 1e-4, parameter: 1e-4 };

export interface ReferenceOptions {
  readonly adapter?: string | undefined;
  readonly mpi?: string | undefined;
  readonly json?: boolean;
}

/** What a rank found on its adapter. */
interface Verdict {
  /** "rank 2 of 4 on node7"; "" of one process. */
  readonly name: string;
  readonly adapter: string;
  readonly right: number;
  readonly of: number;
  /** Names of cases. */
  readonly wrong: readonly string[];
}

/**
 * Computes every case of a folder and prints how far each is off. A case is `<case>.npz` beside `<case>.json`. Ranks each
 * compute all cases, on adapters of their own; rank 0 prints its numbers, and on which ranks the cases are right.
 *
 * @returns  exit code, of every rank: 1 if a case is beyond tolerance on one of them, or none could be computed
 * @throws   ClimaxError "data" if the folder or a case cannot be read
 */
export async function runReference(
  folder: string,
  context: Context,
  { adapter, mpi, json = false }: ReferenceOptions = {},
): Promise<number> {
  return await inRanks({ mpi }, context, async ({ world, meet, context: own }) => {
    const names = await caseNames(folder);
    const gpu = await openGpu({ adapter, turn: turnOf(own) });
    const results: CaseResult[] = [];
    try {
      for (const name of names) {
        own.info(`${name} ...`);
        results.push(await checkCase(gpu, folder, name));
      }
    } finally {
      gpu.device.destroy();
    }
    const covered = results.filter(({ notCovered }) => !notCovered);
    const wrong = covered.filter((result) => !isRight(result)).map(({ name }) => name);
    const of = covered.length;
    const found: Verdict = { name: world.name, adapter: gpu.name, right: of - wrong.length, of, wrong };
    const all = (await meet(JSON.stringify(found))).map((text) => JSON.parse(text) as Verdict);
    if (json) {
      const { name: _, wrong: __, ...verdict } = found;
      const ranks = world.size > 1 ? { ranks: all } : {};
      own.print(JSON.stringify({ ...verdict, tolerance: TOLERANCE, ...ranks, cases: results }, null, 2));
    } else
      own.print([describe(found, results), ...(world.size > 1 ? [describeRanks(all)] : [])].join("\n\n"));
    return of > 0 && all.every((one) => one.wrong.length === 0) ? 0 : 1;
  });
}

/** On which ranks all cases are right, in one line, and one for each where they are not. */
export function describeRanks(all: readonly Verdict[]): string {
  const ranks = all.map((one, rank) => ({ ...one, rank }));
  const well = ranks.filter(({ wrong }) => wrong.length === 0);
  const adapters = [...new Set(well.map(({ adapter }) => adapter))].join("; ");
  const lines = ranks
    .filter(({ wrong }) => wrong.length > 0)
    .map(
      (one) => `${one.name}, ${one.adapter}: ${one.right} of ${one.of} right; WRONG: ${one.wrong.join(", ")}`,
    );
  if (well.length > 0)
    lines.unshift(`${stretches(well)}, ${adapters}: ${well[0]!.of} of ${well[0]!.of} right on each`);
  return lines.join("\n");
}

/** `ranks 0-3, 6` */
function stretches(ranks: readonly { readonly rank: number }[]): string {
  const ends: [number, number][] = [];
  for (const { rank } of ranks) {
    const last = ends.at(-1);
    if (last?.[1] === rank - 1) last[1] = rank;
    else ends.push([rank, rank]);
  }
  const named = ends.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(", ");
  return `${ranks.length === 1 ? "rank" : "ranks"} ${named}`;
}

/** Whether every number of a computed case is within tolerance. NaN is not. */
export function isRight({
  predictions = 0,
  checkpoints = [],
  loss = 0,
  gradient,
  steps = [],
}: CaseResult): boolean {
  return (
    predictions <= TOLERANCE.predictions &&
    checkpoints.every(({ error }) => error <= TOLERANCE.predictions) &&
    loss <= TOLERANCE.loss &&
    (gradient?.error ?? 0) <= TOLERANCE.gradient &&
    steps.every(({ error }) => error <= TOLERANCE.parameter)
  );
}

async function caseNames(folder: string): Promise<string[]> {
  let files: string[];
  try {
    files = await readdir(folder);
  } catch (error) {
    throw new ClimaxError(
      "data",
      `cannot read the folder ${folder}: ${(error as Error).message}`,
      "check the path",
      {
        cause: error,
      },
    );
  }
  const names = files.filter((file) => file.endsWith(".npz")).map((file) => file.slice(0, -".npz".length));
  if (names.length === 0) {
    throw new ClimaxError(
      "data",
      `${folder} has no reference case`,
      "name a folder of <case>.npz files with a <case>.json beside each",
    );
  }
  return names.sort();
}

function describe(
  { adapter, right, of }: { adapter: string; right: number; of: number },
  results: readonly CaseResult[],
): string {
  const off = (error: number | undefined, allowed: number): string =>
    error === undefined ? "-" : `${error.toExponential(1)}${error <= allowed ? "" : " WRONG"}`;
  const rows = results
    .filter(({ notCovered }) => notCovered === undefined)
    .map(({ name, predictions, loss, gradient, steps = [] }) => {
      const after = steps.map(
        (step) => `${step.after}: ${off(step.error, TOLERANCE.parameter)}  ${step.name}`,
      );
      return [
        name,
        off(predictions, TOLERANCE.predictions),
        off(loss, TOLERANCE.loss),
        gradient ? `${off(gradient.error, TOLERANCE.gradient)}  ${gradient.name}` : "-",
        after.join("\n") || "-",
      ];
    });
  const others = results.filter(({ notCovered }) => notCovered !== undefined);
  const imported = results.flatMap(({ checkpoints = [] }) =>
    checkpoints.map(({ file, names, error }) => [file, names, off(error, TOLERANCE.predictions)]),
  );
  const allowed = Object.values(TOLERANCE).map((value) => value.toExponential(0));
  return [
    `Reference cases on ${adapter}; each number is the norm of the difference over the norm.`,
    table([
      ["case", "predictions", "loss", "worst gradient", "parameters after steps"],
      ...rows,
      ["allowed", ...allowed],
    ]),
    ...(imported.length > 0
      ? [
          "Predictions with the weights of checkpoints beside the cases, imported:\n" +
            table([["file", "names", "predictions"], ...imported, ["allowed", "", allowed[0]!]]),
        ]
      : []),
    ...(others.length > 0
      ? [others.map(({ name, notCovered }) => `${name}, not covered: ${notCovered}`).join("\n")]
      : []),
    `${right} of ${of} computed cases are right.`,
  ].join("\n\n");
}
