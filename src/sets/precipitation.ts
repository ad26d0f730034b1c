// Rain: over which time its numbers are sums or means, and sums over a time that is asked for. The unit does not tell:
// ERA5's hourly total_precipitation is metres fallen in one hour at six-hourly steps too, CMIP6's pr is a mean rate.

import type { Archive, ArchiveVariable } from "../data/archive.ts";
import { usualStep } from "../data/timestep.ts";
import { findVariable } from "../data/variables.ts";
import { ClimaxError } from "../errors.ts";
import type { AttributeValue } from "../files/dataset.ts";

const amount = findVariable("total_precipitation")!;
const rate = findVariable("mean_total_precipitation_rate")!;
export const rainNames: readonly string[] = [amount.name, rate.name];

/** Metres of water in 1 kg m-2: 1000 kg m-3. */
const metres = 1e-3;

/** By the first letter of what an interval may be counted in. Months are left out, which have no one length. */
const hoursIn: Readonly<Record<string, number>> = { d: 24, h: 1, m: 1 / 60, s: 1 / 3600 };
const interval =
  /\btime: \w+[^()]*\((?:[^()]*\s)?interval: ([\d.]+) ?(d|h|min|s)(?:ays?|ours?|rs?|utes?|ec|econds?)?\b/;

/** What a file says of the time that a number of rain stands for: "time: sum (interval: 6 hours)". */
function cellOf(attributes: ReadonlyMap<string, AttributeValue>): {
  method: string | undefined;
  hours: number | undefined;
} {
  const text = String(attributes.get("cell_methods") ?? "");
  const method = /\btime: (\w+)/.exec(text)?.[1];
  const found = interval.exec(text);
  return { method, hours: found ? Number(found[1]) * hoursIn[found[2]![0]!]! : undefined };
}

/** What the numbers of a variable of rain are, for set.json; undefined for other variables. */
export function rainMeaning({
  info,
  attributes,
}: Pick<ArchiveVariable, "info" | "attributes">): string | undefined {
  const { method, hours } = cellOf(attributes);
  if (info === amount)
    return method === "sum" && hours !== undefined
      ? `accumulated over ${hours} h`
      : "accumulated over a time that the files do not say";
  if (info !== rate) return undefined;
  if (method === "point") return "rate at the time";
  return method === "mean" ? "mean rate" : "rate, the files do not say of which time";
}

/**
 * The archive with total_precipitation in metres over `hours`, in place of the sums over a shorter time or the mean
 * rate that it has: the sum over the steps up to each state. States that lack one of these steps are left out.
 *
 * @throws ClimaxError (data) when it has no rain, or rain of which this cannot be made
 */
export function accumulateRain(archive: Archive, hours: number): Archive {
  const sum = archive.variables.get(amount.name);
  const source = sum ?? archive.variables.get(rate.name);
  if (!source)
    throw new ClimaxError(
      "data",
      `--precipitation ${hours}: the files have neither ${amount.name} nor ${rate.name}`,
      "give the files that have rain, or leave out --precipitation",
    );
  const cell = cellOf(source.attributes);
  const step = usualStep(archive.times, [{ steps: archive.times.map((_, i) => i) }]);
  const each = sum ? cell.hours : step;
  const cannot = (why: string, hint: string) =>
    new ClimaxError("data", `--precipitation ${hours}: ${source.name} ${why}`, hint);
  if (sum && (cell.method !== "sum" || each === undefined))
    throw cannot(
      "does not say over how long it is accumulated",
      `if it is an hour: cdo setattribute,NAME@cell_methods="time: sum (interval: 1 hour)" in.nc out.nc`,
    );
  if (cell.method === "point")
    throw cannot("is the rate at a moment, which is no amount", "give mean rates, or amounts");
  if (each === hours && sum) return archive;
  const count = hours / each!;
  if (!(step > 0) || each !== step || !Number.isInteger(count))
    throw cannot(
      `is of ${each} h at every ${step} h, of which no sum over ${hours} h can be made`,
      `choose a multiple of ${each} h, and give all steps in between`,
    );

  // States whose steps are all there, one after the other.
  const kept = archive.times.flatMap((time, i) => {
    const first = archive.times[i - count + 1];
    const whole = first && time.seconds - first.seconds === (count - 1) * step * 3600;
    return whole ? [i] : [];
  });
  if (kept.length === 0) throw cannot(`has nowhere ${count} steps in a row`, "give files without gaps");
  const factor = sum ? 1 : step * 3600 * metres;
  const name = amount.name;
  const total: ArchiveVariable = {
    name,
    info: amount,
    units: amount.units,
    constant: false,
    attributes: new Map([...source.attributes, ["cell_methods", `time: sum (interval: ${hours} hours)`]]),
    read: async (at) => {
      const out = new Float64Array(archive.grid.lat.length * archive.grid.lon.length);
      for (let back = count - 1; back >= 0; back--) {
        const part = await source.read(kept[at]! - back);
        for (let i = 0; i < out.length; i++) out[i]! += part[i]! * factor;
      }
      return Float32Array.from(out);
    },
  };
  const others = [...archive.variables.values()].filter(
    ({ name: other }) => other !== name && other !== source.name,
  );
  const shifted = others.map((variable): ArchiveVariable => {
    if (variable.constant) return variable;
    return { ...variable, read: (at) => variable.read(kept[at]!) };
  });
  const left = archive.times.length - kept.length;
  const how = sum
    ? `the sum of ${count} steps of ${each} h`
    : `${source.name} times ${step} h${count > 1 ? `, the sum of ${count} steps` : ""} (1 kg m-2 of rain is 1 mm)` +
      (cell.method === "mean" ? "" : "; the files do not say that it is a mean, which was assumed");
  return {
    ...archive,
    times: kept.map((i) => archive.times[i]!),
    variables: new Map([...shifted, total].map((variable) => [variable.name, variable])),
    notes: [
      ...archive.notes,
      `${name} over ${hours} h is ${how}`,
      ...(left > 0
        ? [`${left} of ${archive.times.length} states left out, whose ${hours} h of rain are not all there`]
        : []),
    ],
  };
}
