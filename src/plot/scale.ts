/** From numbers to places on an axis, and the numbers that stand beside it. */
import { ClimaxError } from "../errors.ts";
import { raised } from "./words.ts";

export interface Axis {
  /** With units: `RMSE [K]`. */
  readonly label: string;
  readonly log?: boolean;
  /** Where the numbers stand, instead of at round ones. */
  readonly ticks?: readonly number[];
  /** Whether the axis begins at 0; not with `log`. */
  readonly zero?: boolean;
}

export interface Scale {
  /** Place of a value, px. */
  at(value: number): number;
  readonly ticks: readonly number[];
  /** What stands at each tick. */
  readonly labels: readonly string[];
  readonly low: number;
  readonly high: number;
}

/**
 * A scale over the values, a little wider than they are.
 *
 * @param from, to  places of its low and high end, px
 * @throws          ClimaxError "data" for values that are not finite, or not positive on a log axis
 */
export function makeScale(values: readonly number[], axis: Axis, from: number, to: number): Scale {
  const bad = values.find((value) => !Number.isFinite(value) || (axis.log && value <= 0));
  if (bad !== undefined || values.length === 0) {
    throw new ClimaxError(
      "data",
      values.length === 0
        ? `there is nothing to draw over the axis "${axis.label}"`
        : `found ${bad} to draw on the ${axis.log ? "logarithmic " : ""}axis "${axis.label}"`,
      axis.log ? "leave it out, or draw on a linear axis" : "leave it out",
    );
  }
  const all = [...values, ...(axis.zero && !axis.log ? [0] : [])];
  const [least, most] = [Math.min(...all), Math.max(...all)];
  return axis.log ? logScale(least, most, axis, from, to) : linearScale(least, most, axis, from, to);
}

function linearScale(least: number, most: number, { ticks, zero }: Axis, from: number, to: number): Scale {
  const flat = least === most;
  const pad = flat ? Math.abs(most) / 2 || 1 : 0.05 * (most - least);
  const low = zero && least === 0 ? 0 : least - pad;
  const high = zero && most === 0 ? 0 : most + pad;
  const placed = ticks ?? linearTicks(low, high, 6);
  return {
    at: (value) => from + ((value - low) / (high - low)) * (to - from),
    ticks: placed,
    labels: tickLabels(placed),
    low,
    high,
  };
}

function logScale(least: number, most: number, { ticks }: Axis, from: number, to: number): Scale {
  const pad = least === most ? 1.5 : (most / least) ** 0.06;
  const [low, high] = [least / pad, most * pad];
  const placed = ticks ?? logTicks(low, high);
  return {
    at: (value) => from + (Math.log(value / low) / Math.log(high / low)) * (to - from),
    ticks: placed,
    labels: tickLabels(placed),
    low,
    high,
  };
}

/** Multiples of 1, 2, 2.5 or 5 times a power of ten in [low, high], about `count` of them. */
export function linearTicks(low: number, high: number, count: number): number[] {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough * (1 - 1e-9)) ?? 10 * power;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  // Through decimal text: 3 * 0.1 is 0.30000000000000004.
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Round numbers in [low, high], evenly spread over its logarithm: 3 to 8 of them wherever there are as many. */
export function logTicks(low: number, high: number): number[] {
  const decades = Math.log10(high / low);
  const powers = Array.from({ length: Math.ceil(decades) + 2 }, (_, i) => Math.floor(Math.log10(low)) + i);
  const every = (mantissas: readonly number[], apart = 1) =>
    powers
      .filter((power) => power % apart === 0)
      .flatMap((power) => mantissas.map((m) => Number(`${m}e${power}`)))
      .filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
  const choices = [
    every([1], 4),
    every([1], 2),
    every([1]),
    every([1, 3]),
    every([1, 2, 5]),
    every([1, 1.5, 2, 3, 4, 5, 7]),
  ];
  const enough = choices.find((ticks) => ticks.length >= 4 && ticks.length <= 9);
  // Over less than a factor of about two the logarithm is nearly straight.
  return enough ?? linearTicks(low, high, 5).filter((value) => value > 0);
}

/** All with the decimals that the finest needs; powers of ten where plain digits would be long. */
export function tickLabels(ticks: readonly number[]): string[] {
  const sizes = ticks.filter((value) => value !== 0).map(Math.abs);
  const long = Math.max(...sizes) >= 1e5 || Math.min(...sizes) < 1e-3;
  if (sizes.length > 0 && long) return ticks.map(powerOfTen);
  const decimals = Math.max(0, ...ticks.map(decimalsOf));
  return ticks.map((value) =>
    value.toFixed(isEvenlySpaced(ticks) ? decimals : decimalsOf(value)).replace("-", "−"),
  );
}

function isEvenlySpaced(ticks: readonly number[]): boolean {
  const steps = ticks.slice(1).map((value, i) => value - ticks[i]!);
  return steps.every((step) => Math.abs(step - steps[0]!) < 1e-9 * Math.abs(steps[0]!));
}

function decimalsOf(value: number): number {
  const [digits = "", power = "0"] = value.toExponential().split("e");
  return Math.max(0, (digits.split(".")[1]?.length ?? 0) - Number(power));
}

function powerOfTen(value: number): string {
  if (value === 0) return "0";
  const [mantissa = "", power = "0"] = Number(value.toPrecision(6)).toExponential().split("e");
  const ten = `10${raised(Number(power))}`;
  return mantissa === "1" ? ten : `${mantissa.replace("-", "−")}×${ten}`;
}
