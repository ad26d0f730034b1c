/** Words over the maps of a picture: what all of them share stands once, as its title; the rest over each. */
import { addHours, type CfTime } from "../data/time.ts";
import type { Region } from "../grid/regions.ts";
import { fieldTitle, withUnits } from "../plot/words.ts";
import type { Field } from "../scores/metric.ts";
import type { Instant, PlotSource } from "./plotsource.ts";
import { leadTitle, momentTitle, regionTitle, whenTitle } from "./plotwords.ts";

/** One map. */
export interface Card {
  readonly variable: string;
  readonly at: Instant;
  readonly role: "forecast" | "truth" | "error";
  /** Of the part that is shown, in the units of the file. */
  readonly values: Field;
  /** Of an error; NaN where no truth is known. */
  readonly rmse?: number;
}

/** When a field is valid. */
export const momentOf = ({ times }: PlotSource, { time, leadHours }: Instant): CfTime =>
  addHours(times[time]!, leadHours);

/** The title of the picture, and of each map; an empty one where the picture's says all. */
export function titlesOf(
  cards: readonly Card[],
  source: PlotSource,
  what: "state" | "anomaly" | "error",
): { title: string; panels: string[] } {
  const several = new Set(cards.map(({ role }) => role)).size > 1;
  const parts = cards.map(({ variable, at, role, rmse }) => {
    const anomaly = what === "anomaly" ? " anomaly" : "";
    const still = source.times.length === 0 || source.isConstant(variable);
    return {
      what: `${fieldTitle(variable)}${several ? "" : role === "error" ? " error" : anomaly}`,
      when: still ? "" : whenTitle(momentOf(source, at), at.leadHours, source.averageHours),
      // Beside a role, "forecast" need not be said again.
      short: still ? "" : shortWhen(role, at, source),
      role: several ? `${role}${role === "error" ? "" : anomaly}` : "",
      score: rmse === undefined ? "" : `RMSE ${rounded(rmse, source.units.get(variable)!)}`,
    };
  });
  const [first] = parts as [(typeof parts)[number]];
  const same = (key: "what" | "when") => parts.every((part) => part[key] === first[key]);
  const title = join([same("what") ? first.what : "", same("when") ? first.when : ""]);
  return {
    title: title === "" ? (source.system ?? fileNames(source.paths)) : capital(title),
    panels: parts.map(({ what, when, short, role, score }) =>
      capital(join([role, same("what") ? "" : what, same("when") ? "" : several ? short : when, score])),
    ),
  };
}

function shortWhen(role: Card["role"], at: Instant, source: PlotSource): string {
  const moment = momentTitle(momentOf(source, at));
  if (role === "truth" || at.leadHours === 0) return moment;
  return role === "error" ? leadTitle(at.leadHours) : `${leadTitle(at.leadHours)}, valid ${moment}`;
}

/** What a picture shows, as far as its titles do not say. */
export interface Origin {
  /** Of the picture. */
  readonly title: string;
  readonly member: number | "mean";
  readonly region: Region | undefined;
  readonly definition: string;
  /** What anomalies are from. */
  readonly usualLabel: string | undefined;
  /** Whether a map shows less than what an RMSE is over, as that of a pole. */
  readonly cropped: boolean;
}

/** Where it is from. */
export function subtitleOf(instants: readonly Instant[], source: PlotSource, how: Origin): string {
  const { system, times, members, paths, synthetic, truthPath } = source;
  const initial = new Set(instants.map(({ time }) => time));
  const from = initial.size === 1 && times[instants[0]!.time];
  const ensemble =
    how.member === "mean"
      ? `mean of ${members} members`
      : `member ${how.member} (counted from 0) of ${members}`;
  return [
    synthetic ? "SYNTHETIC weather, simulated" : "",
    // A system without a name of its own goes by that of its file.
    system === undefined || system === how.title || fileNames(paths).startsWith(`${system}.`) ? "" : system,
    source.kind === "forecast" && from ? `from ${momentTitle(from)}` : "",
    members === 1 ? "" : ensemble,
    how.region ? regionTitle(how.region) : "",
    how.usualLabel === undefined ? "" : `anomalies from ${how.usualLabel}`,
    truthPath === undefined
      ? fileNames(paths)
      : `${fileNames(paths)} against ${fileNames(truthPath.split(", "))}, RMSE ${how.cropped ? "over the whole grid " : ""}as ${how.definition} defines it`,
  ]
    .filter((part) => part !== "")
    .join("; ");
}

const join = (words: readonly string[]) => words.filter((word) => word !== "").join(", ");

const capital = (words: string) => words.replace(/^./, (first) => first.toUpperCase());

const rounded = (value: number, units: string) => withUnits(Number(value.toPrecision(3)), units);

/** "a.nc", "a.nc and 3 more" */
function fileNames(paths: readonly string[]): string {
  const first = paths[0]!.replace(/\/+$/, "").split("/").at(-1)!;
  return paths.length === 1 ? first : `${first} and ${paths.length - 1} more`;
}
