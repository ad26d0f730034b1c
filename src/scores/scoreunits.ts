/** The units of scores. */
import type { MetricInfo } from "./metric.ts";

/**
 * The unit of a score as CF writes it: "1", that of the variable, its square ("m s-1" gives "m2 s-2"), or metres times
 * its square ("m3 s-2"). An unknown unit, "", stays unknown.
 */
export function scoreUnits(unit: MetricInfo["unit"], ofVariable = ""): string {
  if (unit === "none") return "1";
  if (unit === "variable" || ofVariable === "") return ofVariable;
  const powers = new Map<string, number>();
  if (ofVariable !== "1") {
    for (const factor of ofVariable.trim().split(/\s+/)) {
      const [, symbol, power = "1"] = /^([A-Za-z%]+)(-?\d+)?$/.exec(factor) ?? [];
      // Words, not a product of units: "(0 - 1)".
      if (symbol === undefined) return unit === "squared" ? `(${ofVariable})^2` : `m (${ofVariable})^2`;
      powers.set(symbol, (powers.get(symbol) ?? 0) + 2 * Number(power));
    }
  }
  if (unit === "energy") {
    const length = (powers.get("m") ?? 0) + 1;
    powers.delete("m");
    return written([["m", length], ...powers]);
  }
  return written([...powers]);
}

function written(powers: readonly [string, number][]): string {
  const factors = powers.filter(([, power]) => power !== 0);
  if (factors.length === 0) return "1";
  return factors.map(([symbol, power]) => (power === 1 ? symbol : `${symbol}${power}`)).join(" ");
}
