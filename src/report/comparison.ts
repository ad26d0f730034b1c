/** One system against another, case by case: a case is a variable at a lead. */
import type { Part, ScoreIndex } from "./scoreindex.ts";
import { betterOf, comparedBy } from "./words.ts";

export interface Case {
  readonly variable: string;
  readonly lead: number;
  /**
   * Of a score that is better when low: the change in percent of the other's score, negative where the system is
   * better. Else the difference of the scores.
   */
  readonly change: number;
  /** Confidence limits of `change`. */
  readonly limits: readonly [low: number, high: number] | undefined;
  /** By a test where there is one, else by the two scores alone. */
  readonly outcome: "better" | "worse" | "tie";
  readonly tested: boolean;
}

/**
 * Cases that both have scored, by variable and lead in the order of the tables.
 *
 * @param versus the other; only against the one that the document's differences stand against is there a test
 */
export function compare(
  index: ScoreIndex,
  system: string,
  versus: string,
  metric: string,
  part: Part,
): Case[] {
  const sign = betterOf(metric) === "low" ? -1 : 1;
  return index.variables(metric).flatMap((variable) =>
    index.leads.flatMap((lead): Case[] => {
      const place = { ...part, metric, variable, lead };
      const [own, other] = [index.row(system, place), index.row(versus, place)];
      if (own?.value == null || other?.value == null) return [];
      const percent = comparedBy(metric) === "percent";
      // Of a score of nought there is no part.
      if (percent && other.value <= 0) return [];
      const scale = percent ? 100 / other.value : 1;
      const row = index.difference(system, place);
      const found = row?.versus === versus && row.difference !== null ? row : undefined;
      const change = scale * (found?.difference ?? own.value - other.value);
      const limits: Case["limits"] =
        found?.low != null && found.high != null ? [scale * found.low, scale * found.high] : undefined;
      const tested = found?.better != null && limits !== undefined;
      const byScores = change === 0 ? "tie" : sign * change > 0 ? "better" : "worse";
      const byTest = found?.better === "system" ? "better" : found?.better === "versus" ? "worse" : "tie";
      return [
        {
          variable,
          lead,
          change,
          limits,
          outcome: tested ? byTest : byScores,
          tested,
        },
      ];
    }),
  );
}

export interface Tally {
  readonly cases: number;
  readonly better: number;
  readonly worse: number;
  readonly tie: number;
  /** How many of the cases a test has decided. */
  readonly tested: number;
}

/** Counts cases by how they came out. */
export function tally(cases: readonly Case[]): Tally {
  const count = (outcome: Case["outcome"]) => cases.filter((one) => one.outcome === outcome).length;
  return {
    cases: cases.length,
    better: count("better"),
    worse: count("worse"),
    tie: count("tie"),
    tested: cases.filter(({ tested }) => tested).length,
  };
}
