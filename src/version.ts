/** The version of this program. */
import { readFileSync } from "node:fs";

/** As its package.json says, e.g. `0.1.0`. */
export function version(): string {
  const manifest = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}
