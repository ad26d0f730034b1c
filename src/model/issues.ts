// What a schema found wrong, in one line.
import type { z } from "zod";

/** Issues that are told; a file that is something else has one for each field. */
const shown = 4;

/** "model.depth: Invalid input: expected number, received string; and 3 more" */
export function issuesText({ issues }: z.ZodError): string {
  const some = issues.slice(0, shown).map(({ path, message }) => {
    const at = path.map(String).join(".").slice(0, 200);
    return `${at === "" ? "" : `${at}: `}${message.replaceAll(/\s+/g, " ").slice(0, 200)}`;
  });
  const more = issues.length > shown ? `; and ${issues.length - shown} more` : "";
  return `${some.join("; ")}${more}`;
}
