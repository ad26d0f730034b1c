/** The scores of one model for its card, from the documents of `climax evaluate --json`. */
import { ClimaxError } from "../errors.ts";
import { isBaseline } from "../scores/baselinenames.ts";
import { readScores } from "../scores/readscores.ts";
import type { ReportRow, ScoreDocument } from "../scores/scoredocument.ts";
import type { CardScore, CardScores } from "../weights/cardschema.ts";

/**
 * Reads documents of scores, each of one model beside baselines.
 *
 * @throws ClimaxError "data" for a file that holds no scores, "config" where it does not say which system the model is
 */
export async function cardScores(paths: readonly string[]): Promise<CardScores[]> {
  const all: CardScores[] = [];
  for (const path of paths) all.push(scoresOf(path, await readScores(path)));
  return all;
}

function scoresOf(path: string, document: ScoreDocument): CardScores {
  const system = modelIn(path, document);
  const rows = document.rows.filter((row) => row.system === system && row.source === "measured");
  const tests = new Map<string, Map<string, Verdict>>();
  for (const row of document.differences) {
    const forwards = row.system === system;
    if (!forwards && row.versus !== system) continue;
    const [own, other] = forwards ? ["system", "versus"] : ["versus", "system"];
    const verdict: Verdict =
      row.better === null
        ? "not tested"
        : row.better === "tie"
          ? "tie"
          : row.better === own
            ? "better"
            : "worse";
    const key = placeOf(row);
    if (!tests.has(key)) tests.set(key, new Map());
    tests.get(key)!.set(row[other as "system" | "versus"], verdict);
  }
  const others = new Map<string, ReportRow[]>();
  for (const row of document.rows) {
    if (row.system === system || row.source !== "measured") continue;
    const key = placeOf(row);
    others.set(key, [...(others.get(key) ?? []), row]);
  }
  const { intervals, definition, provenance } = document;
  return {
    path,
    system,
    made: [...(document.systems.find(({ name }) => name === system)?.made ?? [])],
    bench: document.bench,
    definition: { ...definition },
    climatology: document.climatology,
    truth: [...document.truth],
    grid: document.grid,
    initialTimes: [...document.initial_times],
    validTimes: [...document.valid_times],
    intervals: intervals && `${Math.round(100 * intervals.level)} %, ${intervals.method}`,
    synthetic: document.synthetic,
    command: provenance.command,
    created: provenance.created,
    climax: provenance.version,
    notes: [...document.notes],
    rows: rows.map((row): CardScore => {
      const key = placeOf(row);
      const { metric, variable, region, season, value, low, high, units, samples } = row;
      return {
        ...{ metric, variable, leadHours: row.lead_hours, region, season, value, low, high, units, samples },
        beside: (others.get(key) ?? []).map((other) => ({
          with: other.system,
          value: other.value,
          verdict: tests.get(key)?.get(other.system) ?? "not tested",
        })),
      };
    }),
  };
}

type Verdict = CardScore["beside"][number]["verdict"];

const placeOf = ({
  metric,
  variable,
  lead_hours,
  region,
  season,
}: Pick<ReportRow, "metric" | "variable" | "lead_hours" | "region" | "season">) =>
  [metric, variable, lead_hours, region, season].join("\n");

/** The one system of a document that has forecasts and is no baseline. */
function modelIn(path: string, { systems }: ScoreDocument): string {
  const scored = systems.filter(({ name }) => !isBaseline(name));
  // What climax made without a checkpoint is a baseline too, e.g. bilinear interpolation.
  const trained = scored.filter(({ made }) => made.some((maker) => maker.includes(", checkpoint ")));
  const models = (trained.length > 0 ? trained : scored).map(({ name }) => name);
  if (models.length === 1) return models[0]!;
  throw new ClimaxError(
    "config",
    models.length === 0
      ? `${path} scores no model, only baselines`
      : `${path} scores ${models.length} models (${models.join(", ")}), and does not say which of them this card is of`,
    "give scores of this model's forecasts alone: climax evaluate --forecast ITS_FORECASTS --json scores.json",
  );
}
