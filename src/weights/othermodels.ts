// Other networks whose checkpoints are taken for ClimaX's, each known by a name that only it has.

/** A part of a name, and what has it. */
const MODELS: readonly (readonly [sign: RegExp, model: string])[] = [
  [/(^|\.)adaLN_modulation\./, "Stormer (another model of the same authors, with adaptive norms)"],
  [/(^|\.)(surf|atmos)_token_embeds\./, "Aurora"],
  [/(^|\.)filter\.w[12]$/, "FourCastNet (an adaptive Fourier neural operator)"],
  [/(^|\.)earth_specific_bias$/, "Pangu-Weather"],
  [/(^|\.)(grid2mesh|mesh2grid)_/, "GraphCast"],
  [/(^|\.)mask_token$/, "a masked autoencoder"],
  [/(^|\.)cls_token$/, "a vision transformer for pictures"],
  [/(^|\.)patch_embed\.proj\.weight$/, "a vision transformer with one patch embedding for all variables"],
  [
    /(^|\.)lead_time_embed\.\d+\.weight$/,
    "a network before the published ClimaX, which embeds lead times in several layers",
  ],
];

/** The first name that shows another model than ClimaX; undefined if none does. */
export function otherModel(names: readonly string[]): { name: string; model: string } | undefined {
  for (const [sign, model] of MODELS) {
    const name = names.find((one) => sign.test(one));
    if (name !== undefined) return { name, model };
  }
  return undefined;
}
