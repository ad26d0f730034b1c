/**
 * The discrete Fourier transform of real rows of any length, in f64: Stockham's self-sorting form over the prime factors
 * of the length, 4 taken for 2 x 2. A factor that is a large prime costs its square.
 */

/** Writes F_k = sum_l x_l exp(-2 pi i k l / n) for k = 0 .. n/2 of the row x that begins at `from`. */
export type RealTransform = (
  values: ArrayLike<number>,
  from: number,
  real: Float64Array,
  imaginary: Float64Array,
) => void;

/** A transform of rows of length n; its outputs hold floor(n / 2) + 1 numbers. */
export function realTransform(n: number): RealTransform {
  if (n % 2 === 1) {
    const transform = complexTransform(n);
    return (values, from, real, imaginary) => {
      const { re, im } = transform.input;
      for (let l = 0; l < n; l++) re[l] = values[from + l]!;
      im.fill(0);
      const result = transform.run();
      for (let k = 0; 2 * k <= n; k++) {
        real[k] = result.re[k]!;
        imaginary[k] = result.im[k]!;
      }
    };
  }
  // Even and odd places as real and imaginary parts of a row of half the length: of their transforms E and O,
  // F_k = E_k + exp(-2 pi i k / n) O_k.
  const half = n / 2;
  const transform = complexTransform(half);
  const turn = roots(n);
  return (values, from, real, imaginary) => {
    const { re, im } = transform.input;
    for (let l = 0; l < half; l++) {
      re[l] = values[from + 2 * l]!;
      im[l] = values[from + 2 * l + 1]!;
    }
    const z = transform.run();
    for (let k = 0; k <= half; k++) {
      const a = k % half;
      const b = (half - k) % half;
      const evenRe = (z.re[a]! + z.re[b]!) / 2;
      const evenIm = (z.im[a]! - z.im[b]!) / 2;
      const oddRe = (z.im[a]! + z.im[b]!) / 2;
      const oddIm = (z.re[b]! - z.re[a]!) / 2;
      const c = turn.re[k]!;
      const s = turn.im[k]!;
      real[k] = evenRe + c * oddRe - s * oddIm;
      imaginary[k] = evenIm + c * oddIm + s * oddRe;
    }
  };
}

interface Complex {
  readonly re: Float64Array;
  readonly im: Float64Array;
}

const complex = (n: number): Complex => ({ re: new Float64Array(n), im: new Float64Array(n) });

/** exp(-2 pi i k / n), k = 0 .. n - 1; exact in the quarters. */
function roots(n: number): Complex {
  const { re, im } = complex(n);
  for (let k = 0; k < n; k++) {
    const quarters = (4 * k) / n;
    const angle = (-2 * Math.PI * k) / n;
    re[k] = Number.isInteger(quarters) ? [1, 0, -1, 0][quarters]! : Math.cos(angle);
    im[k] = Number.isInteger(quarters) ? [0, -1, 0, 1][quarters]! : Math.sin(angle);
  }
  return { re, im };
}

/**
 * One stage: of `length` = radix * rest numbers, each at `stride` places, for r = 0 .. radix - 1 and q = 0 .. rest - 1
 *
 *   y[radix q + r] = exp(-2 pi i q r / length) sum_j x[q + rest j] exp(-2 pi i j r / radix)
 */
interface Stage {
  readonly radix: number;
  readonly rest: number;
  readonly stride: number;
  readonly turns: Complex;
  readonly units: Complex;
}

function stagesOf(n: number): Stage[] {
  const stages: Stage[] = [];
  let length = n;
  const divideBy = (radix: number) => {
    for (; length % radix === 0; length /= radix) {
      const [rest, stride] = [length / radix, n / length];
      stages.push({ radix, rest, stride, turns: roots(length), units: roots(radix) });
    }
  };
  divideBy(4);
  divideBy(2);
  for (let radix = 3; length > 1; radix += 2) divideBy(radix);
  return stages;
}

