// The model card that climax convert writes beside a file.

import { version } from "../version.ts";
import { writeModelCard } from "../weights/cardfiles.ts";
import type { CardScores } from "../weights/cardschema.ts";
import { modelCard } from "../weights/modelcard.ts";
import type { ModelSource } from "../weights/source.ts";
import type { Context } from "./command.ts";
import type { ConvertConfig } from "./convert.ts";
import type { Written } from "./convertwrite.ts";

/**
 * @returns paths of what was written; a card that somebody changed is kept, and said
 * @throws  ClimaxError for places that cannot be written
 */
export async function writeCards(
  {
    license,
    authors,
    scores,
    normalised,
    prefix = "net.",
    names,
  }: Pick<ConvertConfig, "license" | "authors" | "normalised" | "prefix" | "names"> & {
    readonly scores: readonly CardScores[];
  },
  { info, notes, warnings }: ModelSource,
  { path, format, bytes, sha256, tensors }: Written,
  context: Context,
): Promise<readonly string[]> {
  const card = modelCard({
    ...{ info, license, authors, notes: [...notes, ...warnings] },
    file: { path, format, bytes, sha256, tensors, normalised, style: { prefix, older: names === "older" } },
    scores,
    created: `${new Date().toISOString().slice(0, 19)}Z`,
    version: version(),
    command: context.commandLine,
  });
  const { written, notes: kept } = writeModelCard(path, card);
  for (const note of kept) context.warn(note);
  return written;
}
