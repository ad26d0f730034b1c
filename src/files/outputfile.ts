// A file in the making: it grows under a temporary name beside its target and gets its name when it is complete.
import { closeSync, fsyncSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { ClimaxError } from "../errors.ts";
import { Hdf5Failure } from "./hdf5library.ts";

/** Temporary files of unfinished outputs: removed if the process ends before them. */
const unfinished = new Set<string>();
let tidiesAtExit = false; // a program that only reads is left alone

function tidyAtExit(): void {
  if (tidiesAtExit) return;
  tidiesAtExit = true;
  process.on("exit", () => {
    for (const file of unfinished) rmSync(file, { force: true });
  });
}

export class OutputFile {
  readonly path: string;
  readonly temporaryPath: string;
  readonly #target: string;

  constructor(path: string) {
    this.path = path;
    this.#target = resolve(path);
    this.temporaryPath = `${this.#target}.partial-${process.pid}`;
  }

  /** Makes the temporary file by plain system calls, whose errors say what is wrong. */
  claim(): void {
    const there = statSync(this.#target, { throwIfNoEntry: false });
    if (there?.isDirectory()) {
      throw new ClimaxError("data", `cannot write ${this.path}: it is a folder`, "name a file inside it");
    }
    if (there && !there.isFile()) {
      // A rename would replace the device itself.
      throw new ClimaxError("data", `cannot write ${this.path}: it is a device or a pipe`, "name a file");
    }
    if (unfinished.has(this.temporaryPath)) {
      const what = `cannot write ${this.path}: this run is writing it already`;
      throw new ClimaxError("data", what, "give each output its own name");
    }
    rmSync(this.temporaryPath, { force: true });
    tidyAtExit();
    closeSync(openSync(this.temporaryPath, "wx"));
    unfinished.add(this.temporaryPath);
  }

  /** Brings the file to the disk and gives it its name, in place of a file that was there. */
  finish(): void {
    const descriptor = openSync(this.temporaryPath, "r");
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(this.temporaryPath, this.#target);
    unfinished.delete(this.temporaryPath);
  }

  remove(): void {
    rmSync(this.temporaryPath, { force: true });
    unfinished.delete(this.temporaryPath);
  }

  /** A failed write as the user can mend it; what is none of the user's doing comes back as it is. */
  explain(error: unknown): unknown {
    const folder = dirname(this.#target);
    const { code = "", message } = error as NodeJS.ErrnoException;
    const say = (what: string, hint: string): ClimaxError =>
      new ClimaxError("data", `cannot write ${this.path}: ${what}`, hint, { cause: error });
    if (error instanceof ClimaxError) return error;
    const fromHdf5 = error instanceof Hdf5Failure;
    if (code === "ENOSPC" || code === "EDQUOT" || (fromHdf5 && /no space left|quota/i.test(message))) {
      return say("the disk is full", `free some space in ${folder}, or write elsewhere`);
    }
    if (fromHdf5) return say(message, `check that the disk of ${folder} works and has room`);
    if (code === "ENOENT") return say(`the folder ${folder} does not exist`, `make it: mkdir -p ${folder}`);
    if (code === "ENOTDIR") return say(`${folder} is not a folder`, "check the path");
    if (["EACCES", "EPERM", "EROFS"].includes(code)) {
      return say(`you may not write in ${folder}`, "choose another output folder, or change its permissions");
    }
    return code ? say(message, `check the disk of ${folder}`) : error;
  }
}
