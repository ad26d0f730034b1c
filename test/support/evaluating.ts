/** `climax evaluate` as a user types it, within this process: what it prints and says, and what it refuses. */
import { expect, vi } from "vitest";
import { evaluateCommand } from "../../src/cli/evaluate.ts";
import type { ClimaxError } from "../../src/errors.ts";

/** Of the latest run: what went to standard output, and to standard error. */
export const printed: string[] = [];
export const said: string[] = [];

/** Throws what the command throws. */
export async function evaluate(...argv: string[]): Promise<void> {
  printed.length = 0;
  said.length = 0;
  const out = vi.spyOn(process.stdout, "write").mockImplementation((text) => printed.push(String(text)) > 0);
  const err = vi.spyOn(process.stderr, "write").mockImplementation((text) => said.push(String(text)) > 0);
  try {
    await evaluateCommand.run(argv);
  } finally {
    out.mockRestore();
    err.mockRestore();
  }
}

/** The error that the command ends with. */
export async function failure(...argv: string[]): Promise<ClimaxError> {
  const error: unknown = await evaluate(...argv).then(
    () => undefined,
    (error) => error,
  );
  expect(error).toMatchObject({ name: "ClimaxError" });
  return error as ClimaxError;
}
