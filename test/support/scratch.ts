/** A folder that lasts as long as a run of the tests, for what several files of them use; processes of tests are killed. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const variable = "CLIMAX_TEST_SCRATCH";

export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "climax-tests-"));
  process.env[variable] = folder; // which the processes of tests inherit
  return () => rmSync(folder, { recursive: true, force: true });
}

export function scratch(): string {
  const folder = process.env[variable];
  if (folder === undefined) throw new Error("run the tests with --config test/vitest.config.ts");
  return folder;
}
