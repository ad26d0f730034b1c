// AdamW's moments of the parameters that are trained: of all, or of one rank's share of them (ZeRO stage 1: Rajbhandari
// et al. 2020, arXiv:1910.02054).
import { keptZeros } from "../engine/arena.ts";
import type { Gpu } from "../engine/device.ts";
import type { Storage } from "../engine/pool.ts";
import type { Span } from "../engine/staging.ts";
import { readAll, size, type Tensor } from "../engine/tensor.ts";
import type { AdamwGroup } from "../ops/adamw.ts";
import { type Bucket, shareOf } from "./buckets.ts";

/** A segment of an arena; its gradients where they are kept. */
interface Segment extends Pick<AdamwGroup, "value" | "decay"> {
  readonly grad?: Tensor;
}

/** What one step takes, laid out alike. */
export type StateGroup = Segment & Pick<AdamwGroup, "m" | "v">;

/** Of what a rank keeps a share. */
export interface Share {
  readonly buckets: readonly Bucket[];
  readonly rank: number;
  readonly size: number;
}

/** Makes room for the moments of whole segments, all zero. */
export function momentsOf(gpu: Gpu, segments: readonly Segment[]): StateGroup[] {
  return segments.map((segment) => ({
    ...segment,
    m: keptZeros(gpu, segment.value.shape),
    v: keptZeros(gpu, segment.value.shape),
  }));
}

/** Makes room for those of a share, side by side for each bucket, all zero. */
export function momentsOfShare(
  gpu: Gpu,
  segments: readonly Segment[],
  { buckets, rank, size: ranks }: Share,
): StateGroup[] {
  const decayOf = new Map<Storage, number>(segments.map(({ value, decay }) => [value.storage, decay]));
  const view = ({ storage, offset, bytes }: Span): Tensor => ({ gpu, shape: [bytes / 4], storage, offset });
  return buckets.flatMap((bucket) => {
    const pieces = shareOf(bucket, rank, ranks);
    if (pieces.length === 0) return [];
    const all = [pieces.reduce((sum, { value }) => sum + value.bytes, 0) / 4];
    const [m, v] = [keptZeros(gpu, all), keptZeros(gpu, all)];
    let offset = 0;
    return pieces.map(({ value, grad }) => {
      const place = { gpu, shape: [value.bytes / 4], offset };
      offset += value.bytes;
      return {
        ...{ value: view(value), grad: view(grad), decay: decayOf.get(value.storage)! },
        ...{ m: { ...place, storage: m.storage }, v: { ...place, storage: v.storage } },
      };
    });
  });
}

/** One parameter with its moments, as whole vec4s, where these groups are whole segments. */
export function groupOf(groups: readonly StateGroup[], parameter: Tensor): AdamwGroup {
  const { gpu, storage, offset } = parameter;
  const { m, v, decay } = groups.find(({ value }) => value.storage === storage)!;
  const shape = [4 * Math.ceil(size(parameter.shape) / 4)];
  const part = (t: Tensor): Tensor => ({ gpu, shape, offset, storage: t.storage });
  const half = parameter.half ? { half: { ...parameter.half, shape } } : {};
  return {
    ...{ value: { ...part(parameter), ...half }, m: part(m), v: part(v), decay },
    get grad() {
      return { ...parameter.grad!, shape }; // some are lent when first asked for
    },
  };
}

/** The parts of one parameter's moments that these groups hold; `from` is the element that a part begins with. */
export function partsOf(
  groups: readonly StateGroup[],
  { gpu, storage, offset, shape }: Tensor,
): { readonly from: number; readonly m: Tensor; readonly v: Tensor }[] {
  const stop = offset + 4 * size(shape);
  return groups
    .filter(({ value }) => value.storage === storage)
    .flatMap(({ value, m, v }) => {
      const first = Math.max(offset, value.offset);
      const end = Math.min(stop, value.offset + 4 * size(value.shape));
      if (first >= end) return [];
      const part = (t: Tensor): Tensor => ({
        ...{ gpu, shape: [(end - first) / 4], storage: t.storage },
        offset: t.offset + first - value.offset,
      });
      return [{ from: (first - offset) / 4, m: part(m), v: part(v) }];
    });
}

/** One parameter's moment, zeros where these groups hold nothing of it. */
export async function readMoment(
  groups: readonly StateGroup[],
  parameter: Tensor,
  which: "m" | "v",
): Promise<Float32Array> {
  const parts = partsOf(groups, parameter);
  const found = parts.length > 0 ? await readAll(parts.map((part) => part[which])) : [];
  const [only] = found;
  const length = size(parameter.shape);
  if (only?.length === length) return only;
  const values = new Float32Array(length);
  for (const [i, { from }] of parts.entries()) values.set(found[i]!, from);
  return values;
}
