// Running means of weights (EMA) that stand in one state dict with the weights they are means of, told by their names.
import { ClimaxError } from "../errors.ts";
import { shown } from "../torch/picklereader.ts";
import { isCounter } from "./names.ts";

/** Which of two sets of weights: as trained, or a running mean of them. */
export type WhichWeights = "trained" | "ema";

/** What the module is called that keeps the mean. */
const KEEPERS =
  /^((?:[^.]+\.){0,2}?(?:ema_model|model_ema|net_ema|ema_net|ema|swa_model|averaged_model|average_model)\.)/;
export interface AveragedNames {
  /** Names of the weights as trained; none where there is only the mean. */
  readonly trained: readonly string[];
  readonly ema: readonly string[];
  /** Where the mean stands, for the user. */
  readonly where: string;
}

/**
 * Tells names of weights from those of their running mean: a module called `ema`, `ema_model` and the like, or
 * torch.optim.swa_utils.AveragedModel, which counts in `n_averaged` beside its `module.`.
 *
 * @returns undefined if there is no mean among them
 */
export function averagedNames(names: readonly string[]): AveragedNames | undefined {
  const keepers = new Set(
    names.flatMap((name) => {
      const counter = /^(.*\.)?n_averaged$/.exec(name);
      return counter ? [counter[1] ?? ""] : (KEEPERS.exec(name)?.[1] ?? []);
    }),
  );
  if (keepers.size === 0) return undefined;
  const isMean = (name: string): boolean => keepers.has("") || startsWithOne(name, keepers);
  const weights = names.filter((name) => !isCounter(name));
  const ema = weights.filter(isMean);
  if (ema.length === 0) return undefined;
  const others = weights.filter((name) => !isMean(name));
  const trained = 2 * others.length >= ema.length ? others : []; // a few buffers are no weights
  return { trained, ema, where: placesOf(keepers) };
}

function placesOf(keepers: ReadonlySet<string>): string {
  const some = [...keepers].slice(0, 4).map((keeper) => `"${keeper === "" ? "module." : shown(keeper)}*"`);
  return `${some.join(", ")}${keepers.size > some.length ? ", ..." : ""}`;
}

/** Whether one of the prefixes stands before the name; by its parts, as there may be as many prefixes as names. */
function startsWithOne(name: string, prefixes: ReadonlySet<string>): boolean {
  for (let end = name.indexOf("."); end >= 0; end = name.indexOf(".", end + 1)) {
    if (prefixes.has(name.slice(0, end + 1))) return true;
  }
  return false;
}

/** One of two sets of weights in a file. */
export interface WeightSet {
  /** Where it stands, for the user. */
  readonly where: string;
  readonly tensors: number;
}

/**
 * Which of two sets is read: the one wanted; without a wish the weights as trained, or their mean if there is nothing
 * else.
 *
 * @returns the kind, and what the user should know of the choice
 * @throws  ClimaxError "checkpoint" if the one wanted is not there, or none
 */
export function chooseWeights(
  path: string,
  sets: { readonly trained?: WeightSet | undefined; readonly ema?: WeightSet | undefined },
  which: WhichWeights | undefined,
): { kind: WhichWeights; notes: string[] } {
  const kind = which ?? (sets.trained ? "trained" : "ema");
  const other = kind === "ema" ? "trained" : "ema";
  const words = { trained: "the weights as trained", ema: "a running mean of the weights (EMA)" };
  if (!sets.trained && !sets.ema) {
    throw new ClimaxError("checkpoint", `${path} holds no weights`, "copy or download it again");
  }
  if (!sets[kind]) {
    throw new ClimaxError(
      "checkpoint",
      `${path} was to be read for ${words[kind]}, and has only ${words[other]}: ${sizeOf(sets[other]!)}`,
      `read those: --weights ${other}, or leave --weights out`,
    );
  }
  const left = sets[other];
  if (left) {
    const note = `${words[other]} left out: ${sizeOf(left)}; --weights ${other} reads them`;
    return { kind, notes: [note] };
  }
  const only = kind === "ema" && which === undefined;
  return { kind, notes: only ? [`${words.ema} is all there is (${sets.ema!.where}), and was read`] : [] };
}

function sizeOf({ tensors, where }: WeightSet): string {
  return `${tensors} ${tensors === 1 ? "tensor" : "tensors"} in ${where}`;
}
