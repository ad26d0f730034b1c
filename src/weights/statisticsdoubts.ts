// Whether a mean and a deviation can be those of a variable in its units. Wrong units would spoil every forecast
// without a word.
import { gravity, knownName } from "../data/variables.ts";
import { ClimaxError } from "../errors.ts";

interface Given {
  readonly mean: number;
  readonly std: number;
  readonly from: string;
}

/**
 * Refuses what is no mean or no deviation, and numbers that a variable of the table cannot have, with the likely reason.
 *
 * @throws ClimaxError "data"
 */
export function checkStatistics(name: string, { mean, std, from }: Given): void {
  for (const [what, value, wrong] of [
    ["mean", mean, !Number.isFinite(mean)],
    ["deviation", std, !(Number.isFinite(std) && std > 0)],
  ] as const) {
    if (!wrong) continue;
    const wanted = what === "mean" ? "a number" : "a number above 0";
    throw new ClimaxError(
      "data",
      `statistics of ${from}: the ${what} of ${name} is ${value}; wanted ${wanted}`,
      `leave ${name} out of it, or list a source that has it before it`,
    );
  }
  const known = knownName(name);
  if (!known) return;
  const { info, level } = known;
  const [low, high] = info.bounds;
  const refuse = (what: string, hint: string): never => {
    throw new ClimaxError("data", `statistics of ${from}: ${name} has ${what} in ${info.units}`, hint);
  };
  if (info.name === "geopotential" && level !== undefined && isHeight(mean, level)) {
    refuse(
      `a mean of ${mean}, which is its height in metres, not geopotential`,
      "multiply mean and std by 9.80665",
    );
  }
  if (info.name === "relative_humidity" && (level ?? 1000) >= 200 && mean <= 1.2 && std <= 0.6) {
    refuse(`a mean of ${mean}, which is a fraction, not percent`, "multiply mean and std by 100");
  }
  if (mean < low || mean > high) {
    const celsius = info.units === "K" && mean + 273.15 >= low && mean + 273.15 <= high;
    refuse(
      `a mean of ${mean}, where values lie in ${low}..${high}`,
      celsius ? "it is degrees Celsius: add 273.15 to the mean" : `convert mean and std to ${info.units}`,
    );
  }
  // No values in an interval deviate from their mean by more than half of it (Popoviciu). A prepared set gives 1 to a
  // field that does not vary.
  if (std > (high - low) / 2 && std !== 1) {
    refuse(
      `a deviation of ${std}, where values lie in ${low}..${high}`,
      info.name === "orography"
        ? "it is geopotential: divide mean and std by 9.80665"
        : `convert mean and std to ${info.units}`,
    );
  }
}

/** Whether a mean is nearer to the height of a pressure level in the standard atmosphere than to its geopotential. */
function isHeight(mean: number, level: number): boolean {
  const expected = gravity * standardHeight(level);
  return Math.abs(mean * gravity - expected) < Math.abs(mean - expected);
}

/** Height of a pressure level, hPa, in the ICAO standard atmosphere, m; isothermal above 226 hPa. */
function standardHeight(level: number): number {
  const troposphere = (288.15 / 0.0065) * (1 - (level / 1013.25) ** 0.190263);
  return level >= 226.321 ? troposphere : 11000 + 6341.62 * Math.log(226.321 / level);
}
