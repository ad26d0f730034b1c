// Grids to patches, patches to tokens, tokens back to grids.
//
// B batch, V variables, H latitude, W longitude, p patch side, N = B (H/p)(W/p) patches, D width of a token. A patch
// of one variable is K = p p + 1 numbers: its values and a 1, so that one matrix holds weights, biases and variable
// embeddings. Rows of patches are padded with zeros to C, a multiple of 4, which the fast matrix products want.
import { needsGradient, record } from "../engine/autograd.ts";
import { expectShape, type Kernel, kernel, run, threads } from "../engine/kernel.ts";
import { table } from "../engine/table.ts";
import { clear, empty, size, type Tensor, zeros } from "../engine/tensor.ts";
import { product } from "./product.ts";

const patchifies = kernel("patchembed.wgsl", "patchify");
const patchifiesBack = kernel("patchembed.wgsl", "patchify_backward");
const packs = kernel("patchembed.wgsl", "pack");
const unpacksValues = kernel("patchembed.wgsl", "unpack_values");
const unpacksRows = kernel("patchembed.wgsl", "unpack_rows");
const unpatchifies = kernel("patchembed.wgsl", "unpatchify");
const unpatchifiesBack = kernel("patchembed.wgsl", "unpatchify_backward");

/** C, the padded length of a row of patches. */
export function patchColumns(V: number, p: number): number {
  return 4 * Math.ceil((V * (p * p + 1)) / 4);
}

const unused = { D: 0, C: 0, ones: 1 };

/**
 * Cuts fields into patches.
 *
 * @param x  [B, V, H, W]; p divides H and W
 * @returns  [N, C]: for each variable p p values, row by row, and a 1
 */
export function patchify(x: Tensor, p: number): Tensor {
  return cut(x, p, patchColumns(x.shape[1]!, p), 1);
}

/**
 * Cuts fields into patches of values alone: what a p x p convolution of stride p sees at each step.
 *
 * @param x  [B, V, H, W]; p divides H and W
 * @returns  [N, V p p]: for each variable p p values, row by row
 */
export function patchifyPlain(x: Tensor, p: number): Tensor {
  return cut(x, p, x.shape[1]! * p * p, 0);
}

function cut(x: Tensor, p: number, C: number, ones: number): Tensor {
  const [B, V, H, W] = x.shape as readonly [number, number, number, number];
  const patches = empty(x.gpu, [(B * H * W) / (p * p), C]);
  const params = { ...unused, B, V, H, W, p, C, ones };
  run(patchifies, { x, patches }, params, threads(size(patches.shape)));
  return record(patches, [x], (dpatches) => {
    const dx = empty(x.gpu, x.shape);
    run(patchifiesBack, { dpatches, dx }, params, threads(size(x.shape)));
    return [dx];
  });
}

/** The tensors that embed one variable: a row of `weight` and `bias`, and one of the variable embeddings. */
export interface PatchWeights {
  /** [D, 1, p, p], or [V_all, D, 1, p, p] of which `row` is meant. */
  readonly weight: Tensor;
  /** [D], or [V_all, D]. */
  readonly bias: Tensor;
  readonly row: number;
  /** The row of the variable embeddings. */
  readonly id: number;
}

/**
 * Collects what embeds the V variables at hand in one matrix E, so that a patch times its part of E is its token.
 *
 * @param parts     one for each variable, in the order of the input
 * @param varEmbed  [1, V_all, D]
 * @param p         side of a patch
 * @returns         [C, D], rows K v to K v + p p - 1 the weights of variable v, the next its bias and embedding
 */
export function patchBasis(parts: readonly PatchWeights[], varEmbed: Tensor, p: number): Tensor {
  const { gpu } = varEmbed;
  const D = varEmbed.shape.at(-1)!;
  const V = parts.length;
  const K = p * p + 1;
  const C = patchColumns(V, p);
  for (const { weight, bias } of parts) {
    expectShape("patchBasis", "weight", weight, [...weight.shape.slice(0, -4), D, 1, p, p]);
    expectShape("patchBasis", "bias", bias, [...weight.shape.slice(0, -4), D]);
  }
  const basis = empty(gpu, [C, D]);
  if (C > V * K) clear({ ...basis, offset: basis.offset + 4 * V * K * D, shape: [C - V * K, D] });
  const params = { ...unused, B: 0, V, H: 0, W: 0, p, C, D };
  const values = p * p;
  for (const slots of together(parts, ({ weight, bias }) => `${weight.storage.id} ${bias.storage.id}`)) {
    const [weight, bias] = [
      span(slots.map(([, part]) => part.weight)),
      span(slots.map(([, part]) => part.bias)),
    ];
    const words = slots.flatMap(([slot, part]) => [
      slot,
      floatsFrom(weight, part.weight) + part.row * D * values,
      floatsFrom(bias, part.bias) + part.row * D,
      part.id * D,
    ]);
    const tensors = { weight, bias, embed: varEmbed, parts: table(gpu, words), basis };
    run(packs, tensors, params, [threads(D), slots.length, 1]);
  }
  // In the parallel form all variables share one weight and one bias: each is an input once.
  const inputs = [...new Set([varEmbed, ...parts.flatMap(({ weight, bias }) => [weight, bias])])];
  return record(basis, inputs, (dbasis) => {
    const sums = new Map(inputs.map((input) => [input, input.grad ?? zeros(gpu, input.shape)]));
    const unpack = (unpacks: Kernel, pick: (part: PatchWeights) => [Tensor, number]): void => {
      const targets = parts.map((part): Target => {
        const [input, start] = pick(part);
        return { sum: sums.get(input)!, start };
      });
      for (const slots of together(targets, inTurns())) {
        const dtarget = span(slots.map(([, { sum }]) => sum));
        const words = slots.flatMap(([slot, { sum, start }]) => [slot, floatsFrom(dtarget, sum) + start]);
        run(unpacks, { dbasis, targets: table(gpu, words), dtarget }, params, [threads(D), slots.length, 1]);
      }
    };
    unpack(unpacksValues, ({ weight, row }) => [weight, row * D * values]);
    unpack(unpacksRows, ({ bias, row }) => [bias, row * D]);
    unpack(unpacksRows, ({ id }) => [varEmbed, id * D]);
    return inputs.map((input) => (input.grad ? null : sums.get(input)!));
  });
}

