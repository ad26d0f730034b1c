// Whether what is said of weights agrees with their shapes.
import { ClimaxError } from "../errors.ts";
import { brief, type Said, SOURCE, sourceFields, type Told } from "./describe.ts";
import { hyperParameters } from "./lightning.ts";
import type { Sizes } from "./shapesizes.ts";

/**
 * Refuses what the tensors contradict.
 *
 * @param path  of the file, for errors
 * @throws      ClimaxError "config" that names both
 */
export function expectAgreement(sizes: Sizes, told: Told, path: string): void {
  const { said } = told;
  const { V, L, D, patchSize, history } = sizes;
  const refuse = (key: keyof Said, found: string, what = brief(said[key])) =>
    contradicted(told, path, key, found, what);
  const { variables, gridShape, heads, mlpRatio } = said;
  const all = V + (history === undefined ? 0 : (said.outputs?.length ?? 0));
  if (variables && variables.length !== V && variables.length !== all) {
    refuse("variables", `var_embed of ${V} variables`, `${variables.length} variables`);
  }
  if (gridShape && gridShape[0] * gridShape[1] !== L * patchSize ** 2) {
    const [H, W] = gridShape;
    refuse(
      "gridShape",
      `pos_embed of ${L} patches of ${patchSize} x ${patchSize} points`,
      `a grid of ${H} x ${W}`,
    );
  }
  if (heads !== undefined && D % heads !== 0) {
    refuse("heads", `tokens of width ${D}, which ${heads} heads cannot share evenly`, `${heads} heads`);
  }
  if (
    mlpRatio !== undefined &&
    sizes.depth > 0 &&
    Math.trunc(D * mlpRatio) !== Math.trunc(D * sizes.mlpRatio)
  ) {
    refuse(
      "mlpRatio",
      `blocks with a hidden layer of ${Math.trunc(D * sizes.mlpRatio)} for tokens of width ${D}`,
    );
  }
  const shown = {
    patchSize,
    embedDim: D,
    depth: sizes.depth,
    parallelPatchEmbed: sizes.parallelPatchEmbed,
    ...(history === undefined ? { decoderDepth: sizes.decoderDepth } : {}),
    history,
  };
  for (const [key, found] of Object.entries(shown) as [keyof typeof shown, number | boolean | undefined][]) {
    if (said[key] === undefined || said[key] === found) continue;
    refuse(
      key,
      found === undefined ? "no time_pos_embed: it is no projection" : `tensors of ${key} ${found}`,
    );
  }
  if (history !== undefined && said.region !== undefined) {
    refuse("region", "a projection, which is for the whole globe");
  }
}

function contradicted({ from }: Told, path: string, key: keyof Said, found: string, what: string): never {
  const teller = from.get(key)!;
  const flag = `--source.${kebab(key)}`;
  const says = what.includes(" ") ? what : `${what} for ${key}`;
  throw new ClimaxError(
    "config",
    `${path} has ${found}, but ${teller === SOURCE ? flag : teller} says ${says}`,
    mendOf(teller, key in sourceFields.shape ? flag : undefined),
  );
}

function mendOf(teller: string, flag: string | undefined): string {
  if (teller === SOURCE) return "correct that flag, or leave it out";
  const right = flag === undefined ? "" : `give the right ${flag}, or `;
  if ((hyperParameters as readonly string[]).includes(teller)) {
    return `the file contradicts itself: ${right}save the state dict alone`;
  }
  return `${right}move ${teller} away if it is of another network`;
}

const kebab = (key: string) => key.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`);
