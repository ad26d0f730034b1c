// Text, lists and tables in Markdown: pipe tables, which GitHub, model hubs and pandoc read alike.

/** What Markdown or HTML would take for its own, as it is. */
export const escaped = (text: string): string =>
  text
    .replaceAll(/[\\`*|<>~^$[\]]/g, String.raw`\$&`)
    .replaceAll("&", "&amp;")
    // Within a word an underscore is one; at its edge it would begin emphasis.
    .replaceAll(/(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, String.raw`\_`);

/** A list of sentences. */
export const list = (lines: readonly string[]): string =>
  lines.map((line) => `- ${escaped(line)}`).join("\n");

/**
 * A pipe table.
 *
 * @param rows   cells, escaped already
 * @param names  so many first columns are words and stand to the left; the others are numbers; all when left out
 */
export function pipes(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  names = head.length,
): string {
  const rule = head.map((_, column) => (column < names ? ":--" : "--:"));
  return [head, rule, ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}
