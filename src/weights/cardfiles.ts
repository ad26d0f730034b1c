// Writes a model card beside the file that it describes, and keeps what a person has written in it.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { ClimaxError } from "../errors.ts";
import { OutputFile } from "../files/outputfile.ts";
import { cardMarkdown } from "./cardmarkdown.ts";
import type { ModelCard } from "./cardschema.ts";

/** What is written, by what is added to the name of the file: each exported file has cards of its own. */
const endings = { markdown: ".card.md", json: ".card.json" } as const;

export interface WrittenCard {
  readonly written: readonly string[];
  /** For the user: what was kept because somebody changed it, one line each. */
  readonly notes: readonly string[];
}

/**
 * Writes `<file>.card.md` and `<file>.card.json`. A file of that name is replaced if it is a card as climax wrote it,
 * to the last byte; one that was changed since, or that is something else, stays, and `notes` says so.
 *
 * @param besides  path of the exported file
 * @throws         ClimaxError for a place that cannot be read or written
 */
export function writeModelCard(besides: string, card: ModelCard): WrittenCard {
  const files = [
    {
      path: `${besides}${endings.markdown}`,
      text: sealedMarkdown(cardMarkdown(card)),
      sealed: isSealedMarkdown,
    },
    { path: `${besides}${endings.json}`, text: sealedJson(card), sealed: isSealedJson },
  ];
  const written: string[] = [];
  const notes: string[] = [];
  for (const { path, text, sealed } of files) {
    const there = read(path);
    if (there === undefined || sealed(there)) {
      write(path, text);
      written.push(path);
    } else {
      notes.push(
        `${path} is kept as it is: it was changed by hand, or climax did not write it. It does not describe the new ${besides}; move it away and convert again for a card that does`,
      );
    }
  }
  return { written, notes };
}

const digest = (text: string) => createHash("sha256").update(text).digest("hex");

const sealStart = "<!-- climax model card, unchanged while the SHA-256 of all above is ";

function sealedMarkdown(text: string): string {
  return `${text}\n${sealStart}${digest(text)} -->\n`;
}

function isSealedMarkdown(text: string): boolean {
  const at = text.lastIndexOf(`\n${sealStart}`);
  return at >= 0 && text === sealedMarkdown(text.slice(0, at));
}

/** The card, with the sum of itself as the last key. */
function sealedJson(card: ModelCard): string {
  const text = JSON.stringify(card, null, 2);
  return `${JSON.stringify({ ...card, unchanged: digest(text) }, null, 2)}\n`;
}

function isSealedJson(text: string): boolean {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return false;
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) return false;
  const { unchanged: _, ...card } = json as Record<string, unknown>;
  return card.format === "climax-model-card" && text === sealedJson(card as unknown as ModelCard);
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw new ClimaxError(
      "data",
      `cannot write the model card ${path}: what is there cannot be read (${message})`,
      "move it away, or choose another name for the output",
      { cause: error },
    );
  }
}

function write(path: string, text: string): void {
  const file = new OutputFile(path);
  try {
    file.claim();
    writeFileSync(file.temporaryPath, text);
    file.finish();
  } catch (error) {
    file.remove();
    throw file.explain(error);
  }
}
