// How fast a run is.

/** Samples per second over the last half minute or so. */
export class Meter {
  #since = performance.now();
  #samples = 0;
  rate = 0;

  count(samples: number): void {
    this.#samples += samples;
    const seconds = (performance.now() - this.#since) / 1000;
    // Soon after a pause a rate says nothing: recording is ahead of the device. The last one stands.
    if (seconds > 2 || this.rate === 0) this.rate = this.#samples / Math.max(seconds, 1e-3);
    if (seconds > 30) {
      this.#since += 15_000;
      this.#samples -= 15 * this.rate;
    }
  }

  /** Leaves out the time that validation took. */
  skip(): void {
    this.#since = performance.now();
    this.#samples = 0;
  }
}
