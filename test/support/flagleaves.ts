import type { z } from "zod";

/** Paths of the leaves of a schema, as in its JSON: each is a flag. */
export function leaves(schema: z.core.JSONSchema.BaseSchema, path: string[] = []): string[] {
  const { properties } = schema as { properties?: Record<string, z.core.JSONSchema.BaseSchema> };
  if (!properties) return [path.join(".")];
  return Object.entries(properties).flatMap(([key, inner]) => leaves(inner, [...path, key]));
}
