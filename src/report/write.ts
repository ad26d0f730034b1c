/** A folder with a report: a page that opens anywhere, and its numbers as JSON and CSV. */
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { ClimaxError } from "../errors.ts";
import type { Scores } from "../scores/scoredocument.ts";
import { toCsv, toJson } from "../scores/tables.ts";
import { generator, reportPage } from "./page.ts";

/** Files of a report, and how to know that one of that name is ours. */
const ours: Readonly<Record<string, (text: string) => boolean>> = {
  "scores.csv": (text) => text.startsWith("system,definition,metric,variable,lead_hours,"),
  "scores.json": (text) => /^\s*\{\s*"format":\s*"climax-scores"/.test(text),
  // The page last: whoever sees a new one has new numbers beside it.
  "index.html": (text) => text.includes(`content="${generator}"`),
};

/**
 * Writes `index.html`, `scores.json` and `scores.csv` into a folder, which is made where there is none. A report that
 * is there is replaced; other files of the folder stay. It is written whole or not at all.
 *
 * @throws ClimaxError "data" where the folder cannot be written, or holds files of these names that are no report
 */
export async function writeReport(dir: string, scores: Scores): Promise<void> {
  const page = await reportPage(scores);
  const contents: Readonly<Record<string, string>> = {
    "scores.csv": toCsv(scores.document.rows),
    "scores.json": toJson(scores.document),
    "index.html": page,
  };
  await checkReportFolder(dir);
  await guarded(dir, async (partial) => {
    for (const [name, text] of Object.entries(contents)) await writeFile(join(partial, name), text);
    if (!existsSync(dir)) {
      await mkdir(dirname(resolve(dir)), { recursive: true });
      await rename(partial, dir);
      return;
    }
    for (const name of Object.keys(contents)) await rename(join(partial, name), join(dir, name));
  });
}

/** Throws the same errors now, before the work is done, for a folder that cannot take a report. */
export async function checkReportFolder(dir: string): Promise<void> {
  const info = await stat(dir).catch(() => undefined);
  if (info !== undefined && !info.isDirectory()) {
    throw new ClimaxError("data", `cannot write the report ${dir}: it is a file`, "name a folder");
  }
  for (const [name, isOurs] of Object.entries(ours)) {
    const text = await readFile(join(dir, name), "utf8").catch((error: NodeJS.ErrnoException) =>
      error.code === "ENOENT" || error.code === "ENOTDIR" ? undefined : "",
    );
    if (text !== undefined && !isOurs(text)) {
      throw new ClimaxError(
        "data",
        `${dir} holds ${name === "index.html" ? "an" : "a"} ${name} that is no report's`,
        "name another folder for the report, or move that file away",
      );
    }
  }
  await guarded(dir, async () => undefined);
}

/** Works in a folder on the disk of the target, which is gone afterwards. */
async function guarded(dir: string, work: (partial: string) => Promise<void>): Promise<void> {
  const target = resolve(dir);
  // Inside a folder that is there: it may be a link to another disk, and what is around it may be read-only.
  let above = target;
  while (!existsSync(above)) above = dirname(above);
  const partial = join(above, `.${basename(target)}.partial-${process.pid}`);
  try {
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial);
    await work(partial);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reasons: Readonly<Record<string, string>> = {
      ENOTDIR: "a part of its path is a file",
      EEXIST: "a part of its path is a file",
      EACCES: "permission denied",
      EPERM: "permission denied",
      EROFS: "the file system is read-only",
      ENOSPC: "no space is left",
    };
    throw new ClimaxError(
      "data",
      `cannot write the report ${dir}: ${reasons[code ?? ""] ?? message}`,
      "choose another folder, or make room",
      { cause: error },
    );
  } finally {
    await rm(partial, { recursive: true, force: true }).catch(() => undefined);
  }
}
