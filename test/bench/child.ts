// Runs another program that reads one JSON value on standard input and prints one JSON value as its last line.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

export interface ChildOptions {
  /** On top of this process's environment; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Standard input. */
  readonly input?: unknown;
}

/** @throws Error with the end of what the program said on stderr, when it fails */
export async function child<T>(
  file: string,
  args: readonly string[],
  { env = {}, input = {} }: ChildOptions = {},
): Promise<T> {
  const process_ = spawn(file, args, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"] });
  process_.stdin.on("error", () => undefined); // a program that fails early does not read
  process_.stdin.end(JSON.stringify(input));
  const [out, said, [code, signal]] = await Promise.all([
    text(process_.stdout),
    text(process_.stderr),
    once(process_, "close") as Promise<[number | null, string | null]>,
  ]);
  const last = out.trim().split("\n").at(-1) ?? "";
  if (code !== 0) {
    const lines = said.trim().split("\n");
    throw new Error(
      lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1) ?? `ended by ${signal ?? code}`,
    );
  }
  return JSON.parse(last) as T;
}

/** Runs a script of this folder with the loader this process was started with. */
export async function script<T>(name: string, options: ChildOptions = {}): Promise<T> {
  const file = fileURLToPath(new URL(name, import.meta.url));
  return await child<T>(process.execPath, [...process.execArgv, file], options);
}

/**
 * Runs a script of this folder as JavaScript, as users run the built program: a loader of TypeScript takes memory of its
 * own (67 MB).
 */
export async function bundledScript<T>(name: string, options: ChildOptions = {}): Promise<T> {
  const source = fileURLToPath(new URL(name, import.meta.url));
  // Beside the source: as deep below the root as src/engine, which finds kernels/ from where it lies.
  const file = `${source}.${process.pid}.built.mjs`;
  try {
    await build({
      entryPoints: [source],
      outfile: file,
      bundle: true,
      platform: "node",
      format: "esm",
      packages: "external",
      logLevel: "error",
    });
    return await child<T>(process.execPath, [file], options);
  } finally {
    await rm(file, { force: true });
  }
}
