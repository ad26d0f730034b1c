// The settings of all networks in one list, for commands: which there are, and which type of network has them.
import { z } from "zod";
import { AnyConfig, type NetworkType } from "./network.ts";

/** What the data say, not the user. */
const facts = new Set([
  "type",
  "variables",
  "inputs",
  "outputs",
  "gridShape",
  "region",
  "history",
  "periodic",
]);

const shapes = new Map(
  AnyConfig.options.map(({ shape }): [NetworkType, Record<string, z.ZodType>] => {
    const { type } = shape;
    return [(type instanceof z.ZodDefault ? type.unwrap() : type).value, shape];
  }),
);

/** Every type of network. */
export const networkTypes = [...shapes.keys()] as [NetworkType, ...NetworkType[]];

/** The keys of a network's config. */
export function networkKeys(type: NetworkType): Set<string> {
  return new Set(Object.keys(shapes.get(type)!));
}

/** Names of the settings that a user may give for networks of this type. */
export function settingsOf(type: NetworkType): string[] {
  return [...networkKeys(type)].filter((key) => !facts.has(key));
}

/** Every setting of any network, none of them required: what is left out has the default of its network. */
export const networkFields: Record<string, z.ZodType> = Object.fromEntries(
  [...new Set(networkTypes.flatMap(settingsOf))].map((key) => [key, optional(key)]),
);

/** One field, as wide as all the networks that have it together, without their defaults. */
function optional(key: string): z.ZodType {
  const those = networkTypes.filter((type) => networkKeys(type).has(key));
  const fields = those.map((type) => shapes.get(type)![key]!);
  const bare = fields.map((field) => (field instanceof z.ZodDefault ? (field.unwrap() as z.ZodType) : field));
  const distinct = bare.filter((field, i) => bare.findIndex((other) => same(other, field)) === i);
  const [first] = distinct;
  const merged = distinct.length === 1 ? first! : z.union(distinct as [z.ZodType, z.ZodType]);
  const defaults = those.flatMap((type, i) => {
    const field = fields[i];
    return field instanceof z.ZodDefault ? [`${type} ${JSON.stringify(field.def.defaultValue)}`] : [];
  });
  const what = fields.map(({ description }) => description).find(Boolean) ?? "";
  return merged
    .optional()
    .describe(`${what}${defaults.length > 0 ? ` [${defaults.join(", ")}]` : ` [${those.join(", ")}]`}`);
}

function same(a: z.ZodType, b: z.ZodType): boolean {
  return JSON.stringify(plain(a)) === JSON.stringify(plain(b));
}

function plain(field: z.ZodType): object {
  return { ...z.toJSONSchema(field, { unrepresentable: "any", io: "input" }), description: "" };
}
