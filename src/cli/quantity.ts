// Amounts with units, as people write them: 432MB, 200gbit, 5us.
import { z } from "zod";

const powers: Readonly<Record<string, number>> = { "": 0, k: 1, m: 2, g: 3, t: 4 };

/** Bytes: `432MB` and `432e6` are of 1000, `412MiB` of 1024. Undefined for what is none. */
export function parseBytes(text: string): number | undefined {
  const found = /^([\d.]+(?:e\d+)?) ?(?:([kmgt]?)(i?)B)?$/i.exec(text.trim());
  return found ? scaled(found[1]!, found[2] ?? "", found[3] ? 1024 : 1000) : undefined;
}

/** Bytes a second, from `200gbit`, `200 Gbit/s`, `25GB/s`; `Gb` could be either, and is none. */
export function parseRate(text: string): number | undefined {
  const found = /^([\d.]+(?:e\d+)?) ?([kmgtKMGT]?)(i?)(bit|Bit|B|bps)(\/s)?$/.exec(text.trim());
  if (!found) return undefined;
  const [, number = "", power = "", binary, unit] = found;
  return scaled(number, power, binary ? 1024 : 1000) / (unit === "B" ? 1 : 8);
}

/** Seconds, from `5us`, `5 µs`, `0.3ms`, `2s`. */
export function parseSeconds(text: string): number | undefined {
  const found = /^([\d.]+(?:e-?\d+)?) ?(ns|us|[µμ]s|ms|s)$/.exec(text.trim());
  if (!found) return undefined;
  const parts = { n: 1e9, u: 1e6, µ: 1e6, μ: 1e6, m: 1e3, s: 1 }[found[2]![0]!]!;
  return Number(found[1]) / parts;
}

const scaled = (number: string, power: string, base: number): number =>
  Number(number) * base ** powers[power.toLowerCase()]!;

/** A field that takes such an amount as text. */
const quantity = (parse: (text: string) => number | undefined, wanted: string, least = Number.MIN_VALUE) =>
  z.string().transform((text, { addIssue }) => {
    const value = parse(text) ?? Number.NaN;
    if (value >= least && Number.isFinite(value)) return value;
    addIssue({ code: "custom", message: `wanted ${wanted}` });
    return z.NEVER;
  });

export const bytesField = quantity(parseBytes, "bytes, like 432MB or 412MiB");
export const rateField = quantity(parseRate, "bits or bytes a second, like 200gbit or 25GB/s");
/** No time at all is one. */
export const secondsField = quantity(parseSeconds, "a time, like 5us or 0.3ms", 0);
