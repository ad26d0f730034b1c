/** Which of many files holds the forecast of a variable from an initial time for a lead. Grows with the forecasts once. */
import { type CfTime, formatTime } from "../data/time.ts";
import type { FileFacts } from "./filefacts.ts";

/** Where a forecast lies: a file, and its initial time and lead in it. */
export interface Place {
  readonly file: FileFacts;
  readonly initialIndex: number;
  readonly leadIndex: number;
}

/** Forecasts of variables that come together, by initial time in seconds, then lead in hours. */
interface Table {
  readonly variables: ReadonlySet<string>;
  readonly places: Map<number, Map<number, Place>>;
}

export interface ForecastIndex {
  find(variable: string, initial: CfTime, leadHours: number): Place | undefined;
  /** A forecast of a file that is here from another one, in words, and that other file. */
  clash(file: FileFacts): { readonly forecast: string; readonly other: FileFacts } | undefined;
  add(file: FileFacts): void;
}

/** An empty one. */
export function forecastIndex(): ForecastIndex {
  /** Few: by the names of their variables. */
  const tables = new Map<string, Table>();
  const byVariable = new Map<string, Table[]>();
  return {
    find(variable, { seconds }, leadHours) {
      for (const { places } of byVariable.get(variable) ?? []) {
        const place = places.get(seconds)?.get(leadHours);
        if (place) return place;
      }
      return undefined;
    },
    clash(file) {
      for (const { variables, has } of file.groups) {
        for (const table of tables.values()) {
          const variable = variables.find((name) => table.variables.has(name));
          if (variable === undefined) continue;
          for (const [i, time] of file.initial.entries()) {
            const there = table.places.get(time.seconds);
            const j = there ? file.leads.findIndex((lead, j) => there.has(lead) && has(i, j)) : -1;
            if (j < 0) continue;
            const lead = file.leads[j]!;
            const forecast = `${variable} from ${formatTime(time)} for ${lead} h`;
            return { forecast, other: there!.get(lead)!.file };
          }
        }
      }
      return undefined;
    },
    add(file) {
      for (const { variables, has } of file.groups) {
        const key = [...variables].sort().join(" ");
        const table = tables.get(key) ?? { variables: new Set(variables), places: new Map() };
        if (!tables.has(key)) {
          tables.set(key, table);
          for (const name of variables) byVariable.set(name, [...(byVariable.get(name) ?? []), table]);
        }
        for (const [initialIndex, time] of file.initial.entries()) {
          const own = table.places.get(time.seconds) ?? new Map<number, Place>();
          for (const [leadIndex, lead] of file.leads.entries()) {
            if (has(initialIndex, leadIndex)) own.set(lead, { file, initialIndex, leadIndex });
          }
          if (own.size > 0) table.places.set(time.seconds, own);
        }
      }
    },
  };
}
