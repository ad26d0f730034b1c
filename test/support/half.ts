/** The nearest f16, ties to even; infinite beyond 65 504. */
export function half(x: number): number {
  const exponent = Math.max(-14, Math.floor(Math.log2(Math.abs(x) || 1)));
  const unit = 2 ** (exponent - 10);
  const steps = x / unit;
  const near = Math.round(steps);
  const even = Math.abs(steps - Math.trunc(steps)) === 0.5 && near % 2 !== 0 ? near - 1 : near;
  const rounded = even * unit;
  return Math.abs(rounded) > 65504 ? Math.sign(x) * Number.POSITIVE_INFINITY : rounded;
}
