// What a file says beside its tensors, as lines of bounded length and number.

import type { Plain } from "../torch/plainvalue.ts";
import { oneLine } from "./provenance.ts";
import type { InspectedWeights } from "./weightsschema.ts";

/** Entries that are kept. */
const most = 200;
/** Keys that a line may be made of. */
const deepest = 6;

/** Every leaf with its place: `hyper_parameters.lr`, `0.0005`. Lists of plain values are one leaf. */
export function saidEntries(says: { readonly [key: string]: Plain }): InspectedWeights["says"] {
  const entries: InspectedWeights["says"] = [];
  const open: { key: string; value: Plain; depth: number }[] = [];
  const push = (children: [string, Plain][], prefix: string, depth: number) => {
    // The first on top, so that the order of the file is kept.
    for (const [key, value] of children.slice(0, most).reverse())
      open.push({ key: `${prefix}${key}`, value, depth });
  };
  push(
    Object.entries(says).filter(([key]) => key !== "climax" && key !== "training"),
    "",
    1,
  );
  while (open.length > 0 && entries.length < most) {
    const { key, value, depth } = open.pop()!;
    const branches =
      typeof value === "object" && value !== null && !(Array.isArray(value) && value.every(isLeaf));
    if (branches && depth < deepest) push(Object.entries(value) as [string, Plain][], `${key}.`, depth + 1);
    else entries.push({ key: oneLine(key, 120), value: oneLine(valueText(value), 400) });
  }
  return entries;
}

const isLeaf = (value: Plain) => typeof value !== "object" || value === null;

function valueText(value: Plain): string {
  if (Array.isArray(value)) return `[${value.map((one) => (isLeaf(one) ? String(one) : "...")).join(", ")}]`;
  return typeof value === "object" && value !== null ? "{...}" : String(value);
}