function complexTransform(n: number): { input: Complex; run(): Complex } {
  const stages = stagesOf(n);
  const [input, other] = [complex(n), complex(n)];
  return {
    input,
    run() {
      let [from, to] = [input, other];
      for (const stage of stages) {
        if (stage.radix === 4) four(stage, from, to);
        else if (stage.radix === 2) two(stage, from, to);
        else any(stage, from, to);
        [from, to] = [to, from];
      }
      return from;
    },
  };
}

function two({ rest, stride, turns }: Stage, x: Complex, y: Complex): void {
  const half = rest * stride;
  for (let q = 0; q < rest; q++) {
    const c = turns.re[q]!;
    const s = turns.im[q]!;
    for (let k = 0; k < stride; k++) {
      const a = k + stride * q;
      const b = a + half;
      const to = k + stride * 2 * q;
      const dr = x.re[a]! - x.re[b]!;
      const di = x.im[a]! - x.im[b]!;
      y.re[to] = x.re[a]! + x.re[b]!;
      y.im[to] = x.im[a]! + x.im[b]!;
      y.re[to + stride] = c * dr - s * di;
      y.im[to + stride] = c * di + s * dr;
    }
  }
}

function four({ rest, stride, turns }: Stage, x: Complex, y: Complex): void {
  const quarter = rest * stride;
  for (let q = 0; q < rest; q++) {
    const c1 = turns.re[q]!;
    const s1 = turns.im[q]!;
    const c2 = turns.re[2 * q]!;
    const s2 = turns.im[2 * q]!;
    const c3 = turns.re[3 * q]!;
    const s3 = turns.im[3 * q]!;
    for (let k = 0; k < stride; k++) {
      const at = k + stride * q;
      const to = k + stride * 4 * q;
      const r0 = x.re[at]!;
      const i0 = x.im[at]!;
      const r1 = x.re[at + quarter]!;
      const i1 = x.im[at + quarter]!;
      const r2 = x.re[at + 2 * quarter]!;
      const i2 = x.im[at + 2 * quarter]!;
      const r3 = x.re[at + 3 * quarter]!;
      const i3 = x.im[at + 3 * quarter]!;
      // x_0 +- x_2 and x_1 +- x_3; the latter's difference is turned by -i or i.
      const ar = r0 + r2;
      const ai = i0 + i2;
      const br = r0 - r2;
      const bi = i0 - i2;
      const cr = r1 + r3;
      const ci = i1 + i3;
      const dr = i1 - i3;
      const di = r3 - r1;
      y.re[to] = ar + cr;
      y.im[to] = ai + ci;
      y.re[to + stride] = c1 * (br + dr) - s1 * (bi + di);
      y.im[to + stride] = c1 * (bi + di) + s1 * (br + dr);
      y.re[to + 2 * stride] = c2 * (ar - cr) - s2 * (ai - ci);
      y.im[to + 2 * stride] = c2 * (ai - ci) + s2 * (ar - cr);
      y.re[to + 3 * stride] = c3 * (br - dr) - s3 * (bi - di);
      y.im[to + 3 * stride] = c3 * (bi - di) + s3 * (br - dr);
    }
  }
}

/** A stage of any other radix, by the definition: 3 and 5 as a rule. */
function any({ radix, rest, stride, turns, units }: Stage, x: Complex, y: Complex): void {
  const part = rest * stride;
  for (let q = 0; q < rest; q++) {
    for (let r = 0; r < radix; r++) {
      const c = turns.re[q * r]!;
      const s = turns.im[q * r]!;
      for (let k = 0; k < stride; k++) {
        let re = 0;
        let im = 0;
        let turn = 0; // j * r modulo the radix
        for (let j = 0; j < radix; j++) {
          const at = k + stride * q + part * j;
          re += x.re[at]! * units.re[turn]! - x.im[at]! * units.im[turn]!;
          im += x.im[at]! * units.re[turn]! + x.re[at]! * units.im[turn]!;
          turn += r;
          if (turn >= radix) turn -= radix;
        }
        const to = k + stride * (radix * q + r);
        y.re[to] = c * re - s * im;
        y.im[to] = c * im + s * re;
      }
    }
  }
}
