// Hyperparameters of ClimaX: what fixes the shape of every parameter, and the rates of its noise.
import { z } from "zod";

/** A name of a variable; what cannot be printed has no place in one, and files may come from anywhere. */
export const variableName = z
  .string()
  .min(1)
  .max(200)
  .refine((name) => !/[\p{C}\p{Zl}\p{Zp}]/u.test(name), "a name with characters that cannot be printed");

/** The fields one by one, for schemas that fill some of them from elsewhere (a training set knows its variables). */
export const modelFields = {
  // Bounds keep a hostile checkpoint header from asking for endless names; the paper's largest model is far below.
  variables: z
    .array(variableName)
    .min(1)
    .max(4096)
    .describe("names of the variables it can read and write, in order"),
  gridShape: z
    .tuple([z.int().positive().max(65536), z.int().positive().max(65536)])
    .default([32, 64])
    .describe("H W, grid points"),
  region: z
    .strictObject({
      rows: z.array(z.int().nonnegative()).min(1).max(65536),
      columns: z.array(z.int().nonnegative()).min(1).max(65536),
    })
    .optional()
    .describe(
      "rows and columns of patches that enter, ascending, from those of the whole grid; all when left out",
    ),
  patchSize: z.int().positive().max(1024).default(2).describe("side of a patch, grid points"),
  embedDim: z.int().positive().max(65536).default(1024).describe("D, width of a token"),
  depth: z.int().nonnegative().max(1024).default(8).describe("number of transformer blocks"),
  decoderDepth: z.int().nonnegative().max(64).default(2).describe("hidden layers of the prediction head"),
  heads: z
    .int()
    .positive()
    .max(4096)
    .default(16)
    .describe("attention heads per block and in the aggregation"),
  mlpRatio: z.number().positive().max(64).default(4).describe("hidden width of a block's MLP, in units of D"),
  dropPath: z.number().min(0).lt(1).default(0.1).describe("stochastic depth rate of the last block"),
  dropout: z.number().min(0).lt(1).default(0.1).describe("rate at which activations are dropped"),
  residual: z
    .boolean()
    .default(false)
    .describe(
      "predict the change from the initial state, not the state (beyond the paper: a short training starts at " +
        "persistence instead of at nothing)",
    ),
  parallelPatchEmbed: z
    .boolean()
    .default(false)
    .describe(
      "keep the patch embeddings of all variables as one tensor (names of the reference's parallel form)",
    ),
};

/** Hyperparameters of ClimaX. The defaults are the 5.625° model of the paper (arXiv:2301.10343, table 4). */
export const ModelConfig = z
  .strictObject({ type: z.literal("climax").default("climax"), ...modelFields })
  .superRefine(checkTransformer);

export type ModelConfig = z.output<typeof ModelConfig>;

/** What the sizes of any network of patches and attention must obey. */
type Transformer = Pick<
  ModelConfig,
  "variables" | "gridShape" | "region" | "patchSize" | "embedDim" | "heads"
>;

/** Names each of these rules that a config breaks. */
export function checkTransformer(config: Transformer, ctx: z.RefinementCtx): void {
  const { variables, gridShape, region, patchSize, embedDim, heads } = config;
  const issue = (path: string, message: string) => ctx.addIssue({ code: "custom", path: [path], message });
  const twice = variables.find((name, i) => variables.indexOf(name) !== i);
  if (twice !== undefined) issue("variables", `"${twice}" is listed twice`);
  if (embedDim % heads !== 0) issue("heads", `${heads} heads cannot share embedDim ${embedDim} evenly`);
  if (embedDim % 4 !== 0) {
    issue("embedDim", `${embedDim} is not a multiple of 4, which sine-cosine position tables need`);
  }
  if (gridShape.some((points) => points % patchSize !== 0)) {
    issue("patchSize", `${patchSize} does not divide gridShape ${gridShape}`);
  }
  for (const [axis, places] of [region?.rows ?? [], region?.columns ?? []].entries()) {
    const patches = gridShape[axis]! / patchSize;
    const wrong = places.find((place, i) => place >= patches || (i > 0 && place <= places[i - 1]!));
    if (wrong === undefined) continue;
    issue(
      "region",
      `patch ${axis === 0 ? "row" : "column"} ${wrong} does not ascend or is beyond ${patches}`,
    );
  }
}

/** Height and width of the fields that enter and leave: the grid's, or the region's. */
export function fieldShape({
  gridShape,
  region,
  patchSize,
}: Pick<ModelConfig, "gridShape" | "region" | "patchSize">): readonly [number, number] {
  return region ? [region.rows.length * patchSize, region.columns.length * patchSize] : gridShape;
}

/** What follows from a config: how many patches there are and how wide the parts are. */
export interface ModelSizes {
  /** Patches down and across the whole grid. */
  readonly rows: number;
  readonly columns: number;
  /** p * p, values in a patch of one variable. */
  readonly patchValues: number;
  /** Width of a block's hidden layer. */
  readonly hidden: number;
}

export function modelSizes({
  gridShape,
  patchSize,
  embedDim,
  mlpRatio,
}: Pick<ModelConfig, "gridShape" | "patchSize" | "embedDim" | "mlpRatio">): ModelSizes {
  return {
    rows: gridShape[0] / patchSize,
    columns: gridShape[1] / patchSize,
    patchValues: patchSize * patchSize,
    hidden: Math.trunc(embedDim * mlpRatio), // int() in the reference, for ratios that are not whole
  };
}
