// The network that weights belong to, from the shapes of its tensors and what its owner says of it.
//
// V variables, L patches of p x p points, D width of a token, T years of a projection.
import { default48 } from "../data/variables.ts";
import { ClimaxError } from "../errors.ts";
import { NetworkConfig, networkOf } from "../model/network.ts";
import { sizesOf } from "./shapesizes.ts";

/** What shapes do not show. */
export interface NetworkTold {
  /** Names of all variables, in the order of the file; of a projection those that enter, and those that leave. */
  readonly variables?: readonly string[] | undefined;
  /** Names of a projection's inputs, in order. */
  readonly inputs?: readonly string[] | undefined;
  /** Names of a projection's outputs, in order. */
  readonly outputs?: readonly string[] | undefined;
  readonly heads?: number | undefined;
  /** Points down and across the whole grid, also for a region. */
  readonly gridShape?: readonly [number, number] | undefined;
  /** Rows and columns of patches that enter, of those of the whole grid. */
  readonly region?: { readonly rows: readonly number[]; readonly columns: readonly number[] } | undefined;
  /** Rates that only training needs. */
  readonly dropout?: number | undefined;
  readonly dropPath?: number | undefined;
}

/** Heads, and the width they are known for (arXiv:2301.10343, table 4). */
const PAPER = { heads: 16, embedDim: 1024 };

/**
 * The config of the network that tensors of these shapes make: ClimaX, or its projection.
 *
 * @param shapes  by the reference's names
 * @param path    of the file, for errors
 * @returns       the config, and what neither shapes nor `told` show and was assumed, one line each for the user
 * @throws        ClimaxError "checkpoint" if the shapes contradict each other, "config" if `told` contradicts them or
 *                lacks what they do not show
 */
export function networkFrom(
  shapes: ReadonlyMap<string, readonly number[]>,
  told: NetworkTold,
  path: string,
): { config: NetworkConfig; assumed: readonly string[] } {
  const sizes = sizesOf(shapes, path);
  const assumed: string[] = [...sizes.assumed];
  const task: Task = { path, told, assumed };
  const { V, L, D, patchSize, headOutputs } = sizes;
  const heads = headsOf(task, D);
  const gridShape = gridOf(task, L, patchSize);
  const common = {
    gridShape,
    ...{ patchSize, embedDim: D, depth: sizes.depth, heads, mlpRatio: sizes.mlpRatio },
    parallelPatchEmbed: sizes.parallelPatchEmbed,
    ...{ dropout: told.dropout, dropPath: told.dropPath },
  };
  const config =
    sizes.history === undefined
      ? {
          type: "climax",
          variables: variablesOf(task, V),
          ...common,
          ...(told.region ? { region: told.region } : {}),
          decoderDepth: sizes.decoderDepth,
        }
      : {
          type: "projection",
          ...projectionNames(task, V, headOutputs, gridShape),
          ...common,
          history: sizes.history,
        };
  const parsed = NetworkConfig.safeParse(config);
  if (!parsed.success) {
    const why = parsed.error.issues.map(({ path: at, message }) => `${at.join(".")}: ${message}`).join("; ");
    throw new ClimaxError(
      "config",
      `${path} with what is said of it makes no network that can be: ${why}`,
      "correct what is said of it (--source.*)",
    );
  }
  const rates = [
    ...(told.dropout === undefined ? ["dropout 0.1"] : []),
    ...(told.dropPath === undefined ? ["drop path 0.1"] : []),
  ];
  if (rates.length > 0) assumed.push(`${rates.join(" and ")}, the paper's, which only training needs`);
  return { config: parsed.data, assumed };
}

interface Task {
  readonly path: string;
  readonly told: NetworkTold;
  readonly assumed: string[];
}

function wanted(message: string, hint: string): never {
  throw new ClimaxError("config", message, hint);
}

function headsOf({ path, told, assumed }: Task, D: number): number {
  if (told.heads !== undefined) return told.heads;
  if (D !== PAPER.embedDim) {
    wanted(
      `${path} does not show how many attention heads its network has (D ${D}; a weight matrix has the same shape for any number)`,
      "say it: --source.heads NUMBER, num_heads of the run that trained it",
    );
  }
  assumed.push(
    `${PAPER.heads} attention heads, the paper's for D ${PAPER.embedDim} (weights do not show them)`,
  );
  return PAPER.heads;
}

