/** Says what is wrong with a config: the flag or the place in the file, what was found, what was wanted. */
import { isDeepStrictEqual } from "node:util";
import type { z } from "zod";
import { type ClimaxError, unknownName } from "../errors.ts";
import type { ConfigFile, Path } from "./configfile.ts";
import { type Flag, type JsonSchema, keysAt, type Positional } from "./flags.ts";

interface Given {
  /** What flags and file together say, before defaults. */
  readonly values: Record<string, unknown>;
  readonly file: ConfigFile | undefined;
  readonly schema: JsonSchema;
  readonly flags: readonly Flag[];
  readonly positional: Positional | undefined;
}

/** One line per problem that zod found in what the user gave. */
export function explain(error: z.ZodError, given: Given): string {
  return error.issues
    .flatMap(unfold)
    .flatMap((issue) => problems(issue, given))
    .join("\n       ");
}

function problems(issue: z.core.$ZodIssue, given: Given): string[] {
  const { values, file, schema } = given;
  const path = issue.path.filter((step) => typeof step !== "symbol");
  if (issue.code === "unrecognized_keys") {
    const known = keysAt(schema, path);
    return issue.keys.map((key) => {
      const where = file?.where([...path, key], "key") ?? nameOf(path, given);
      return `${where}: ${unknownKey(key, known)}`;
    });
  }
  if (path.length === 0) return [issue.message];
  const value = valueAt(values, path);
  if (value === undefined) {
    const parent = path.length > 1 ? file?.where(path.slice(0, -1)) : undefined;
    return [parent ? `${parent}: ${path.join(".")} is required` : `${nameOf(path, given)} is required`];
  }
  const where = file?.where(path);
  const same = where !== undefined && isDeepStrictEqual(valueAt(file?.values, path), value);
  const name = same ? `${where}: ${path.join(".")}` : nameOf(path, given);
  const wanted = issue.message
    .replace(/^Invalid (input|option|string): /, "")
    .replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase());
  return [`${name} is ${short(JSON.stringify(value))}: ${wanted}`];
}

function short(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** The issues of the alternative of a union that came nearest. */
function unfold(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== "invalid_union" || issue.errors.length === 0) return [issue];
  const inside = issue.errors.map((issues) =>
    issues.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })).flatMap(unfold),
  );
  // The alternative whose kind of value (list, object, number) it is, and only its content is wrong.
  const deeper = inside.filter((issues) =>
    issues.every(({ path, code }) => path.length > issue.path.length || code === "unrecognized_keys"),
  );
  if (deeper.length > 0) return deeper.toSorted((a, b) => a.length - b.length)[0]!;
  const messages = inside.flat().map(({ message }) => message.replace(/^Invalid input: /, ""));
  return [{ ...issue, message: [...new Set(messages)].join(", or ") }];
}

function unknownKey(key: string, known: readonly string[]): string {
  if (known.length === 0) return `unknown setting "${key}"`;
  try {
    return unknownName("setting", key, known);
  } catch (error) {
    const { message, hint } = error as ClimaxError;
    return `${message}; ${hint}`;
  }
}

/** The flag that gives the value at a path: `--leads[1]`, `IN...`. */
function nameOf(path: Path, { flags, positional }: Given): string {
  if (positional && path[0] === positional.key) return positional.name;
  const flag = flags.find((one) => one.path.every((step, i) => path[i] === step));
  if (!flag) return path.join(".") || "config";
  const inside = path
    .slice(flag.path.length)
    .map((step) => (typeof step === "number" ? `[${step}]` : `.${step}`));
  return `--${flag.name}${inside.join("")}`;
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inner, step) => (inner as Record<string, unknown> | undefined)?.[step], value);
}
