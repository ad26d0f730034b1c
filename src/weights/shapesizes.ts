// The sizes of a network of ClimaX's family from the shapes of its tensors, each of which several tensors must agree on.
//
// V variables, L patches of p x p points, D width of a token, T years of a projection.
import { ClimaxError } from "../errors.ts";

export interface Sizes {
  readonly V: number;
  readonly L: number;
  readonly D: number;
  readonly patchSize: number;
  readonly depth: number;
  /** Hidden layers of the head; 0 for a projection, whose head has none. */
  readonly decoderDepth: number;
  readonly mlpRatio: number;
  readonly parallelPatchEmbed: boolean;
  /** T, of a projection; undefined for ClimaX itself. */
  readonly history: number | undefined;
  /** Values that the last layer of a projection makes; undefined where it is missing. */
  readonly headOutputs: number | undefined;
  /** What no tensor shows, for the user, one line each. */
  readonly assumed: readonly string[];
}

type Shapes = ReadonlyMap<string, readonly number[]>;

/** The ratio of the paper, for a network without blocks; and its head, for weights without one. */
const PAPER = { mlpRatio: 4, decoderDepth: 2 };

/**
 * Sizes from shapes.
 *
 * @param shapes  by the reference's names
 * @param path    of the file, for errors
 * @throws        ClimaxError "checkpoint" if tensors disagree, or those that show a size are missing
 */
export function sizesOf(shapes: Shapes, path: string): Sizes {
  const assumed: string[] = [];
  const agree = (what: string, sources: readonly Source[]) => agreed(path, shapes, what, sources);
  const D = agree("D, the width of a token", [
    ["var_embed", [1, "*", "?"]],
    ["pos_embed", [1, "*", "?"]],
    ["norm.weight", ["?"]],
    ["blocks.0.norm1.weight", ["?"]],
    ["var_query", [1, 1, "?"]],
  ]);
  const L = agree("positions", [["pos_embed", [1, "?", D]]]);
  const tokens = patchEmbeddings(path, shapes, D);
  const V = agree("variables", [
    ["var_embed", [1, "?", D]],
    ...(tokens.parallel ? ([["token_embeds.proj_weights", ["?", D, 1, "*", "*"]]] as const) : []),
  ]);
  if (tokens.count > V) {
    damaged(path, `it has patch embeddings of ${tokens.count} variables, but var_embed is for ${V}`);
  }
  const depth = runOf(path, shapes, /^blocks\.(\d+)\./, "block");
  const hidden =
    depth > 0 ? agree("the MLP's hidden width", [["blocks.0.mlp.fc1.weight", ["?", D]]]) : PAPER.mlpRatio * D;
  const projects = ["time_query", "time_agg.in_proj_weight", "head.weight"].some((name) => shapes.has(name));
  return {
    ...{ V, L, D, depth, assumed },
    patchSize: tokens.p,
    parallelPatchEmbed: tokens.parallel,
    mlpRatio: ratio(hidden, D),
    decoderDepth: projects ? 0 : decoderDepthOf(path, shapes, assumed),
    history: projects ? agree("years", [["time_pos_embed", [1, "?", D]]]) : undefined,
    headOutputs:
      projects && shapes.has("head.weight") ? agree("the head", [["head.weight", ["?", D]]]) : undefined,
  };
}

function damaged(path: string, what: string): never {
  throw new ClimaxError(
    "checkpoint",
    `${path} is no sound ClimaX: ${what}`,
    "save the whole state dict of the network again, and take care that it is of one model",
  );
}

/** A tensor that shows a size: "?" stands in its place, "*" for any number. */
type Source = readonly [name: string, shape: readonly (number | "?" | "*")[]];

/** The size that those of the tensors which are there show. */
function agreed(path: string, shapes: Shapes, what: string, sources: readonly Source[]): number {
  let first: { name: string; size: number } | undefined;
  for (const [name, pattern] of sources) {
    const shape = shapes.get(name);
    if (!shape) continue;
    const fits =
      shape.length === pattern.length &&
      pattern.every((wanted, i) => typeof wanted === "string" || wanted === shape[i]) &&
      shape.every((n) => n > 0);
    if (!fits) {
      const words = pattern.map((n) => (n === "?" ? "n" : n === "*" ? "any" : n)).join(", ");
      damaged(path, `"${name}" is [${shape.join(", ")}], expected [${words}]`);
    }
    const size = shape[pattern.indexOf("?")]!;
    if (first && first.size !== size) {
      damaged(path, `"${first.name}" says ${first.size} for ${what}, "${name}" says ${size}`);
    }
    first ??= { name, size };
  }
  if (first) return first.size;
  return damaged(path, `nothing in it shows ${what}: "${sources[0]![0]}" is missing`);
}

function patchEmbeddings(path: string, shapes: Shapes, D: number) {
  const parallel = shapes.has("token_embeds.proj_weights") || shapes.has("token_embeds.proj_biases");
  const count = runOf(path, shapes, /^token_embeds\.(\d+)\./, "patch embedding");
  if (parallel && count > 0) {
    damaged(
      path,
      "it has patch embeddings in both forms, token_embeds.proj_weights and token_embeds.0.proj.weight",
    );
  }
  const square = (name: string, before: readonly (number | "*")[]): number => {
    const sides = [0, 1].map((axis) => {
      const pattern = [...before, "*", "*"] as (number | "?" | "*")[];
      pattern[before.length + axis] = "?";
      return agreed(path, shapes, "the side of a patch", [[name, pattern]]);
    });
    if (sides[0] !== sides[1]) {
      damaged(path, `"${name}" is for patches of ${sides.join(" x ")} points; only square ones can be`);
    }
    return sides[0]!;
  };
  if (parallel) {
    const p = square("token_embeds.proj_weights", ["*", D, 1]);
    return { p, parallel, count: 0 };
  }
  return { p: square("token_embeds.0.proj.weight", [D, 1]), parallel, count };
}

/** How many things the file numbers from 0 on, none of them left out. */
function runOf(path: string, shapes: Shapes, pattern: RegExp, what: string): number {
  const numbers = new Set<number>();
  for (const name of shapes.keys()) {
    const found = pattern.exec(name)?.[1];
    if (found !== undefined) numbers.add(Number(found));
  }
  for (let i = 0; i < numbers.size; i++) {
    if (!numbers.has(i)) damaged(path, `it has ${what} ${largest(numbers)}, but no ${what} ${i}`);
  }
  return numbers.size;
}

function decoderDepthOf(path: string, shapes: Shapes, assumed: string[]): number {
  const places = new Set<number>();
  for (const name of shapes.keys()) {
    const found = /^head\.(\d+)\.weight$/.exec(name)?.[1];
    if (found !== undefined) places.add(Number(found));
  }
  if (places.size === 0) {
    assumed.push(`a head of ${PAPER.decoderDepth} hidden layers, the paper's, as the file has none`);
    return PAPER.decoderDepth;
  }
  const last = largest(places);
  for (let i = 0; i < places.size; i++) {
    if (!places.has(2 * i)) {
      damaged(path, `its head has a layer ${last}, but none at ${2 * i}; GELUs stand between, at odd places`);
    }
  }
  return last / 2;
}

function largest(numbers: Iterable<number>): number {
  let most = Number.NEGATIVE_INFINITY;
  for (const number of numbers) most = Math.max(most, number);
  return most;
}

/** The ratio that int(D * ratio) makes the hidden width of. */
function ratio(hidden: number, D: number): number {
  const plain = hidden / D;
  return Math.trunc(D * plain) === hidden ? plain : plain * (1 + Number.EPSILON);
}
