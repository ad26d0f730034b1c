/**
 * The definitions of a score that are in use, each under its name. They differ in how cells are weighted, in the
 * order of root and mean, and in what an anomaly is: numbers of two definitions do not belong in one column.
 */
import { unknownName } from "../errors.ts";
import { cellAreaWeights, type Grid, latitudeWeights } from "../grid/grid.ts";

export interface Definition {
  readonly name: DefinitionName;
  /** Weight of each row of cells: cos(latitude) or the true area of a cell; both with mean 1 over the rows. */
  readonly weights: "cosine of latitude" | "cell area";
  /** RMSE: the root of each forecast's error and then the mean over forecasts, or the root of the mean. */
  readonly rmse: "mean of roots" | "root of mean";
  /**
   * ACC: one ratio over all forecasts after the unweighted mean anomaly is taken away ("pooled, centred"), or
   * the mean over forecasts of each one's own ratio, nothing taken away ("per forecast").
   */
  readonly acc: "pooled, centred" | "per forecast";
  /** What anomalies are taken from if the user does not say: the mean of the truth that is scored on, or a climatology. */
  readonly anomalies: "evaluation" | "climatology";
  /** One sentence for the reader of a table. */
  readonly description: string;
  readonly source: string;
}

const names = ["climax", "weatherbench1", "weatherbench2"] as const;
export type DefinitionName = (typeof names)[number];

/** Every definition `--definition` knows, the default first: the published rows of ClimaX were made with it. */
export const definitionNames: readonly DefinitionName[] = names;

const table: Record<DefinitionName, Definition> = {
  climax: {
    name: "climax",
    weights: "cosine of latitude",
    rmse: "mean of roots",
    acc: "pooled, centred",
    anomalies: "evaluation",
    description:
      "cos(latitude) weights; RMSE: root per forecast, then the mean; ACC: pooled over all forecasts, " +
      "unweighted mean anomaly removed",
    source: "ClimaX, arXiv 2301.10343, equations 3 to 5, and microsoft/ClimaX src/climax/utils/metrics.py",
  },
  weatherbench1: {
    name: "weatherbench1",
    weights: "cosine of latitude",
    rmse: "root of mean",
    acc: "pooled, centred",
    anomalies: "evaluation",
    description:
      "cos(latitude) weights; RMSE: root of the mean over all forecasts; ACC: pooled over all forecasts, " +
      "unweighted mean anomaly removed",
    source: "WeatherBench, Rasp et al. 2020, and pangeo-data/WeatherBench src/score.py",
  },
  weatherbench2: {
    name: "weatherbench2",
    weights: "cell area",
    rmse: "root of mean",
    acc: "per forecast",
    anomalies: "climatology",
    description:
      "cell-area weights; RMSE: root of the mean over all forecasts; ACC: per forecast, then the mean, no mean removed",
    source: "WeatherBench 2, Rasp et al. 2024, and google-research/weatherbench2 metrics.py",
  },
};

/** The definition of that name; a `config` error names the known ones. */
export function definition(name: string): Definition {
  return names.includes(name as DefinitionName)
    ? table[name as DefinitionName]
    : unknownName("definition", name, names);
}

/** Weight of every cell [H * W] under a definition, mean 1 over the sphere's cells. */
export function cellWeights(grid: Grid, { weights }: Definition): Float64Array {
  const rows = weights === "cell area" ? cellAreaWeights(grid) : latitudeWeights(grid);
  const W = grid.lon.length;
  return Float64Array.from({ length: rows.length * W }, (_, i) => rows[Math.floor(i / W)]!);
}
