/** A process that makes its share of a set: DIR, I/N. Slow enough that several are at it at once. */
import { prepareTogether } from "../../src/sets/prepare.ts";
import { roughArchive, roughPeriods } from "./rougharchive.ts";

const [dir, shard] = process.argv.slice(2) as [string, string];
const [index = 0, count = 0] = shard.split("/").map(Number);
const archive = roughArchive();
for (const variable of archive.variables.values()) {
  const { read } = variable;
  variable.read = async (step) => {
    if (step % 8 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    return await read(step);
  };
}
const outcome = await prepareTogether(archive, dir, roughPeriods, { share: { index, count } });
process.stdout.write(JSON.stringify(outcome));
