// The shares of forecasts put together: the file that one process would have written, byte for byte but for when it was
// made (history, and the times that HDF5 notes of its objects), because the fields go into it in that process's order.
import { type Share, shareName } from "../data/share.ts";
import { ClimaxError } from "../errors.ts";
import { createOutput, type OutputShape } from "./output.ts";
import { type OpenShare, openShare, otherwise, shareFileOf } from "./sharefile.ts";

export interface Merging {
  readonly paths: readonly string[];
  readonly output: string;
  /** The history of the file, from that of the first share. */
  readonly history: (first: string) => string;
  readonly signal: Pick<AbortSignal, "throwIfAborted">;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Writes the file whose shares lie at `paths`, given in any order. It appears whole or not at all.
 *
 * @returns what was put together
 * @throws ClimaxError "config" for shares of different runs, one that is there twice, and those that are lacking;
 *         "data" for one that is damaged
 */
export async function mergeShares({ paths, output, ...how }: Merging): Promise<OutputShape> {
  const shares: OpenShare[] = [];
  try {
    for (const path of paths) shares.push(await openShare(path));
    const ordered = inOrder(shares, output);
    const [first] = ordered as [OpenShare];
    const adapters = new Set(ordered.flatMap(({ shape }) => shape.attributes.climax_adapter ?? []));
    const attributes = {
      ...first.shape.attributes,
      history: how.history(first.shape.attributes.history ?? ""),
      ...(adapters.size > 0 ? { climax_adapter: [...adapters].join("; ") } : {}),
    };
    const shape = { ...first.shape, attributes };
    await writeTogether(ordered, shape, output, how);
    return shape;
  } finally {
    for (const share of shares) await share.close();
  }
}

async function writeTogether(
  shares: readonly OpenShare[],
  shape: OutputShape,
  path: string,
  { signal, onProgress }: Pick<Merging, "signal" | "onProgress">,
): Promise<void> {
  const { initial, leads, members, variables } = shape;
  const places = new Map(variables.map(({ name }, v) => [name, v]));
  const total = initial.length * leads.length * members * variables.length;
  const there = new Uint8Array(total);
  const output = await createOutput(path, shape);
  try {
    let done = 0;
    for (const share of shares) {
      for await (const { name, at, field } of share.read()) {
        signal.throwIfAborted();
        const place =
          ((at.t * leads.length + at.l) * members + at.member) * variables.length + places.get(name)!;
        if (there[place])
          throw inconsistent(share, `has ${name} of a time, lead and member that is there already`);
        there[place] = 1;
        await output.write(name, at, field);
        done++;
        onProgress?.(done, total);
      }
    }
    if (done < total) throw inconsistent(shares.at(-1)!, `and those before have ${done} of ${total} fields`);
    await output.close();
  } catch (error) {
    await output.abort();
    throw error;
  }
}

const inconsistent = ({ path }: OpenShare, what: string) =>
  new ClimaxError("data", `${path} ${what}`, "make all shares again");

/** @throws ClimaxError "config" for what is not all shares of one run */
function inOrder(shares: readonly OpenShare[], output: string): OpenShare[] {
  const [first] = shares as [OpenShare];
  const { count } = first.share;
  const odd = shares.find(({ share }) => share.count !== count);
  if (odd)
    throw new ClimaxError(
      "config",
      `${odd.path} is share ${shareName(odd.share)}, ${first.path} share ${shareName(first.share)}`,
      "shares of one run have the same N; remove those of the other one",
    );
  const byIndex = new Map<number, OpenShare>();
  for (const one of shares) {
    const { path, share } = one;
    const twin = byIndex.get(share.index);
    if (twin)
      throw new ClimaxError(
        "config",
        `${twin.path} and ${path} are both share ${shareName(share)}`,
        "remove one of them",
      );
    const other = otherwise(first, one);
    if (other !== undefined)
      throw new ClimaxError(
        "config",
        `${first.path} and ${path} are shares of two runs: they differ in ${other}`,
        "make all shares with the same command line but for --shard, and the same files",
      );
    byIndex.set(share.index, one);
  }
  const all = Array.from({ length: count }, (_, i): Share => ({ index: i + 1, count }));
  const lacking = all.filter(({ index }) => !byIndex.has(index));
  if (lacking.length > 0) throw lackingShares(output, count, lacking);
  return all.map(({ index }) => byIndex.get(index)!);
}

/** For shares that are not there. */
export function lackingShares(output: string, of: number, lacking: readonly Share[]): ClimaxError {
  const named = lacking.slice(0, 8).map((share) => shareFileOf(output, share));
  const more = lacking.length > named.length ? ` and ${lacking.length - named.length} more` : "";
  return new ClimaxError(
    "config",
    `of ${of} shares ${of - lacking.length} are there; ${named.join(", ")}${more} ${lacking.length === 1 ? "is" : "are"} lacking`,
    `make ${lacking.length === 1 ? "it" : "them"} with the same command line and --shard ${shareName(lacking[0]!)}`,
  );
}
