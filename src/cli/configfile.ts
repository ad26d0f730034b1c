/** Reads a YAML config file and remembers the line and column of every value, for its errors. */
import { readFileSync } from "node:fs";
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { ClimaxError } from "../errors.ts";
import type { JsonSchema } from "./flags.ts";

export type Path = readonly (string | number)[];

export interface ConfigFile {
  /** What the file says, keys spelled as the schema spells them. */
  readonly values: Record<string, unknown>;
  /** `file:line:column` of the value at a path; of its key with `at: "key"`; undefined when not in the file. */
  where(path: Path, at?: "key" | "value"): string | undefined;
}

/**
 * Reads a YAML (or JSON) file of settings.
 *
 * Keys may be spelled `embedDim`, `embed-dim` or `embed_dim`. A number where the schema wants text is
 * taken as it is spelled, so `test: 2017` is the text "2017".
 *
 * @throws ClimaxError "config" when it cannot be read or is not YAML, with `file:line:column`
 */
export function readConfigFile(file: string, schema: JsonSchema): ConfigFile {
  const text = readText(file);
  const lines = new LineCounter();
  const position = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const document: Document.Parsed = parseDocument(text, {
    lineCounter: lines,
    merge: true,
    prettyErrors: false,
  });
  const [problem] = document.errors;
  if (problem) {
    const message = problem.code === "DUPLICATE_KEY" ? "the same key is written twice" : problem.message;
    throw new ClimaxError("config", `${position(problem.pos[0])}: ${message}`, "mend the YAML at that place");
  }
  const root = document.contents;
  if (root !== null && !isMap(root) && !(isScalar(root) && root.value === null)) {
    throw new ClimaxError(
      "config",
      `${position(root.range?.[0] ?? 0)}: wanted settings, one "name: value" a line`,
      "see the flags of the command: each is a key of the file",
    );
  }

  /** The node and its key at a path of the schema's spelling. */
  const find = (path: Path): { key?: Node; value?: Node } => {
    let found: { key?: Node; value?: Node } = root ? { value: root as Node } : {};
    for (const step of path) {
      const node = isAlias(found.value) ? found.value.resolve(document) : found.value;
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => isScalar(key) && sameKey(String(key.value), String(step)));
        if (!pair) return {};
        found = { key: pair.key as Node, ...(pair.value ? { value: pair.value as Node } : {}) };
      } else if (isSeq(node) && typeof step === "number" && node.items[step]) {
        found = { value: node.items[step] as Node };
      } else return {};
    }
    return found;
  };

  const spelling = (path: Path) => {
    const { value } = find(path);
    return isScalar(value) && typeof value.source === "string" ? value.source : undefined;
  };
  const raw: unknown = document.toJS() ?? {};
  return {
    values: respell(raw, schema, [], spelling) as Record<string, unknown>,
    where: (path, at = "value") => {
      const { key, value } = find(path);
      const node = at === "key" ? (key ?? value) : (value ?? key);
      return node?.range ? position(node.range[0]) : undefined;
    },
  };
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ClimaxError(
      "config",
      `cannot read the config file ${file}: ${code === "ENOENT" ? "there is no such file" : code}`,
      "give --config a YAML file",
      { cause: error },
    );
  }
}

/** Renames keys to the schema's spelling, and gives text where text is wanted. */
function respell(
  value: unknown,
  schema: JsonSchema,
  path: Path,
  spelling: (p: Path) => string | undefined,
): unknown {
  const among = schema.anyOf ?? schema.oneOf ?? [schema];
  if (Array.isArray(value)) {
    const items = among.find(({ items }) => items)?.items ?? {};
    return value.map((item, i) => respell(item, items, [...path, i], spelling));
  }
  if (typeof value === "object" && value !== null) {
    const properties: Record<string, JsonSchema> = Object.assign(
      {},
      ...among.map((one) => one.properties ?? {}),
    );
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => {
        const known = Object.keys(properties).find((name) => sameKey(name, key)) ?? key;
        return [known, respell(inner, properties[known] ?? {}, [...path, key], spelling)];
      }),
    );
  }
  // A section of which all lines are comments.
  if (
    value === null &&
    among.some(({ properties }) => properties) &&
    !among.some(({ type }) => type === "null")
  ) {
    return {};
  }
  const wantsText = among.every(({ type }) => type === "string" || type === "null") && schema.type !== "null";
  if (typeof value === "number" && wantsText) return spelling(path) ?? String(value);
  return value;
}

function sameKey(a: string, b: string): boolean {
  const plain = (key: string) => key.replace(/[-_]/g, "").toLowerCase();
  return a === b || plain(a) === plain(b);
}
