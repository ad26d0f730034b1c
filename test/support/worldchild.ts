/** A rank of a world on real MPI: does what its first argument names, and says what came of it as one line of JSON. */
import { openWorld } from "../../src/parallel/mpiworld.ts";
import type { World } from "../../src/parallel/world.ts";

const bits = (values: Float32Array | Float64Array): string => Buffer.from(values.buffer).toString("hex");

/** Numbers of a rank whose sum depends on the order of adding up. */
const ragged = (rank: number, n: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(7 * i + 3 * rank) * 10 ** ((5 * i + rank) % 9));

/** Which rank, and what it does to itself while the others wait. */
async function end(world: World, [who, how]: readonly string[]): Promise<unknown> {
  if (world.rank === 0) world.keptCheckpoint("runs/toy/last.safetensors");
  await world.gather("");
  await new Promise((resolve) => setTimeout(resolve, 100));
  if (world.rank !== Number(who)) return world.sum(new Float32Array(1));
  if (how === "kill") process.kill(process.pid, "SIGKILL");
  try {
    return await world.fail(new Error("no space left"), 2);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exit(2);
  }
}

const acts: Record<string, (world: World, args: readonly string[]) => unknown> = {
  async calls(world) {
    const { rank, size, localRank, localSize, name } = world;
    const [single, double] = [ragged(rank, 1001), Float64Array.from(ragged(rank, 300))];
    const large = new Float64Array(200_000).fill(rank + 0.5);
    const largest = Float64Array.of(rank, -rank, rank === 1 ? Number.NaN : 7, -0, Number.NEGATIVE_INFINITY);
    const told = Uint8Array.from({ length: 100_000 }, (_, i) => i + rank);
    const [empty, weights] = [new Float32Array(0), ragged(rank, 5)];
    const summed = Float32Array.from({ length: 2 * size }, (_, i) => i + 10 * rank);
    const given = Uint8Array.from({ length: size }, (_, to) => 10 * rank + to);
    const taken = new Uint8Array(size * size);
    // All under way together.
    const texts = world.gather("é".repeat(3 * rank));
    await Promise.all([
      ...[world.sum(single), world.max(largest), world.sum(double), world.sum(empty), world.broadcast(told)],
      ...[world.sum(large), world.broadcast(weights)],
      ...[world.reduceScatter(summed), world.allgather(summed)],
      ...[world.alltoall(given, taken.subarray(rank * size, (rank + 1) * size)), world.allgather(taken)],
    ]);
    return {
      ...{
        rank,
        size,
        localRank,
        localSize,
        name,
        texts: await texts,
        single: bits(single),
        double: bits(double),
      },
      ...{ largest: [...largest].map(String), told: told.every((value, i) => value === i % 256) },
      ...{ large: [large[0], large.at(-1)], weights: bits(weights), summed: [...summed], taken: [...taken] },
    };
  },
  end,
};

const world = await openWorld();
const [act, ...args] = process.argv.slice(2);
process.stdout.write(`${JSON.stringify(await acts[act!]!(world, args))}\n`);
await world.close();
