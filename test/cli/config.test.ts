/** climax config: the file it prints is one that the commands take, and says what they would do without it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { over } from "../../src/cli/command.ts";
import { FinetuneConfig } from "../../src/train/finetune.ts";
import { outputsOf, presetOf, taskNames } from "../../src/train/presets.ts";
import { climax } from "../support/climax.ts";

const root = mkdtempSync(join(tmpdir(), "climax-config-"));
afterAll(() => rmSync(root, { recursive: true }));

async function printed(task: string): Promise<{ file: string; text: string }> {
  const { code, out, err } = await climax("config", task);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const file = join(root, `${task}.yaml`);
  writeFileSync(file, out);
  return { file, text: out };
}

describe.each(taskNames)("%s", (task) => {
  test("is a file that climax finetune takes, to the last key", async () => {
    const { file } = await printed(task);
    // All is understood: what is missing is what the example paths name.
    const { code, err } = await climax("finetune", "--config", file);
    expect(code).toBe(2);
    expect(err).toContain("cannot open runs/pretrain/best.safetensors: there is no such file");
  });

  test("has the settings that the task has anyway", async () => {
    const { text } = await printed(task);
    const required = {
      output: `runs/${task}`,
      checkpoint: "runs/pretrain/best.safetensors",
      data: { set: "sets/era5", outputs: [...outputsOf[task]] },
      task,
    };
    const meant = FinetuneConfig.parse(over(presetOf(task, true), required));
    expect(FinetuneConfig.parse(camel(parse(text)))).toEqual(meant);
  });
});

test("pretrain is a file that climax pretrain takes", async () => {
  const { file, text } = await printed("pretrain");
  expect(text).toContain("# hours between lead times");
  const { code, err } = await climax("pretrain", "--config", file);
  expect({ code, err }).toMatchObject({ code: 2, err: expect.stringContaining("sets/mpi-esm") });
});

test("every line that is no setting is a comment or empty, and none is long", async () => {
  const { text } = await printed("global");
  for (const line of text.split("\n")) {
    expect(line).toMatch(/^\s*(#.*|[a-z0-9-]+:.*|)$/);
    expect(line.length).toBeLessThanOrEqual(120);
  }
});

test("a task there is not is refused by name", async () => {
  const { code, err } = await climax("config", "nowcast");
  expect(code).toBe(2);
  expect(err).toContain("nowcast");
});

/** Keys as the schema spells them. */
function camel(value: unknown): unknown {
  if (value === null) return {}; // a section of comments
  if (typeof value !== "object" || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      camel(inner),
    ]),
  );
}
