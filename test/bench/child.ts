// Runs another program that reads one JSON value on standard input and prints one JSON value as its last line.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";

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
  const file = new URL(name, import.meta.url).pathname;
  return await child<T>(process.execPath, [...process.execArgv, file], options);
}
