/** From a zod schema to the flags of a subcommand: names, help lines, and text turned into values. */
import { z } from "zod";
import { ClimaxError } from "../errors.ts";
import { parseYaml } from "./yaml.ts";

/** One flag: where its value goes in the config, and what the schema says of it. */
export interface Flag {
  /** Path of the value in the config, e.g. `["model", "embedDim"]`. */
  readonly path: readonly string[];
  /** As typed, without the dashes: `model.embed-dim`. */
  readonly name: string;
  readonly short: string | undefined;
  readonly schema: JsonSchema;
  readonly required: boolean;
}

/** Arguments without a flag. */
export interface Positional {
  /** The config key that the arguments go to: an array field when `variadic`. */
  readonly key: string;
  /** As shown in the help: `IN...`. */
  readonly name: string;
  readonly variadic: boolean;
}

/** The part of JSON Schema that zod schemas of flags use. */
export interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly items?: JsonSchema;
  readonly prefixItems?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly required?: readonly string[];
  /** One-letter flag, from `.meta({ short: "o" })`. */
  readonly short?: string;
  /** The flag's name where it is not that of its path, from `.meta({ flag: "model" })`. */
  readonly flag?: string;
  /** What stands for the value in the help, from `.meta({ value: "FILE" })`. */
  readonly value?: string;
}

/** The schema as JSON Schema, of what a user gives (before defaults and transforms). */
export function jsonSchema(config: z.ZodType): JsonSchema {
  return z.toJSONSchema(config, { io: "input", unrepresentable: "any" }) as JsonSchema;
}

/** Every flag of an object schema; nested objects become dotted flags. */
export function flagsOf(schema: JsonSchema, path: readonly string[] = [], required = true): Flag[] {
  const flags: Flag[] = [];
  const objects = alternatives(schema).filter(({ properties }) => properties);
  const others = alternatives(schema).filter(({ properties }) => !properties);
  if (path.length > 0 && others.length > 0) {
    flags.push({
      path,
      name: schema.flag ?? path.map(kebab).join("."),
      short: schema.short,
      schema: objects.length > 0 ? { ...schema, anyOf: others } : schema,
      required: required && objects.length === 0,
    });
  }
  const seen = new Set<string>();
  for (const { properties = {}, required: wanted = [] } of objects) {
    for (const [key, property] of Object.entries(properties)) {
      if (seen.has(key)) continue;
      seen.add(key);
      const always = required && objects.length === 1 && others.length === 0 && wanted.includes(key);
      flags.push(...flagsOf(property, [...path, key], always));
    }
  }
  return flags;
}

/** The keys that the object at a path may have, through lists and alternatives. */
export function keysAt(schema: JsonSchema, [step, ...rest]: readonly (string | number)[]): string[] {
  const known = alternatives(schema);
  if (step === undefined)
    return [...new Set(known.flatMap(({ properties = {} }) => Object.keys(properties)))];
  const inner = known.flatMap(({ properties, items }) => properties?.[step] ?? items ?? []);
  return inner.flatMap((one) => keysAt(one, rest));
}

/** The schemas a value may follow, `null` left out. */
function alternatives(schema: JsonSchema): readonly JsonSchema[] {
  const among = schema.anyOf ?? schema.oneOf;
  return among ? among.flatMap(alternatives).filter(({ type }) => type !== "null") : [schema];
}

export function isBoolean(schema: JsonSchema): boolean {
  return alternatives(schema).every(({ type }) => type === "boolean");
}

/** Whether a flag may stand alone, or before a word: `--resume`, `--resume auto`. */
export function isSwitch(schema: JsonSchema): boolean {
  return !isBoolean(schema) && alternatives(schema).some(({ type }) => type === "boolean");
}

/** What stands for the value in the help: `N`, `NAME,...`. */
export function placeholder(schema: JsonSchema): string {
  if (schema.value) return schema.value;
  const first = alternatives(schema)[0] ?? {};
  if (first.type === "array") return `${placeholder(first.items ?? {})},...`;
  if (first.type === "number" || first.type === "integer") return "N";
  if (first.type === "object") return first.properties ? "{...}" : "NAME=VALUE,...";
  return choices(schema).length > 0 ? "NAME" : "TEXT";
}

