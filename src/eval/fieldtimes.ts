/** The forecasts that a variable holds: which initial times and leads, and where each of them lies. */
import type { CfTime } from "../data/time.ts";

export interface FieldTimes {
  /** Each once, in the order of the file. */
  readonly initial: readonly CfTime[];
  /** Hours; each once, in the order of the file. */
  readonly leads: readonly number[];
  /** The dimensions of the variable along which its forecasts lie: two, one, or none. */
  readonly dimensions: readonly string[];
  /** A forecast that is there twice, if there is one: an initial time, a lead, or both. */
  readonly twice: { readonly time?: CfTime; readonly lead?: number } | undefined;
  /** The index along each of `dimensions`; undefined: no such forecast. */
  at(initialSeconds: number, leadHours: number): readonly number[] | undefined;
}

/** Every initial time with every lead. */
export function product(
  initialDimension: string | undefined,
  initial: readonly CfTime[],
  leadDimension: string | undefined,
  leads: readonly number[],
): FieldTimes {
  const times = new Map(initial.map((time, i) => [time.seconds, i]));
  const hours = new Map(leads.map((lead, j) => [lead, j]));
  const time = initial.find(({ seconds }, i) => times.get(seconds) !== i);
  const lead = leads.find((lead, j) => hours.get(lead) !== j);
  return {
    initial,
    leads,
    dimensions: [initialDimension, leadDimension].filter((name) => name !== undefined),
    twice: time ? { time } : lead === undefined ? undefined : { lead },
    at(initialSeconds, leadHours) {
      const [i, j] = [times.get(initialSeconds), hours.get(leadHours)];
      if (i === undefined || j === undefined) return undefined;
      return [...(initialDimension === undefined ? [] : [i]), ...(leadDimension === undefined ? [] : [j])];
    },
  };
}

/** Single forecasts, each with its own place along the dimensions. */
export function pairs(
  dimensions: readonly string[],
  list: readonly { readonly time: CfTime; readonly lead: number; readonly at: readonly number[] }[],
): FieldTimes {
  const places = new Map<number, Map<number, readonly number[]>>();
  const initial = new Map<number, CfTime>();
  let twice: FieldTimes["twice"];
  for (const { time, lead, at } of list) {
    initial.set(time.seconds, time);
    const own = places.get(time.seconds) ?? new Map<number, readonly number[]>();
    places.set(time.seconds, own);
    if (own.has(lead)) twice ??= { time, lead };
    else own.set(lead, at);
  }
  return {
    initial: [...initial.values()],
    leads: [...new Set(list.map(({ lead }) => lead))],
    dimensions,
    twice,
    at: (initialSeconds, leadHours) => places.get(initialSeconds)?.get(leadHours),
  };
}
