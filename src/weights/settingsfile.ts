// YAML and JSON that lie beside weights, and come from wherever those come from.
import { isScalar, LineCounter, parseDocument, visit } from "yaml";

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
  const lineCounter = new LineCounter();
  try {
    // Its own ways to show errors and to compare keys take time with the square of their number.
    const quick = { prettyErrors: false, uniqueKeys: false } as const;
    const document = parseDocument(text, { ...quick, logLevel: "error", lineCounter });
    const [wrong] = document.errors;
    if (wrong) {
      const { line, col } = lineCounter.linePos(wrong.pos[0]);
      const deep = /call stack/.test(wrong.message);
      throw new Error(`${deep ? "it is nested too deep" : wrong.message} at line ${line}, column ${col}`);
    }
    visit(document, { Map: (_, { items }) => expectUnique(items.map(({ key }) => key)) });
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new Error((error as Error).message.slice(0, 200), { cause: error });
  }
}

function expectUnique(keys: readonly unknown[]): void {
  const seen = new Set<unknown>();
  for (const key of keys) {
    const name = isScalar(key) ? String(key.value) : key;
    if (seen.has(name))
      throw new Error(`the key ${JSON.stringify(name)?.slice(0, 80)} stands twice in one place`);
    seen.add(name);
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
