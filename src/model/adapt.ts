// Start values from a network that was trained for something else: another grid, other variables, another task
// (Nguyen et al. 2023, arXiv:2301.10343, section 3.4). What has no counterpart starts as in a new network.
import { ClimaxError } from "../errors.ts";
import type { ModelConfig } from "./config.ts";
import { modelSizes } from "./config.ts";
import { type NetworkConfig, networkOf } from "./network.ts";
import { tokenNames } from "./parameters.ts";
import { resizePositions } from "./positions.ts";
import type { ProjectionConfig } from "./projection.ts";
import type { VitConfig } from "./vit.ts";

/** A trained network, e.g. of a checkpoint. */
export interface Trained {
  readonly config: NetworkConfig;
  /** Reads one parameter. */
  parameter(name: string): Float32Array | Promise<Float32Array>;
}

export interface Adapted {
  /** The start value of one parameter of the new network. */
  parameter(name: string): Promise<Float32Array>;
  /** What is not as it was, for the user: one line for each kind of change; none if all is. */
  readonly report: readonly string[];
}

/** The networks with ClimaX's encoder, which can start from one another. */
type Transformer = ModelConfig | ProjectionConfig | VitConfig;

/**
 * Start values for a network from those of another.
 *
 * Blocks, norms, lead time and aggregation are taken over. Embeddings of positions are resized to another grid, bicubic
 * as in the reference; a region takes the whole grid's. What belongs to a variable follows its name: patch embedding,
 * variable embedding, rows of the last layer; both forms of patch embeddings are read. The rest starts anew.
 *
 * @param seed  of what starts anew
 * @throws      ClimaxError "config" if the encoders differ, the patches do, or the networks have nothing in common
 */
export function adaptParameters(from: Trained, to: NetworkConfig, seed: number): Adapted {
  const network = networkOf(to);
  const fresh = (name: string): Float32Array => network.initialise(seed, new Set([name])).get(name)!;
  if (!isTransformer(from.config) || !isTransformer(to)) {
    expectSame(from.config, to);
    return { parameter: async (name) => from.parameter(name), report: [] };
  }
  expectSameEncoder(from.config, to);
  const task: Adaptation = { from: from.config, to, read: async (name) => from.parameter(name), fresh };
  const shapes = networkOf(from.config).shapes;
  const ways = new Map([...tokens(task), ...variableEmbeddings(task), ...positions(task), ...head(task)]);
  const anew: string[] = [];
  for (const [name, shape] of network.shapes) {
    if (ways.has(name)) continue;
    const same = shapes.get(name)?.join() === shape.join() && !/^(head|token_embeds|var_embed)\b/.test(name);
    if (same) ways.set(name, () => task.read(name));
    else anew.push(name);
  }
  for (const name of anew) ways.set(name, async () => fresh(name));
  return { parameter: async (name) => ways.get(name)!(), report: reportOf(task, anew) };
}

interface Adaptation {
  readonly from: Transformer;
  readonly to: Transformer;
  read(name: string): Promise<Float32Array>;
  fresh(name: string): Float32Array;
}

type Ways = [name: string, way: () => Promise<Float32Array>][];

function isTransformer(config: NetworkConfig): config is Transformer {
  return config.type === "climax" || config.type === "projection" || config.type === "vit";
}

function inputsOf(config: Transformer): readonly string[] {
  return config.type === "climax" ? config.variables : config.inputs;
}

function outputsOf(config: Transformer): readonly string[] {
  return config.type === "climax" ? config.variables : config.outputs;
}

function differ(what: string, found: unknown, wanted: unknown, hint: string): never {
  throw new ClimaxError("config", `the checkpoint has ${what} ${found}, but ${wanted} is wanted`, hint);
}

