// The bind groups of a device, found again by kernel and the memory of their tensors: the pool hands a step the same
// buffers as the step before, so that in the long run none is made.
import { size, type Tensor } from "./tensor.ts";
import type { Texels } from "./texels.ts";

/**
 * Bind groups kept: a training step of the paper's model uses 620. Each takes lavapipe a mapping of memory, and holds on
 * to buffers, which are mappings too; Linux gives a process 65 530 of these, and where one more fails lavapipe crashes.
 */
const MOST = 8192;

interface Known {
  /** The kernel's number, then of each tensor its storage's id, its offset and its bytes. */
  readonly places: readonly number[];
  readonly group: GPUBindGroup;
  /** Another of the same hash. */
  readonly next: Known | undefined;
}

/**
 * Places of the kernel and the tensors at hand, as in `Known`. Numbers alone: a step looks up hundreds, and a string
 * costs more.
 */
const places: number[] = [];
/** How many numbers of `places` are theirs. */
let length = 0;

/** Tensors by the names that a kernel gives them. */
export type Bound = Readonly<Record<string, Tensor | Texels>>;

export class BindGroups {
  readonly #known = new Map<number, Known>();

  /**
   * @param kernel  its number: no other kernel of the device has it
   * @param make    makes one that is not there yet
   */
  of(kernel: number, tensors: Bound, make: (tensors: Bound) => GPUBindGroup): GPUBindGroup {
    const hash = locate(kernel, tensors);
    for (let one = this.#known.get(hash); one; one = one.next) if (isHere(one)) return one.group;
    // Shapes that keep changing would fill memory for ever; those still in use are soon there again.
    if (this.#known.size >= MOST) this.#known.clear();
    const group = make(tensors);
    this.#known.set(hash, { places: places.slice(0, length), group, next: this.#known.get(hash) });
    return group;
  }
}

/** Fills `places`, and returns their hash (FNV-1a, by words). */
function locate(kernel: number, tensors: Bound): number {
  let hash = Math.imul(0x811c9dc5 ^ kernel, 0x01000193);
  length = 1;
  places[0] = kernel;
  for (const name in tensors) {
    const { storage, offset, shape, type } = tensors[name]!;
    const bytes = boundBytes(shape, type);
    places[length++] = storage.id;
    places[length++] = offset;
    places[length++] = bytes;
    hash = Math.imul(hash ^ storage.id, 0x01000193);
    hash = Math.imul(hash ^ offset, 0x01000193);
    hash = Math.imul(hash ^ bytes, 0x01000193);
  }
  return hash;
}

function isHere(known: Known): boolean {
  if (known.places.length !== length) return false;
  for (let i = 0; i < length; i++) if (known.places[i] !== places[i]) return false;
  return true;
}

/** Whole vec4s, in which kernels read. */
export function boundBytes(shape: Tensor["shape"], type: Tensor["type"]): number {
  return 16 * Math.ceil(((type === "f16" ? 2 : 4) * size(shape)) / 16);
}
