// YAML and JSON that lie beside weights, and come from wherever those come from.
import { parse } from "yaml";

/** Levels of nesting; those of LightningCLI's files have 6. */
const DEEPEST = 64;
/** Characters before the first word of a line: indentation, and dashes that each open a list. */
const WIDEST = 200;

/**
 * Reads a text of bounded length.
 *
 * @throws Error with one line that says what is wrong
 */
export function parseSettings(text: string): unknown {
  expectShallow(text);
  try {
    return parse(text, { logLevel: "error", maxAliasCount: 100 });
  } catch (error) {
    const [first = ""] = (error as Error).message.split("\n"); // the rest shows the lines
    throw new Error(first.replace(/:$/, "").slice(0, 200), { cause: error });
  }
}

/** The parser calls itself for every level: far too many of them would end the process, past any catch. */
function expectShallow(text: string): void {
  let depth = 0;
  for (const character of text) {
    if (character === "[" || character === "{") depth++;
    else if (character === "]" || character === "}") depth = Math.max(0, depth - 1);
    if (depth > DEEPEST) throw new Error(`more than ${DEEPEST} brackets are open at once`);
  }
  for (const line of text.split(/[\r\n]/)) {
    const word = line.search(/[^\s\-?:]/);
    if ((word < 0 ? line.length : word) > WIDEST)
      throw new Error(`a line begins more than ${WIDEST} columns in`);
  }
}
