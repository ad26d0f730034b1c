// How a study shares its work: each process makes some of the cells and notes them in a file of its own; whoever opens
// the study finds what stands in all of them.
import { readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { dealt, type Share, shareName } from "../data/share.ts";
import type { Context } from "./command.ts";
import type { RanksAtWork } from "./ranks.ts";
import { type Cell, readStudy, type Study, type StudyFile } from "./studyruns.ts";

/** Of a folder: where a share notes what it has done. */
export const shareStudyFile = ({ index, count }: Share): string => `study.share-${index}-of-${count}.json`;

/** The files of the shares in a folder of a study. */
export function shareStudyFiles(out: string): string[] {
  return readdirSync(out)
    .filter((name) => /^study\.share-\d+-of-\d+\.json$/.test(name))
    .sort();
}

/** The cells of a share: those that have a job in common stay together, so that no job is run twice at a time. */
export function cellsOf<C extends Cell>(cells: readonly C[], share: Share): C[] {
  const groups: { cells: C[]; products: Set<string> }[] = [];
  for (const cell of cells) {
    const products = cell.jobs.map(({ product }) => product);
    const met = groups.filter((group) => products.some((product) => group.products.has(product)));
    const rest = groups.filter((group) => !met.includes(group));
    const joined = {
      cells: [...met.flatMap((group) => group.cells), cell],
      products: new Set([...met.flatMap((group) => [...group.products]), ...products]),
    };
    groups.splice(0, groups.length, ...rest, joined);
  }
  const first = (group: (typeof groups)[number]) => cells.indexOf(group.cells[0]!);
  const ordered = groups.toSorted((a, b) => first(a) - first(b));
  return dealt(ordered, share).flatMap((group) => group.cells);
}

/**
 * What to do when a process has made its cells: a share of an array says so and ends; ranks wait for one another, and
 * rank 0 has the results.
 *
 * @param failed  cells of this process that failed
 * @returns       those that failed of all; undefined where the results are not this process's to tell
 */
export async function endOfShare(
  study: Study,
  cells: readonly Cell[],
  failed: readonly string[],
  { share, world, meet, context }: RanksAtWork,
): Promise<readonly string[] | undefined> {
  if (share && world.size === 1) {
    sayShare(study, cells, failed, share, context);
    return undefined;
  }
  const all = share
    ? (await meet(JSON.stringify(failed))).flatMap((text) => JSON.parse(text) as string[])
    : failed;
  if (world.rank > 0) return undefined;
  const files = shareStudyFiles(study.out);
  for (const name of files) addTo(study.file, readStudy(join(study.out, name)));
  inOrder(study.file, cells);
  await study.saveWhole();
  for (const name of files) await rm(join(study.out, name), { force: true });
  return all;
}

function sayShare(
  { out, file }: Study,
  cells: readonly Cell[],
  failed: readonly string[],
  share: Share,
  context: Context,
): void {
  const own = cellsOf(cells, share);
  const done = own.filter(({ name }) => file.cells[name]).length;
  if (failed.length > 0) context.warn(`${failed.join(", ")} failed; the same command tries again`);
  context.print(
    `${join(out, shareStudyFile(share))}: share ${shareName(share)}, ${done} of ${own.length} cells are done; when all ` +
      `${share.count} are, the same command without --shard makes the tables`,
  );
}

/** Takes over what another file of the study has. */
export function addTo(file: StudyFile, other: StudyFile): void {
  for (const [product, seconds] of Object.entries(other.jobs)) file.jobs[product] ??= seconds;
  for (const [name, cell] of Object.entries(other.cells)) file.cells[name] ??= cell;
}

/** As one process writes them. */
function inOrder(file: StudyFile, cells: readonly Cell[]): void {
  const names = [...new Set([...cells.map(({ name }) => name), ...Object.keys(file.cells)])];
  const found = names.flatMap((name) => (file.cells[name] ? [[name, file.cells[name]] as const] : []));
  file.cells = Object.fromEntries(found);
}
