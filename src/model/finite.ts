// Whether weights are numbers: asked of every tensor that is read, so it has to be cheap.

/** Values looked at in one call: V8 keeps a loop that it compiles in mid-run slow to its end, so that it is left often. */
const RUN = 65536;

/** Whether no value is NaN or infinite. */
export function allFinite(values: Float32Array): boolean {
  // By their bits: an exponent of all ones. Number.isFinite would make an object of every value.
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let start = 0; start < bits.length; start += RUN) {
    if (!finiteRun(bits, start, Math.min(start + RUN, bits.length))) return false;
  }
  return true;
}

function finiteRun(bits: Uint32Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    if ((bits[i]! & 0x7f800000) === 0x7f800000) return false;
  }
  return true;
}
