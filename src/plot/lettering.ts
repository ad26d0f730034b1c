/** How wide words are in DejaVu Sans, so that a layout is the same whether pixels or an SVG come of it. */

// Advance widths of U+0020..U+007E, hundredths of an em.
// biome-ignore format: a table
const regular = [32,40,46,84,64,95,78,27,39,39,50,84,32,36,32,34,64,64,64,64,64,64,64,64,64,64,34,34,84,84,84,53,100,68,69,70,77,63,58,77,75,29,29,66,56,86,75,79,60,79,69,63,61,73,68,99,69,61,69,39,34,39,84,50,50,61,63,55,63,62,35,63,63,28,28,58,28,97,63,61,63,63,41,52,39,63,59,82,59,59,52,64,34,64,84];
// biome-ignore format: a table
const bold = [35,46,52,84,70,100,87,31,46,46,52,84,38,42,38,37,70,70,70,70,70,70,70,70,70,70,40,40,84,84,84,58,100,77,76,73,83,68,68,82,84,37,37,77,64,100,84,85,73,85,77,72,68,81,77,110,77,72,73,46,37,46,84,50,50,67,72,59,72,68,44,72,71,34,34,67,34,104,71,69,72,72,49,60,48,71,65,92,65,65,58,71,37,71,84];

const raised = /[⁰¹²³⁴⁵⁶⁷⁸⁹°·–⁻]/;

/** Width of a line, px; of letters beyond ASCII an estimate, on the wide side. */
export function lineWidth(words: string, size: number, isBold = false): number {
  const table = isBold ? bold : regular;
  let hundredths = 0;
  for (const char of words) {
    hundredths += table[char.charCodeAt(0) - 32] ?? (raised.test(char) ? 53 : 84);
  }
  return (hundredths / 100) * size;
}

/** Breaks words into lines no wider than `room` px; also after underscores and slashes, where paths may break. */
export function breakLines(words: string, size: number, room: number, isBold = false): string[] {
  const lines: string[] = [];
  let line = "";
  for (const part of words.split(/(?<=[ _/])/)) {
    if (line !== "" && lineWidth((line + part).trimEnd(), size, isBold) > room) {
      lines.push(line.trimEnd());
      line = part;
    } else line += part;
  }
  return [...lines, line.trimEnd()];
}
