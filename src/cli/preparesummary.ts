/** What climax prepare says of the set that it made. */
import { describeStep } from "../data/timestep.ts";
import { bytesText } from "../files/bytes.ts";
import { describeGrid, makeGrid } from "../grid/grid.ts";
import type { PrepareResult } from "../sets/growset.ts";
import { type Manifest, splitNames } from "../sets/manifest.ts";
import { table } from "./table.ts";

export function summary(dir: string, { manifest, bytes }: PrepareResult): string {
  const { grid, splits, calendar, synthetic, dtype } = manifest;
  const periods = splitNames.flatMap((name) => {
    const split = splits[name];
    return split ? [[name, split.start, split.end, String(split.steps), String(split.shards.length)]] : [];
  });
  return [
    `${dir}: ${manifest.variables.length} variable${manifest.variables.length === 1 ? "" : "s"} on ${describeGrid(makeGrid(grid.lat, grid.lon))}, ` +
      `${describeStep(manifest)}, ${calendar} calendar, ${bytesText(bytes)}${dtype === "float32" ? "" : `, ${dtype}`}${synthetic ? ", SYNTHETIC" : ""}`,
    "",
    table([["split", "first", "last", "states", "files"], ...periods], {
      align: ["left", "left", "left", "right", "right"],
    }),
    "",
    table(
      [["variable", "units", "mean", "std", ""], ...manifest.variables.map((v) => statistics(manifest, v))],
      {
        align: ["left", "left", "right", "right", "left"],
      },
    ),
  ].join("\n");
}

function statistics({ mean, std }: Manifest, variable: Manifest["variables"][number]): string[] {
  const { name, units, constant } = variable;
  return [
    name,
    units,
    mean[name]!.toPrecision(6),
    std[name]!.toPrecision(6),
    constant ? "constant" : "state",
  ];
}
