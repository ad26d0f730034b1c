/**
 * A process that takes the lock PATH again and again for so many MILLISECONDS and each time leaves it as one that is
 * killed: with the name of DEAD in it. Prints how often it had it, and how often another had it as well.
 */
import { randomBytes } from "node:crypto";
import { open, rename, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { isHold, locks } from "../../src/sets/setlock.ts";

const [path, milliseconds, dead] = process.argv.slice(2) as [string, string, string];
const [inside, next] = [`${path}.inside`, `${path}.of${process.pid}`];
let [takes, twice] = [0, 0];
for (const end = Date.now() + Number(milliseconds); Date.now() < end; ) {
  const got = await locks().take(path);
  if (!isHold(got)) {
    await sleep(1);
    continue;
  }
  takes++;
  const alone = await open(inside, "wx").catch(() => undefined);
  await alone?.close();
  await sleep(1);
  if (alone) await rm(inside);
  else twice++;
  await writeFile(next, `${dead} ${hostname()} ${randomBytes(4).toString("hex")}\n`);
  await rename(next, path);
  await got.release(); // which it no longer is
}
process.stdout.write(JSON.stringify({ takes, twice }));
