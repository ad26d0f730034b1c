/** The command line, as typed: within this process, or in one of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { vi } from "vitest";
import { main } from "../../src/cli/main.ts";
import { builtClimax } from "./builtclimax.ts";

export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `climax ...argv` here and gives its exit code and what it said. */
export async function climax(...argv: string[]): Promise<Said> {
  const out: string[] = [];
  const err: string[] = [];
  const stdout = vi.spyOn(process.stdout, "write").mockImplementation((text) => out.push(String(text)) > 0);
  const stderr = vi.spyOn(process.stderr, "write").mockImplementation((text) => err.push(String(text)) > 0);
  try {
    return { code: await main(argv), out: out.join(""), err: err.join("") };
  } finally {
    stdout.mockRestore();
    stderr.mockRestore();
  }
}

/** Runs `climax ...argv` in a process of its own, which can be sent real signals. */
export function climaxProcess(...argv: string[]): { child: ChildProcess; done: Promise<Said> } {
  const child = spawn(process.execPath, [...builtClimax(), ...argv], { stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const done = new Promise<Said>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? -1, out, err }));
  });
  return { child, done };
}