/** Networks without a common encoder are only taken as they are. */
function expectSame(from: NetworkConfig, to: NetworkConfig): void {
  const hint = "train that network from scratch";
  if (from.type !== to.type) differ("a network of type", from.type, to.type, hint);
  for (const list of ["inputs", "outputs"] as const) {
    const [found, wanted] = [from, to].map((config) => String((config as Record<string, unknown>)[list]));
    if (found !== wanted) differ(list, found, wanted, hint);
  }
  const [found, wanted] = [networkOf(from).shapes, networkOf(to).shapes];
  for (const [name, shape] of wanted) {
    if (found.get(name)?.join() !== shape.join()) {
      differ(`"${name}" of shape`, `[${found.get(name) ?? "none"}]`, `[${shape}]`, hint);
    }
  }
}

function expectSameEncoder(from: Transformer, to: Transformer): void {
  if (from.patchSize !== to.patchSize) {
    const hint =
      `patch embeddings and the head are made for patches of ${from.patchSize} x ${from.patchSize}: keep patchSize ` +
      `${from.patchSize}, or train from scratch`;
    differ("patchSize", from.patchSize, to.patchSize, hint);
  }
  for (const size of ["embedDim", "depth", "heads", "mlpRatio"] as const) {
    if (from[size] === to[size]) continue;
    differ(size, from[size], to[size], `set ${size} to ${from[size]}, or train from scratch`);
  }
}

/** For each wanted name its place among the known ones; undefined for one that is new. */
function placesOf(wanted: readonly string[], known: readonly string[]): (number | undefined)[] {
  return wanted.map((name) => {
    const place = known.indexOf(name);
    return place < 0 ? undefined : place;
  });
}

/** Patch embeddings, variable by variable. */
function tokens({ from, to, read, fresh }: Adaptation): Ways {
  if (to.type === "vit") return from.type === "vit" ? patchEmbedding(from, to, { read, fresh }) : [];
  if (from.type === "vit") return [];
  const places = placesOf(inputsOf(to), inputsOf(from));
  const part = async (
    source: Transformer & { parallelPatchEmbed: boolean },
    v: number,
    name: "weight" | "bias",
  ) => {
    const all = await read(tokenNames(source, v)[name]);
    const length = all.length / inputsOf(source).length;
    return source.parallelPatchEmbed ? all.subarray(v * length, (v + 1) * length) : all;
  };
  const both = ["weight", "bias"] as const;
  if (!to.parallelPatchEmbed) {
    return places.flatMap((place, v) =>
      both.map((name): Ways[number] => {
        const own = tokenNames(to, v)[name];
        return [
          own,
          async () => (place === undefined ? fresh(own) : (await part(from, place, name)).slice()),
        ];
      }),
    );
  }
  return both.map((name): Ways[number] => {
    const own = tokenNames(to, 0)[name];
    return [
      own,
      async () => {
        const values = fresh(own);
        const length = values.length / places.length;
        for (const [v, place] of places.entries()) {
          if (place !== undefined) values.set(await part(from, place, name), v * length);
        }
        return values;
      },
    ];
  });
}

/** The common patch embedding of a ViT, [D, V, p, p]. */
function patchEmbedding(
  from: VitConfig,
  to: VitConfig,
  { read, fresh }: Pick<Adaptation, "read" | "fresh">,
): Ways {
  const name = "patch_embed.proj.weight";
  const places = placesOf(to.inputs, from.inputs);
  const rows = Array.from({ length: to.embedDim }, (_, d) =>
    places.map((place) => (place === undefined ? undefined : d * from.inputs.length + place)),
  ).flat();
  return [[name, async () => movedRows(await read(name), fresh(name), rows)]];
}

function variableEmbeddings({ from, to, read, fresh }: Adaptation): Ways {
  if (from.type === "vit" || to.type === "vit") return [];
  const rows = placesOf(inputsOf(to), inputsOf(from));
  return [["var_embed", async () => movedRows(await read("var_embed"), fresh("var_embed"), rows)]];
}

function gridOf(config: Transformer): [number, number] {
  const { rows, columns } = modelSizes(config);
  return [rows, columns];
}

