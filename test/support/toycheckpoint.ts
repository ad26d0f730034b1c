/** Untrained checkpoints and weather files of the toy planet, for tests of what is done with them. */

import { addHours } from "../../src/data/time.ts";
import { parseName } from "../../src/data/variables.ts";
import { createNetcdf } from "../../src/files/netcdf4writer.ts";
import type { Grid } from "../../src/grid/grid.ts";
import { type CheckpointInfo, openCheckpoint, writeCheckpoint } from "../../src/model/checkpoint.ts";
import { ModelConfig } from "../../src/model/config.ts";
import { initialise } from "../../src/model/parameters.ts";
import { tinyModel } from "./toyrun.ts";
import { toyGrid, toyNames, toyStart, toyValue } from "./toyset.ts";

/**
 * With noise in the model that a forecast must not draw, and one variable that it was never trained with. Starting
 * weights are small, so that a fresh model says much the same of every state: some of these are twenty times as large.
 */
export async function writeToyCheckpoint(
  path: string,
  { names = ["orography", ...toyNames], ...changes }: { names?: string[] } & Partial<CheckpointInfo> = {},
) {
  const model = ModelConfig.parse({
    ...tinyModel,
    dropout: 0.5,
    dropPath: 0.5,
    variables: [...names, "geopotential_500"],
    gridShape: [toyGrid.lat.length, toyGrid.lon.length],
  });
  const values = initialise(model, 5);
  const info: CheckpointInfo = {
    format: "climax-checkpoint",
    version: 1,
    model,
    task: { kind: "forecast" },
    variables: names.map((name, i) => ({
      name,
      units: parseName(name).info.units,
      mean: 280 + 4 * i,
      std: 5 + i,
    })),
    outputs: names.filter((name) => name !== "orography"),
    grid: { lat: [...toyGrid.lat], lon: [...toyGrid.lon] },
    leads: { min: 6, max: 168, step: 6 },
    synthetic: true,
    provenance: {},
    ...changes,
  };
  const large = (name: string) => /^(token_embeds|var_agg.out|lead_time|head).*weight$/.test(name);
  await writeCheckpoint(path, info, (name) => {
    const fresh = values.get(name)!;
    return large(name) ? fresh.map((x) => 20 * x) : fresh;
  });
  return await openCheckpoint(path);
}

export interface ToyStates {
  readonly names?: readonly string[];
  /** Hours after the start of the toy planet; no time axis at all when null. */
  readonly hours?: readonly number[] | null;
  readonly grid?: Grid;
  /** North to south, as many files are. */
  readonly southward?: boolean;
  /** Which cell of which variable, counted in the file's order, is missing at every time. */
  readonly gap?: { readonly name: string; readonly cell: number };
  readonly synthetic?: boolean;
}

/** Writes states of the toy planet as CF NetCDF. */
export async function writeToyStates(path: string, options: ToyStates = {}): Promise<string> {
  const { names = ["orography", ...toyNames], hours = [0, 6, 12, 18, 24], grid = toyGrid } = options;
  const lat = options.southward ? grid.lat.toReversed() : grid.lat;
  const [H, W] = [lat.length, grid.lon.length];
  const field = (name: string, hour: number) =>
    Float32Array.from({ length: H * W }, (_, cell) =>
      options.gap?.name === name && options.gap.cell === cell
        ? Number.NaN
        : toyValue(name, addHours(toyStart, hour), lat[Math.floor(cell / W)]!, grid.lon[cell % W]!),
    );
  const axis = (name: string, units: string, data: ArrayLike<number>) => ({
    name,
    dimensions: [name],
    dtype: "float64" as const,
    attributes: { standard_name: name, units },
    data,
  });
  const file = await createNetcdf(path, {
    dimensions: { ...(hours ? { time: hours.length } : {}), latitude: H, longitude: W },
    attributes: { Conventions: "CF-1.11", ...(options.synthetic ? { synthetic: "true" } : {}) },
    variables: [
      ...(hours ? [{ ...axis("time", "hours since 2001-01-01 00:00:00", hours) }] : []),
      axis("latitude", "degrees_north", lat),
      axis("longitude", "degrees_east", grid.lon),
      ...names.map((name) => {
        const { info } = parseName(name);
        const timed = hours !== null && info.role !== "constant";
        return {
          name,
          dimensions: [...(timed ? ["time"] : []), "latitude", "longitude"],
          dtype: "float32" as const,
          attributes: { units: info.units },
          data: (timed ? hours : [0]).flatMap((hour) => [...field(name, hour)]),
        };
      }),
    ],
  });
  await file.close();
  return path;
}
