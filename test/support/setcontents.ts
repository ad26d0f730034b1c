/** All that is in a prepared set, to be compared with another. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** The digest of every file, by its name; the text of set.json, without its dates. */
export function setContents(dir: string): Record<string, string> {
  const files = readdirSync(dir, { recursive: true, encoding: "utf8" }).filter((file) =>
    statSync(join(dir, file)).isFile(),
  );
  return Object.fromEntries(
    files.toSorted().map((file) => {
      const bytes = readFileSync(join(dir, file));
      const dates = /"created": "[^"]*"|appended \d{4}-\d\d-\d\d/g;
      return [
        file,
        file === "set.json"
          ? bytes.toString().replace(dates, "")
          : createHash("sha256").update(bytes).digest("hex"),
      ];
    }),
  );
}
