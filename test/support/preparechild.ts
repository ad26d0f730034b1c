/** A process that prepares a set and kills itself after so many reads of a state: DIR, READS (0: never). */
import { prepare } from "../../src/sets/prepare.ts";
import { fakeArchive, provenance } from "./fakearchive.ts";
import { wholeShards } from "./wholeshards.ts";

const [dir, reads] = process.argv.slice(2) as [string, string];
const archive = fakeArchive();
// What an earlier run read counts too, so that READS means the same place in every run.
let left = (Number(reads) || Number.POSITIVE_INFINITY) - 2 * statesDone();
const countdown = () => {
  if (--left < 0) process.kill(process.pid, "SIGKILL");
};
for (const variable of archive.variables.values()) {
  const { read } = variable;
  variable.read = async (step) => {
    countdown();
    return read(step);
  };
}
await prepare(archive, dir, {
  train: "2015-12-25..2016-01-01",
  val: "2016-01-02",
  test: "2016-01-03",
  climatology: ["dayofyear"],
  provenance,
  onStep: (_, __, stage) => {
    if (stage === "climatology") countdown();
  },
});

function statesDone(): number {
  return [0, 28, 32, 36, 40][wholeShards(`${dir}.partial`)]!;
}
