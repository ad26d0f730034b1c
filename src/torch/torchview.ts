// The check that every tensor of a file passes before it exists: a view that lies within its storage.
import { shown } from "./picklereader.ts";
import { type TorchStorage, TorchTensor } from "./torchvalue.ts";

/**
 * Elements that a view may have beyond its storage's own: expanded tensors repeat what they show, and a file of a
 * kilobyte must not become gigabytes. 2^24 is a weight of 64 MB.
 */
export const MOST_REPEATED = 2 ** 24;
const MOST_DIMENSIONS = 64;

/** What a tensor is said to be, in elements. */
export interface ViewOf {
  readonly offset: unknown;
  readonly shape: unknown;
  readonly strides: unknown;
}

/**
 * A tensor over a storage.
 *
 * @param refuse throws, told a clause that names the numbers: from a pickle the spot's own, else a ClimaxError
 * @param part where only a part of the storage may be seen: its first element and the one after its last
 */
export function checkedView(
  storage: TorchStorage,
  { offset, shape, strides }: ViewOf,
  refuse: (found: string) => never,
  part: readonly [number, number] = [0, storage.length],
): TorchTensor {
  if (!isCount(offset)) refuse(`a tensor begins at element ${said(offset)}`);
  for (const [what, list] of [
    ["shape", shape],
    ["list of strides", strides],
  ] as const) {
    if (Array.isArray(list) && list.length > MOST_DIMENSIONS) {
      refuse(`a tensor has ${list.length} dimensions, and torch knows at most ${MOST_DIMENSIONS}`);
    }
    if (!Array.isArray(list) || !list.every(isCount)) refuse(`the ${what} of a tensor is ${said(list)}`);
  }
  const [sizes, steps] = [shape as readonly number[], strides as readonly number[]];
  const view = `a tensor of shape [${sizes}] with strides [${steps}] from element ${offset}`;
  if (sizes.length !== steps.length) refuse(`${view} has not one stride for each dimension`);
  const elements = sizes.reduce((product, n) => product * n, 1);
  const tensor = new TorchTensor(storage, part[0] + (offset as number), sizes, steps);
  if (sizes.includes(0)) return tensor;
  const last = sizes.reduce((sum, n, d) => sum + (n - 1) * steps[d]!, tensor.offset);
  if (!(last < part[1])) {
    refuse(
      `${view} reaches element ${last - part[0]} of a storage of ${part[1] - part[0]} (${storage.dtype})`,
    );
  }
  if (elements > Math.max(part[1] - part[0], MOST_REPEATED)) {
    refuse(`${view} repeats the ${part[1] - part[0]} elements of its storage until they are ${elements}`);
  }
  return tensor;
}

/** Elements of a tensor. */
export function elementsOf({ shape }: TorchTensor): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** A number of elements, or the place of one. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function said(value: unknown): string {
  if (Array.isArray(value)) {
    const some = value.slice(0, 8).map((item) => (typeof item === "object" ? "?" : shown(String(item))));
    return `[${some}${value.length > 8 ? ",..." : ""}]`;
  }
  return typeof value === "object" ? "no number" : shown(String(value));
}