/** The words a flag takes, when the schema lists them. */
export function choices(schema: JsonSchema): readonly string[] {
  return alternatives(schema).flatMap(({ enum: listed, const: only, items }) => {
    if (listed) return listed.map(String);
    if (only !== undefined) return [String(only)];
    return items ? choices(items) : [];
  });
}

/** The description of a flag with its choices and default. */
export function helpLine({ schema, required }: Flag): string {
  const notes: string[] = [];
  const words = choices(schema);
  if (words.length > 0 && !isSwitch(schema)) notes.push(`one of: ${words.join(", ")}`);
  if (schema.default !== undefined && schema.default !== false && !isEmpty(schema.default))
    notes.push(`default: ${show(schema.default)}`);
  else if (required) notes.push("required");
  return [schema.description ?? "", notes.length > 0 ? `(${notes.join("; ")})` : ""]
    .filter(Boolean)
    .join(" ");
}

function isEmpty(value: unknown): boolean {
  return value === null || value === "" || (typeof value === "object" && Object.keys(value).length === 0);
}

function show(value: unknown): string {
  if (Array.isArray(value)) {
    const items = value.map(show);
    // As it is typed, unless it must be broken over lines to be read.
    return items.join(items.join().length > 40 ? ", " : ",");
  }
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/**
 * Turns what was typed (once per time the flag was given) into the value the schema wants.
 *
 * @throws ClimaxError "config" when a number is wanted and something else was typed
 */
export function fromText(flag: Pick<Flag, "schema">, name: string, texts: readonly string[]): unknown {
  const known = alternatives(flag.schema);
  const list = known.find(({ type }) => type === "array");
  const last = texts.at(-1)!;
  if (list && (known.length === 1 || texts.length > 1 || last.includes(","))) {
    const item = list.items || list.prefixItems?.[0] || {}; // of a tuple, `items` is false
    const structured = alternatives(item).some(({ type }) => type === "object" || type === "array");
    const parts = structured ? texts : texts.flatMap((text) => text.split(","));
    return parts
      .map((text) => text.trim())
      .filter((text) => text !== "")
      .map((text) => scalar(item, name, text));
  }
  const record = known.find(({ type, properties }) => type === "object" && !properties);
  if (record && known.length === 1) {
    return Object.fromEntries(
      texts.flatMap((text) => text.split(",")).map((pair) => entry(record, name, pair)),
    );
  }
  return scalar(flag.schema, name, last);
}

function entry(record: JsonSchema, name: string, pair: string): [string, unknown] {
  const [key = "", value] = pair.split(/=(.*)/s);
  if (value === undefined) {
    throw new ClimaxError("config", `${name} is "${pair}", wanted NAME=VALUE`, `write ${name} ${pair}=VALUE`);
  }
  const { additionalProperties: schema } = record;
  return [key.trim(), scalar(typeof schema === "object" ? schema : {}, name, value.trim())];
}

function scalar(schema: JsonSchema, name: string, text: string): unknown {
  const known = alternatives(schema);
  const types = new Set(known.flatMap(({ type, const: only, enum: e }) => type ?? typeof (only ?? e?.[0])));
  if (types.has("object") || types.has("array")) {
    if (/^\s*[{[]/.test(text)) return parseYaml(text);
    const list = known.find(({ type }) => type === "array");
    if (list && types.size === 1) return fromText({ schema: list }, name, [text]);
  }
  const numeric = types.has("number") || types.has("integer");
  if (numeric && text.trim() !== "" && !Number.isNaN(Number(text))) return Number(text);
  if (types.has("boolean") && /^(true|yes|false|no)$/.test(text)) return /^(true|yes)$/.test(text);
  if (numeric && types.size === 1) {
    throw new ClimaxError(
      "config",
      `${name} is "${text}", wanted a number`,
      `write it like ${name} 0.5 or 1e-3`,
    );
  }
  return text;
}

/** `leadTime` -> `lead-time`. */
export function kebab(key: string): string {
  return key.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`);
}
