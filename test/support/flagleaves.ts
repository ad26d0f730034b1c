import type { z } from "zod";

/** Paths of the leaves of a schema, as in its JSON: each is a flag. One that may be a list or an object is several. */
export function leaves(schema: z.core.JSONSchema.BaseSchema, path: string[] = []): string[] {
  const { properties, anyOf } = schema as {
    properties?: Record<string, z.core.JSONSchema.BaseSchema>;
    anyOf?: z.core.JSONSchema.BaseSchema[];
  };
  if (anyOf) return [...new Set(anyOf.flatMap((one) => leaves(one, path)))];
  if (!properties) return [path.join(".")];
  return Object.entries(properties).flatMap(([key, inner]) => leaves(inner, [...path, key]));
}
