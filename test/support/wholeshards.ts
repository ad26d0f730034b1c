/** How far an unfinished set has come. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Shards that are whole of the set that grows in a folder. */
export function wholeShards(dir: string): number {
  const folder = join(dir, "journal.parts");
  if (!existsSync(folder)) return 0;
  return readdirSync(folder).filter((name) => /^(train|val|test)_.*\.json$/.test(name)).length;
}
