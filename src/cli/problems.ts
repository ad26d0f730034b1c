/** Says what is wrong with a config: the flag or the place in the file, what was found, what was wanted. */
import type { z } from "zod";
import { type ClimaxError, unknownName } from "../errors.ts";
import type { ConfigFile, Path } from "./configfile.ts";
import type { Flag, Positional } from "./flags.ts";

/** One line per problem that zod found in what the user gave. */
export function explain(
  error: z.ZodError,
  given: Record<string, unknown>,
  file: ConfigFile | undefined,
  positional: Positional | undefined,
  flags: readonly Flag[],
): string {
  const problems = error.issues.flatMap(unfold).map((issue) => {
    const path = issue.path.filter((step) => typeof step !== "symbol");
    if (issue.code === "unrecognized_keys") {
      return issue.keys
        .map((key) => `${place(path, key)}: ${unknownKey(key, path, flags, positional)}`)
        .join("\n");
    }
    if (path.length === 0) return issue.message;
    const value = valueAt(given, path);
    const name = nameOf(path, flags, positional);
    if (value === undefined) return `${name} is required`;
    const wanted = issue.message
      .replace(/^Invalid (input|option|string): /, "")
      .replace(/^[A-Z](?=[a-z])/, lower);
    const where = file?.where(path);
    const fromFile =
      where !== undefined && JSON.stringify(valueAt(file?.values, path)) === JSON.stringify(value);
    return `${fromFile ? `${where}: ${path.join(".")}` : name} is ${JSON.stringify(value)}: ${wanted}`;
  });
  return problems.join("\n       ");

  function place(path: Path, key: string): string {
    return file?.where([...path, key], "key") ?? (path.join(".") || "config");
  }
}

/** The issues of the alternative of a union that came nearest. */
function unfold(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== "invalid_union" || issue.errors.length === 0) return [issue];
  const inside = issue.errors.map((issues) =>
    issues.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })).flatMap(unfold),
  );
  const deeper = inside.filter((issues) => issues.every(({ path }) => path.length > issue.path.length));
  if (deeper.length > 0) return deeper.toSorted((a, b) => a.length - b.length)[0]!;
  const messages = inside.flat().map(({ message }) => message.replace(/^Invalid input: /, ""));
  return [{ ...issue, message: [...new Set(messages)].join(", or ") }];
}

function unknownKey(
  key: string,
  path: Path,
  flags: readonly Flag[],
  positional: Positional | undefined,
): string {
  const depth = path.length;
  const beside = flags.filter(
    (flag) => path.every((step, i) => flag.path[i] === step) && flag.path.length > depth,
  );
  const known = [...new Set(beside.map((flag) => flag.path[depth]!))];
  if (positional && depth === 0) known.push(positional.key);
  if (known.length === 0) return `unknown setting "${key}"`;
  try {
    return unknownName("setting", key, known);
  } catch (error) {
    const { message, hint } = error as ClimaxError;
    return `${message}; ${hint}`;
  }
}

function nameOf(path: Path, flags: readonly Flag[], positional: Positional | undefined): string {
  if (path[0] === positional?.key) return positional!.name;
  const flag = flags.find((one) => one.path.every((step, i) => path[i] === step));
  return flag
    ? `--${flag.name}${path
        .slice(flag.path.length)
        .map((step) => `[${step}]`)
        .join("")}`
    : path.join(".");
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inner, step) => (inner as Record<string, unknown> | undefined)?.[step], value);
}

function lower(letter: string): string {
  return letter.toLowerCase();
}
