/**
 * A run of the evaluation up to where scores are made of it: what was scored, and the statistics of it. Shares of a run
 * (`--shard`) merge into the run that one process would have had.
 */
import { isDeepStrictEqual } from "node:util";
import { type Share, shareName } from "../data/share.ts";
import { ClimaxError } from "../errors.ts";
import type { DefinitionName } from "../scores/definitions.ts";
import { mergeStatistics } from "../scores/mergestatistics.ts";
import type { Provenance, ScoreDocument } from "../scores/scoredocument.ts";
import type { Statistics } from "../scores/statistics.ts";

/** All that a score document says beside the scores; plain values, so that a file can hold them. */
export interface RunFacts {
  readonly version: string;
  readonly bench: string;
  readonly definition: DefinitionName;
  readonly anomalies: string | null;
  readonly climatology: string | null;
  readonly averageHours: number | null;
  readonly initialTimes: readonly [string, string];
  readonly validTimes: readonly [string, string];
  readonly systems: ScoreDocument["systems"];
  readonly truth: readonly string[];
  readonly synthetic: boolean;
  /** Units by ClimaX name. */
  readonly units: Readonly<Record<string, string>>;
  /** How the user wrote the regions; the first is all that the forecasts cover. */
  readonly regions: readonly string[];
  /** What the first region is called: "global", or the region of the forecasts. */
  readonly whole: string;
  /** Fraction of land in each cell [H * W]; null: not known. */
  readonly land: readonly number[] | null;
  readonly files: Provenance["files"];
}

export interface Run {
  readonly facts: RunFacts;
  readonly statistics: Statistics;
  /** What the user should know beside the numbers. */
  readonly notes: readonly string[];
  readonly share: Share | undefined;
}

/** A share of a run, and the file that it is from. */
export interface Part {
  readonly path: string;
  readonly run: Run;
}

/**
 * Puts the shares of one run together, in whatever order.
 *
 * @throws ClimaxError "config" for shares of different runs, a share that is there twice, and those that are lacking
 */
export function mergeRuns(parts: readonly Part[]): Run {
  const [first] = parts as [Part];
  const byIndex = new Map<number, Part>();
  const count = first.run.share!.count;
  for (const part of parts) {
    const { facts, share } = part.run;
    if (share!.count !== count) {
      throw new ClimaxError(
        "config",
        `${part.path} is share ${shareName(share!)}, ${first.path} share ${shareName(first.run.share!)}`,
        "merge shares of one run: the same N in every --shard I/N",
      );
    }
    const other = difference(first.run.facts, facts);
    if (other !== undefined) {
      throw new ClimaxError(
        "config",
        `${part.path} and ${first.path} are shares of two runs: they differ in ${other}`,
        "make all shares with the same command line but for --shard and --part, and the same files",
      );
    }
    const twin = byIndex.get(share!.index);
    if (twin) {
      throw new ClimaxError(
        "config",
        `${twin.path} and ${part.path} are both share ${shareName(share!)}`,
        "give each share once",
      );
    }
    byIndex.set(share!.index, part);
  }
  const indices = Array.from({ length: count }, (_, i) => i + 1);
  const lacking = indices.filter((index) => !byIndex.has(index));
  if (lacking.length > 0) {
    throw new ClimaxError(
      "config",
      `of ${count} shares ${byIndex.size} were given; ${lacking.map((index) => `${index}/${count}`).join(", ")} ${lacking.length === 1 ? "is" : "are"} lacking`,
      `make ${lacking.length === 1 ? "it" : "them"} with --shard ${lacking[0]}/${count} --part FILE, or give all the files`,
    );
  }
  const ordered = indices.map((index) => byIndex.get(index)!.run);
  return {
    facts: first.run.facts,
    statistics: mergeStatistics(ordered.map(({ statistics }) => statistics)),
    notes: [...new Set(ordered.flatMap(({ notes }) => notes))],
    share: undefined,
  };
}

const words: Readonly<Record<keyof RunFacts, string>> = {
  version: "the version of climax",
  bench: "the bench",
  definition: "the definition",
  anomalies: "what anomalies are taken from",
  climatology: "the climatology",
  averageHours: "the hours that fields are means over",
  initialTimes: "the initial times",
  validTimes: "the valid times",
  systems: "the systems",
  truth: "the truth",
  synthetic: "whether weather is simulated",
  units: "the variables or their units",
  regions: "the regions",
  whole: "the region of the forecasts",
  land: "the land mask",
  files: "the files that were read",
};

function difference(a: RunFacts, b: RunFacts): string | undefined {
  const keys = Object.keys(words) as (keyof RunFacts)[];
  const key = keys.find((key) => !isDeepStrictEqual(a[key], b[key]));
  return key && words[key];
}
