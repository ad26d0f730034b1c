// Numbers for people, in ASCII.

/** Five digits, or all whole ones: 101616 as "101620" would look exact. Powers of ten where plain digits are long. */
export function numberText(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(4).replace(/\.?0+e/, "e");
  return String(size >= 1e5 ? Math.round(value) : Number(value.toPrecision(5)));
}