/** Where the gradient of one variable is added: so many floats into a sum. */
interface Target {
  readonly sum: Tensor;
  readonly start: number;
}

/** Names the buffer of a target and how often the target came before: one dispatch adds to no place twice. */
function inTurns(): (target: Target) => string {
  const before = new Map<string, number>();
  return ({ sum, start }) => {
    const place = `${sum.storage.id} ${sum.offset + 4 * start}`;
    const times = before.get(place) ?? 0;
    before.set(place, times + 1);
    return `${sum.storage.id} ${times}`;
  };
}

/** Those of one key together, each with its place in the list. */
function together<T>(list: readonly T[], key: (entry: T) => string): [number, T][][] {
  const groups = new Map<string, [number, T][]>();
  for (const [i, entry] of list.entries()) {
    const name = key(entry);
    const group = groups.get(name);
    if (group) group.push([i, entry]);
    else groups.set(name, [[i, entry]]);
  }
  return [...groups.values()];
}

/** From the first to the last of tensors of one storage, as one. */
function span(tensors: readonly Tensor[]): Tensor {
  const { gpu, storage } = tensors[0]!;
  const offset = Math.min(...tensors.map((t) => t.offset));
  const end = Math.max(...tensors.map((t) => t.offset + 4 * size(t.shape)));
  return { gpu, storage, offset, shape: [(end - offset) / 4] };
}

function floatsFrom(whole: Tensor, part: Tensor): number {
  return (part.offset - whole.offset) / 4;
}

/**
 * The tokens of all variables: each patch times its part of E, with bias and variable embedding.
 *
 * @param patches  [N, C] of `patchify`
 * @param basis    [C, D] of `patchBasis`
 * @param V        variables
 * @param p        side of a patch
 * @returns        [N, V, D]
 */
export function patchEmbed(patches: Tensor, basis: Tensor, V: number, p: number): Tensor {
  const { gpu } = patches;
  const [N, C] = patches.shape as readonly [number, number];
  const D = basis.shape[1]!;
  const K = p * p + 1;
  expectShape("patchEmbed", "patches", patches, [N, patchColumns(V, p)]);
  expectShape("patchEmbed", "basis", basis, [C, D]);
  const tokens = empty(gpu, [N, V, D]);
  product({
    ...{ M: N, N: D, K, batch: [1, V] },
    a: { tensor: patches, row: C, inner: K },
    b: { tensor: basis, row: D, inner: K * D },
    c: { tensor: tokens, row: V * D, inner: D },
  });
  const patchesNeedGradient = needsGradient(patches);
  return record(tokens, [patches, basis], (dtokens) => {
    const dpatches = patchesNeedGradient ? zeros(gpu, patches.shape) : null;
    if (dpatches) {
      product({
        ...{ M: N, N: K, K: D, batch: [1, V] },
        a: { tensor: dtokens, row: V * D, inner: D },
        b: { tensor: basis, row: D, inner: K * D, transposed: true },
        c: { tensor: dpatches, row: C, inner: K },
      });
    }
    const dbasis = zeros(gpu, basis.shape);
    product({
      ...{ M: K, N: D, K: N, batch: [1, V] },
      a: { tensor: patches, row: C, inner: K, transposed: true },
      b: { tensor: dtokens, row: V * D, inner: D },
      c: { tensor: dbasis, row: D, inner: K * D },
    });
    return [dpatches, dbasis];
  });
}

/**
 * Puts predicted patches back on the grid.
 *
 * @param tokens  [B (H/p)(W/p), p p V], the variable changing fastest
 * @param shape   [B, V, H, W]
 * @returns       of that shape
 */
export function unpatchify(
  tokens: Tensor,
  shape: readonly [number, number, number, number],
  p: number,
): Tensor {
  const { gpu } = tokens;
  const [B, V, H, W] = shape;
  expectShape("unpatchify", "tokens", tokens, [(B * H * W) / (p * p), p * p * V]);
  const params = { ...unused, B, V, H, W, p };
  const grid = empty(gpu, shape);
  run(unpatchifies, { tokens, grid }, params, threads(size(shape)));
  return record(grid, [tokens], (dgrid) => {
    const dtokens = empty(gpu, tokens.shape);
    run(unpatchifiesBack, { dgrid, dtokens }, params, threads(size(shape)));
    return [dtokens];
  });
}
