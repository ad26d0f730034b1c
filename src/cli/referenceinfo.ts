/** The json beside a case of a reference implementation: what was computed there, as a network and settings of ours. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ClimaxError } from "../errors.ts";
import { issuesText } from "../model/issues.ts";
import { NetworkConfig } from "../model/network.ts";

const strings = z.array(z.string());

const Optimiser = z.object({
  name: z.string(),
  lr: z.number(),
  betas: z.tuple([z.number(), z.number()]),
  eps: z.number(),
  weight_decay: z.number(),
  no_decay: strings,
});

const CaseInfo = z.object({
  config: z.object({
    default_vars: strings,
    img_size: z.tuple([z.int(), z.int()]),
    patch_size: z.int(),
    embed_dim: z.int(),
    depth: z.int(),
    decoder_depth: z.int().default(2),
    num_heads: z.int(),
    mlp_ratio: z.number(),
    time_history: z.int().optional().describe("only climate projection has it"),
  }),
  in_variables: strings,
  out_variables: strings,
  loss: z.string(),
  region: z.string().optional(),
  region_info: z
    .object({
      patch_ids: z.array(z.int().nonnegative()).min(1),
      min_h: z.int(),
      max_h: z.int(),
      min_w: z.int(),
      max_w: z.int(),
    })
    .optional()
    .describe("the patches that enter, and the first and last row and column of the grid that they cover"),
  trainable: strings.optional().describe("parameters that are not frozen"),
  // The projection cases leave theirs out, and were made with that of all the others: losses and parameters say so.
  optimizer: Optimiser.default({
    name: "AdamW",
    lr: 1e-3,
    betas: [0.9, 0.95],
    eps: 1e-8,
    weight_decay: 0.01,
    no_decay: ["var_embed", "pos_embed", "time_pos_embed"],
  }),
});
export type CaseInfo = z.output<typeof CaseInfo>;

/**
 * Reads a case's json.
 *
 * @returns  what it says, or why the case cannot be computed here
 * @throws   ClimaxError "data" for one that describes no case
 */
export async function readCaseInfo(folder: string, name: string): Promise<CaseInfo | string> {
  const path = join(folder, `${name}.json`);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch {
    return "no model case, it has no .json";
  }
  let info: CaseInfo;
  try {
    info = CaseInfo.parse(JSON.parse(text));
  } catch (error) {
    const why = error instanceof z.ZodError ? issuesText(error) : (error as Error).message;
    throw new ClimaxError("data", `${path} does not describe a case: ${why}`, "make the case again");
  }
  const { region, region_info, loss, optimizer } = info;
  if (region !== undefined && !region_info) return `region ${region} without its region_info`;
  if (loss !== "latitude-weighted MSE" && loss !== "MSE") return `loss ${loss}`;
  if (optimizer.name !== "AdamW") return `optimiser ${optimizer.name}`;
  return info;
}

/**
 * The network of a case, with its noise off.
 *
 * @param path  of the case, for messages
 * @throws      ClimaxError "data" if there is no such network
 */
export function networkConfigOf(info: CaseInfo, path: string, parallelPatchEmbed: boolean): NetworkConfig {
  const { config, out_variables: outputs } = info;
  const { default_vars: inputs, time_history: history } = config;
  const sizes = {
    gridShape: config.img_size,
    patchSize: config.patch_size,
    embedDim: config.embed_dim,
    depth: config.depth,
    heads: config.num_heads,
    mlpRatio: config.mlp_ratio,
    dropPath: 0,
    dropout: 0,
    parallelPatchEmbed,
  };
  const parsed = NetworkConfig.safeParse(
    history === undefined
      ? { ...sizes, variables: inputs, decoderDepth: config.decoder_depth, region: patchesOf(info, path) }
      : {
          ...sizes,
          ...{ type: "projection", history, inputs, outputs },
          variables: [...new Set([...inputs, ...outputs])],
        },
  );
  if (parsed.success) return parsed.data;
  throw new ClimaxError("data", `${path}: ${issuesText(parsed.error)}`, "make the case again");
}

/** Rows and columns of the patches that enter, which must fill a rectangle. */
function patchesOf({ config, region_info }: CaseInfo, path: string) {
  if (!region_info) return undefined;
  const columns = config.img_size[1] / config.patch_size;
  const ids = region_info.patch_ids;
  const unique = (places: number[]): number[] => [...new Set(places)].sort((a, b) => a - b);
  const region = {
    rows: unique(ids.map((id) => Math.floor(id / columns))),
    columns: unique(ids.map((id) => id % columns)),
  };
  const filled = region.rows.flatMap((row) => region.columns.map((column) => row * columns + column));
  if (filled.join() === ids.join()) return region;
  throw new ClimaxError("data", `${path}: patch_ids fill no rectangle, row by row`, "make the case again");
}
