// Random numbers that are a function of (seed, stream, step): no state to save, none to lose.

/** Names one draw of random numbers: the same three numbers give the same values, on every adapter. */
export interface Draw {
  readonly seed: number;
  /** Which of the step's draws. */
  readonly stream: number;
  /** Which optimiser step, or micro-batch of it. */
  readonly step: number;
  /** Which sample of the batch the tensor begins with: parts of a batch draw what the whole would. */
  readonly sample: number;
}

/** Hands out the draws of one step in the order of its ops. */
export class Random {
  readonly #seed: number;
  readonly #step: number;
  readonly #sample: number;
  #stream = 0;

  constructor(seed: number, step: number, sample = 0) {
    this.#seed = seed >>> 0;
    this.#step = step >>> 0;
    this.#sample = sample;
  }

  /** Another source that hands out what this one would from here on, for tensors that begin with that sample. */
  copy(sample = this.#sample): Random {
    const copy = new Random(this.#seed, this.#step, sample);
    copy.#stream = this.#stream;
    return copy;
  }

  next(): Draw {
    return { seed: this.#seed, stream: this.#stream++, step: this.#step, sample: this.#sample };
  }
}

/** pcg4d of Jarzynski and Olano 2020 (JCGT 9(3)): four random words from four counters, as kernels/dropout.wgsl has it. */
export function pcg4d(counters: readonly [number, number, number, number]): Uint32Array {
  const v = Uint32Array.from(counters, (word) => Math.imul(word, 1664525) + 1013904223);
  const mix = (): void => {
    v[0]! += Math.imul(v[1]!, v[3]!);
    v[1]! += Math.imul(v[2]!, v[0]!);
    v[2]! += Math.imul(v[0]!, v[1]!);
    v[3]! += Math.imul(v[1]!, v[2]!);
  };
  mix();
  for (let i = 0; i < 4; i++) v[i]! ^= v[i]! >>> 16;
  mix();
  return v;
}
