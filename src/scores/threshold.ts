/** Thresholds beside values of a field. */
import type { Field } from "./metric.ts";

/**
 * A threshold as the values of a field are rounded: 303.15 in a file of float32 is a little less, and yet not below
 * 303.15.
 */
export function roundedAs(field: Field, threshold: number): number {
  return field instanceof Float32Array ? Math.fround(threshold) : threshold;
}
