/** Student's t distribution, as far as confidence limits need it. */

const steps = 400;

/**
 * The t below which a fraction of Student's distribution lies, to 1e-6; of so many degrees of freedom (2 or more, whole
 * or not), or of the normal distribution for infinitely many.
 *
 * With t = sqrt(v) tan(a) its density becomes cos(a)^(v - 1) up to a factor.
 */
export function studentQuantile(fraction: number, degrees: number): number {
  const v = Math.min(degrees, 1e7); // there it is the normal distribution, to 1e-7
  const end = Math.min(Math.PI / 2, 12 / Math.sqrt(v));
  // [steps + 1] the integral from 0 on, by Simpson's rule.
  const density = (angle: number) => Math.exp((v - 1) * Math.log(Math.max(0, Math.cos(angle)))); // 0 past 90 degrees
  const h = end / steps;
  const below = new Float64Array(steps + 1);
  for (let i = 0; i < steps; i++) {
    const [a, b] = [i * h, (i + 1) * h];
    below[i + 1] = below[i]! + (h / 6) * (density(a) + 4 * density((a + b) / 2) + density(b));
  }
  const wanted = 2 * Math.abs(fraction - 0.5) * below[steps]!;
  const i = Math.max(
    1,
    below.findIndex((area) => area >= wanted),
  );
  // Newton from the nearer end of the step: the density hardly changes over it.
  let angle = i * h;
  let area = below[i]!;
  for (let k = 0; k < 4; k++) {
    const next = angle + (wanted - area) / density(angle);
    area += ((next - angle) / 6) * (density(angle) + 4 * density((angle + next) / 2) + density(next));
    angle = next;
  }
  return Math.sign(fraction - 0.5) * Math.sqrt(v) * Math.tan(angle);
}
