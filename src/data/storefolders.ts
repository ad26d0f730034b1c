// Folders that are data, told by the names in them.
import { parseShardName, shardSplits } from "./shardtimes.ts";

/** Files that make a folder a Zarr store, or an array or a group of one. */
const zarrDocuments = [".zmetadata", "zarr.json", ".zgroup", ".zarray"];

export function looksLikeZarr(names: readonly string[]): boolean {
  return names.some((name) => zarrDocuments.includes(name));
}

/** Whether a folder with these entries is of ClimaX's npz shards, or one of their splits. */
export function looksLikeNpzShards(names: readonly string[]): boolean {
  const beside = ["lat.npy", "lon.npy", "normalize_mean.npz", "normalize_std.npz"];
  const root =
    names.some((name) => shardSplits.includes(name)) && names.some((name) => beside.includes(name));
  return root || names.some((name) => parseShardName(name) !== undefined);
}
