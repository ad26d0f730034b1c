/** A small document of scores: two forecasts and a climatology, with confidence limits, and a published row. */
import { hash32 } from "../../src/data/hash.ts";
import { reduce } from "../../src/scores/reduce.ts";
import type { ReportRow, ScoreDocument, Scores } from "../../src/scores/scoredocument.ts";
import { every, leadOf, reduceOptions, seriesOf, statisticsOf, wholeGlobe } from "./tinystatistics.ts";

/** Of "ours" errors are small, of "theirs" somewhat larger, of "climatology" much larger. */
const levels = { ours: 1, theirs: 1.2, climatology: 3 } as const;

/** Scores of 40 forecasts at 24 and 72 hours, over the globe and a region, of the year and its winter. */
export function tinyScores(): Scores {
  const valid = every(24, 40, "2018-02-01");
  const regions = ["global", "tropics"];
  const leads = [24, 72].map((leadHours) =>
    leadOf(valid, {
      leadHours,
      series: Object.entries(levels).flatMap(([system, level], s) =>
        regions.flatMap((region) =>
          ["rmse", "bias"].map((metric) => {
            const numbers = valid.map((_, i) => level * (leadHours / 24) + hash32(s, i, leadHours) / 2 ** 33);
            return seriesOf(system, metric, numbers, region);
          }),
        ),
      ),
      cells: ["ours", "theirs"].map((system, s) => ({
        ...{ system, metric: "maps", size: 3, forecasts: 40 },
        sums: Float64Array.from({ length: 12 }, (_, i) => (i < 8 ? 40 * (s + 1) * leadHours : 40)),
        rest: new Float64Array(12),
      })),
      profiles: [
        {
          ...{ system: "ours", metric: "spectrum", region: "global", size: 5, forecasts: 40 },
          sums: Float64Array.of(40, 80, 120, 160, 40),
          rest: new Float64Array(5),
        },
      ],
    }),
  );
  const { maps, notes, ...reduced } = reduce(
    statisticsOf(leads, { regions }),
    reduceOptions({
      regions: regions.map((name) => ({ name, cells: wholeGlobe })),
      seasons: ["all", "DJF"],
      versus: "climatology",
      bootstrap: { resamples: 200, level: 0.95, block: undefined, seed: 0 },
    }),
  );
  const published: ReportRow = {
    ...reduced.rows[0]!,
    system: "IFS (published)",
    definition: "climax",
    value: 0.9,
    low: null,
    high: null,
    samples: null,
    source: "published: a paper, Table 1",
  };
  const document: ScoreDocument = {
    format: "climax-scores",
    version: 2,
    bench: "weatherbench",
    definition: { name: "weatherbench2", description: "cell-area weights", source: "a paper" },
    anomalies: null,
    climatology: "mean of the training period",
    average_hours: null,
    initial_times: ["2018-01-29T00:00:00", "2018-03-11T00:00:00"],
    valid_times: ["2018-02-01T00:00:00", "2018-03-12T00:00:00"],
    grid: "2 x 2",
    systems: [
      { name: "ours", files: ["ours.nc"], members: 4, made: ["climax 0.1.0, on a test"] },
      { name: "theirs", files: ["theirs.nc"], members: 1, made: [] },
      { name: "climatology", files: [], members: 1, made: [] },
    ],
    truth: ["set"],
    versus: "climatology",
    synthetic: false,
    notes: ["a note"],
    provenance: {
      command: "climax evaluate ours.nc theirs.nc --truth set",
      version: "0.1.0",
      created: "2026-01-01T00:00:00.000Z",
      machine: "linux x64, Node 20.20.2",
      files: [{ path: "ours.nc", bytes: 10, sha256: "00ff" }],
    },
    ...reduced,
    rows: [...reduced.rows, published],
  };
  return { document, maps };
}
