// The statistics that lie beside ClimaX's npz shards.
import { join } from "node:path";
import { ClimaxError } from "../errors.ts";
import { readNpz } from "../files/npy.ts";

/** Bytes of one of the two files, unpacked: a number takes some 140. */
const LARGEST = 16 * 2 ** 20;

/** Means and standard deviations by variable, as the reference normalises with them. */
export interface ClimaxStatistics {
  mean: Map<string, number>;
  std: Map<string, number>;
}

/**
 * Reads normalize_mean.npz and normalize_std.npz of a folder. Those of the reference's ERA5 shards are of the last
 * training year for variables on levels: it begins anew each year.
 * @throws ClimaxError "data" when one lacks, they name different variables, or hold more than a number for each
 */
export async function readClimaxStatistics(folder: string): Promise<ClimaxStatistics> {
  const read = async (file: string) => {
    const path = join(folder, file);
    const numbers = new Map<string, number>();
    for (const [key, { data, shape }] of await readNpz(path, LARGEST)) {
      if (data.length !== 1 || !Number.isFinite(data[0]!))
        throw new ClimaxError(
          "data",
          `${key} in ${path} is ${data.length === 1 ? data[0] : `of shape (${shape.join(", ")})`}; wanted one number`,
          "give the files that ClimaX's preprocessing wrote",
        );
      numbers.set(key, data[0]!);
    }
    return numbers;
  };
  const [mean, std] = [await read("normalize_mean.npz"), await read("normalize_std.npz")];
  const single = [
    ...[...mean.keys()].filter((key) => !std.has(key)).map((key) => `${key} has no deviation`),
    ...[...std.keys()].filter((key) => !mean.has(key)).map((key) => `${key} has no mean`),
  ];
  if (single.length > 0)
    throw new ClimaxError(
      "data",
      `normalize_mean.npz and normalize_std.npz in ${folder} are not of the same variables: ${single.slice(0, 4).join(", ")}`,
      "take both from the same preparation",
    );
  return { mean, std };
}