function gridOf({ path, told, assumed }: Task, L: number, p: number): [number, number] {
  const { gridShape } = told;
  if (gridShape) {
    const [H, W] = gridShape;
    if (H * W === L * p * p) return [H, W];
    return wanted(
      `${path} has positions of ${L} patches of ${p} x ${p} points, but a grid of ${H} x ${W} points has ${(H * W) / (p * p)}`,
      "give the whole grid the weights were trained on (also for a region); positions can be resized to another " +
        "when they are converted: --res",
    );
  }
  const rows = Math.round(Math.sqrt(L / 2));
  if (2 * rows * rows !== L) {
    return wanted(
      `${path} has positions of ${L} patches of ${p} x ${p} points, which make no grid with twice as many columns as rows`,
      "say which grid it is: --source.grid-shape H,W, img_size of the run that trained it",
    );
  }
  assumed.push(
    `a grid of ${rows * p} x ${2 * rows * p} points, for ${L} patches of ${p} x ${p} and twice as many columns as rows`,
  );
  return [rows * p, 2 * rows * p];
}

function variablesOf({ path, told, assumed }: Task, V: number): readonly string[] {
  const { variables } = told;
  if (variables) return counted(path, "variables", variables, V);
  if (V === default48.length) {
    assumed.push("the paper's 48 variables in the order of the reference's default_vars");
    return default48;
  }
  return wanted(
    `${path} has ${V} variables, and does not name them`,
    `name them in its order: --source.variables with ${V} names, default_vars of the run that trained it`,
  );
}

function counted(path: string, what: string, names: readonly string[], count: number): readonly string[] {
  if (names.length === count) return names;
  return wanted(
    `${path} has ${count} ${what}, but ${names.length} are named: ${names.join(", ")}`,
    `name ${count}, in the order of the file`,
  );
}

/** Names of what enters and leaves a projection, whose last layer makes the points of all outputs. */
function projectionNames(
  { path, told }: Task,
  V: number,
  headOutputs: number | undefined,
  [H, W]: readonly [number, number],
) {
  const { inputs = told.variables?.slice(0, V), outputs = told.variables?.slice(V) } = told;
  if (!inputs) {
    return wanted(
      `${path} is a projection from ${V} variables, and does not name them`,
      `name them in its order: --source.inputs with ${V} names (the reference's default_vars for ClimateBench: CO2, SO2, CH4, BC)`,
    );
  }
  counted(path, "inputs", inputs, V);
  const points = H * W;
  const count = headOutputs === undefined ? Math.max(1, outputs?.length ?? 1) : headOutputs / points;
  if (!Number.isInteger(count) || count === 0) {
    throw new ClimaxError(
      "checkpoint",
      `${path} is a projection whose last layer makes ${headOutputs} values, which are no whole fields of ${H} x ${W} points`,
      "say which grid it is: --source.grid-shape H,W, img_size of the run that trained it",
    );
  }
  if (!outputs || outputs.length === 0) {
    return wanted(
      `${path} is a projection of ${count} ${count === 1 ? "variable" : "variables"}, and does not name ${count === 1 ? "it" : "them"}`,
      `name what it projects: --source.outputs with ${count} of tas, diurnal_temperature_range, pr, pr90`,
    );
  }
  counted(path, count === 1 ? "output" : "outputs", outputs, count);
  return { variables: [...new Set([...inputs, ...outputs])], inputs, outputs };
}

/** How the tensors of a file differ from those of a network. */
export interface ShapeDifferences {
  /** Parameters of the network that the file lacks. */
  readonly missing: string[];
  /** Tensors of the file that the network has no place for. */
  readonly extra: string[];
  readonly misshapen: { name: string; found: readonly number[]; wanted: readonly number[] }[];
}

/**
 * Compares the tensors of a file with the parameters of a network.
 *
 * @param shapes  by the reference's names
 */
export function compareShapes(
  config: NetworkConfig,
  shapes: ReadonlyMap<string, readonly number[]>,
): ShapeDifferences {
  const parameters = networkOf(config).shapes;
  const misshapen = [...parameters].flatMap(([name, shape]) => {
    const found = shapes.get(name);
    return found && found.join() !== shape.join() ? [{ name, found, wanted: shape }] : [];
  });
  return {
    missing: [...parameters.keys()].filter((name) => !shapes.has(name)),
    extra: [...shapes.keys()].filter((name) => !parameters.has(name)),
    misshapen,
  };
}
