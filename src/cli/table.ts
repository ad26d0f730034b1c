/** Plain text tables for the terminal. */

export type Align = "left" | "right";

export interface TableOptions {
  /** Per column; left when not given. */
  readonly align?: readonly Align[];
  /** Whether the first row is a heading, underlined; yes unless false. */
  readonly header?: boolean;
  /** Characters a line may have; the terminal's width, or no limit when not on a terminal. */
  readonly width?: number;
}

/**
 * Lays rows out in columns two spaces apart. When the lines are too long, the widest left-aligned
 * columns give way and their text wraps at spaces.
 */
export function table(
  rows: readonly (readonly string[])[],
  { align = [], header = true, width = terminalWidth() }: TableOptions = {},
): string {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, c) =>
    Math.max(0, ...rows.flatMap((row) => (row[c] ?? "").split("\n").map(columnsOf))),
  );
  shrink(widths, align, width - 2 * (columns - 1));

  const lines = rows.flatMap((row) => {
    const cells = widths.map((w, c) => (row[c] ?? "").split("\n").flatMap((text) => wrap(text, w)));
    const height = Math.max(1, ...cells.map(({ length }) => length));
    return Array.from({ length: height }, (_, line) =>
      cells
        .map((cell, c) => pad(cell[line] ?? "", widths[c]!, align[c] ?? "left"))
        .join("  ")
        .trimEnd(),
    );
  });
  if (header && rows.length > 0) {
    const first = widths.map((w, c) => wrap(rows[0]![c] ?? "", w).length);
    lines.splice(Math.max(1, ...first), 0, widths.map((w) => "-".repeat(w)).join("  "));
  }
  return lines.join("\n");
}

/** Width of stdout, or no limit: pipes have none, and mpirun's terminals say 0. */
function terminalWidth(): number {
  return process.stdout.isTTY && process.stdout.columns > 0
    ? process.stdout.columns
    : Number.POSITIVE_INFINITY;
}

const NARROWEST = 12;

function shrink(widths: number[], align: readonly Align[], room: number): void {
  let over = widths.reduce((a, b) => a + b, 0) - room;
  while (over > 0) {
    const wide = widths
      .map((w, c) => ({ w, c }))
      .filter(({ w, c }) => w > NARROWEST && align[c] !== "right")
      .toSorted((a, b) => b.w - a.w)[0];
    if (!wide) return;
    widths[wide.c]!--;
    over--;
  }
}

function wrap(text: string, width: number): string[] {
  if (columnsOf(text) <= width) return [text];
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (columnsOf(longer) <= width) line = longer;
    else {
      if (line !== "") lines.push(line);
      line = word;
      while (columnsOf(line) > width) {
        lines.push([...line].slice(0, width).join(""));
        line = [...line].slice(width).join("");
      }
    }
  }
  return [...lines, line];
}

function pad(text: string, width: number, align: Align): string {
  const space = " ".repeat(Math.max(0, width - columnsOf(text)));
  return align === "right" ? space + text : text + space;
}

function columnsOf(text: string): number {
  return [...text].length;
}