function positions({ from, to, read }: Adaptation): Ways {
  const [found, wanted] = [gridOf(from), gridOf(to)];
  if (found.join() === wanted.join()) return [];
  const resized = async () => resizePositions(await read("pos_embed"), to.embedDim, found, wanted);
  return [["pos_embed", resized]];
}

/** Whether the heads are of one kind and size, so that their outputs can be told apart by name. */
function sameHead(from: Transformer, to: Transformer): boolean {
  if (from.type === "projection" || to.type === "projection") {
    return from.type === to.type && from.gridShape.join() === to.gridShape.join();
  }
  return from.decoderDepth === to.decoderDepth;
}

function head({ from, to, read, fresh }: Adaptation): Ways {
  if (!sameHead(from, to)) return [];
  const places = placesOf(outputsOf(to), outputsOf(from));
  const known = outputsOf(from).length;
  if (to.type === "projection") {
    const points = to.gridShape[0] * to.gridShape[1]; // of each output its points lie together
    const rows = places.flatMap((place) =>
      Array.from({ length: points }, (_, i) => (place === undefined ? undefined : place * points + i)),
    );
    return ["head.weight", "head.bias"].map((name) => [
      name,
      async () => movedRows(await read(name), fresh(name), rows),
    ]);
  }
  const { patchValues } = modelSizes(to);
  const rows = Array.from(
    { length: patchValues },
    (_, k) => places.map((place) => (place === undefined ? undefined : k * known + place)), // the variable changes fastest
  ).flat();
  const parts = ["weight", "bias"];
  const hidden = Array.from({ length: to.decoderDepth }, (_, i) =>
    parts.map((part): Ways[number] => [`head.${2 * i}.${part}`, () => read(`head.${2 * i}.${part}`)]),
  ).flat();
  const last = parts.map((part): Ways[number] => {
    const name = `head.${2 * to.decoderDepth}.${part}`;
    return [name, async () => movedRows(await read(name), fresh(name), rows)];
  });
  return [...hidden, ...last];
}

/** Rows of `values`, each replaced by one of `source` where there is such. */
function movedRows(
  source: Float32Array,
  values: Float32Array,
  rows: readonly (number | undefined)[],
): Float32Array {
  const length = values.length / rows.length;
  for (const [row, place] of rows.entries()) {
    if (place !== undefined) values.set(source.subarray(place * length, (place + 1) * length), row * length);
  }
  return values;
}

function reportOf({ from, to }: Adaptation, anew: readonly string[]): string[] {
  const lines: string[] = [];
  const say = (what: string, names: Iterable<string>): void => {
    const list = [...new Set(names)];
    if (list.length > 0) lines.push(`${what}: ${list.join(", ")}`);
  };
  const [found, wanted] = [gridOf(from), gridOf(to)];
  if (found.join() !== wanted.join()) {
    lines.push(`positions resized, bicubic: ${found.join(" x ")} patches to ${wanted.join(" x ")}`);
  }
  const without = (list: readonly string[], other: readonly string[]) =>
    list.filter((name) => !other.includes(name));
  if ((from.type === "vit") === (to.type === "vit")) {
    say("new inputs, from scratch", without(inputsOf(to), inputsOf(from)));
    say("inputs left out", without(inputsOf(from), inputsOf(to)));
  }
  if (sameHead(from, to)) {
    say("new outputs, from scratch", without(outputsOf(to), outputsOf(from)));
    say("outputs left out", without(outputsOf(from), outputsOf(to)));
  }
  if (from.type !== "projection" && to.type !== "projection" && from.residual !== to.residual) {
    const [was, is] = [from, to].map(({ residual }) => (residual ? "changes" : "states"));
    lines.push(`the head was trained to predict ${was}, and now predicts ${is}`);
  }
  say(
    "new parts, from scratch",
    anew.map((name) => name.replace(/\..*/, "")),
  );
  return lines;
}
