import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { command } from "../../src/cli/command.ts";
import type { ClimaxError } from "../../src/errors.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-command-"));
afterAll(() => rmSync(folder, { recursive: true }));

let received: unknown;
beforeEach(() => {
  received = undefined;
});

const demo = command({
  name: "demo",
  summary: "try every kind of flag",
  description: "Tries every kind\nof flag.\n\nAnd no other.",
  aliases: ["dm"],
  examples: ["climax demo a.nc -o b.nc"],
  positional: { key: "inputs", name: "IN...", variadic: true },
  config: z
    .strictObject({
      inputs: z.array(z.string()).min(1).describe("files to read"),
      output: z.string().describe("file to write").meta({ short: "o", value: "FILE" }),
      leadTime: z.number().positive().default(6).describe("how far ahead, hours"),
      method: z.enum(["bilinear", "nearest"]).default("bilinear").describe("how to regrid"),
      leads: z.array(z.number().int()).default([6, 12]).describe("lead times, hours"),
      names: z.array(z.string()).optional().describe("variables"),
      recompute: z.boolean().default(true).describe("save memory"),
      force: z.boolean().default(false).describe("overwrite"),
      train: z.string().optional().describe("years to train on"),
      range: z
        .union([z.array(z.number()), z.strictObject({ min: z.number(), max: z.number() })])
        .optional()
        .describe("lead times, or their range"),
      weights: z.record(z.string(), z.number()).optional().describe("per variable"),
      sources: z
        .array(z.strictObject({ dir: z.string() }))
        .optional()
        .describe("training sets"),
      model: z
        .strictObject({
          embedDim: z.int().positive().default(128).describe("width of a token"),
          head: z.strictObject({ depth: z.int().default(2).describe("layers of the head") }).prefault({}),
        })
        .prefault({})
        .describe("the network"),
    })
    .refine(({ leadTime }) => leadTime !== 13, "13 hours is no lead time"),
  async run(config) {
    received = config;
  },
});

const plain = {
  inputs: ["a.nc"],
  output: "b.nc",
  leadTime: 6,
  method: "bilinear",
  leads: [6, 12],
  recompute: true,
  force: false,
  model: { embedDim: 128, head: { depth: 2 } },
};

const run = async (...argv: string[]) => {
  await demo.run(argv);
  return received;
};
const failure = async (...argv: string[]) => {
  const error = await demo.run(argv).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ name: "ClimaxError", kind: "config" });
  expect(received).toBeUndefined();
  return error as ClimaxError;
};
const file = (text: string) => {
  const path = join(folder, "settings.yaml");
  writeFileSync(path, text);
  return path;
};

describe("flags", () => {
  test("fill in what the schema says when they are not given", async () => {
    expect(await run("a.nc", "-o", "b.nc")).toEqual(plain);
  });

  test.for<[string[], object]>([
    [["--lead-time", "24"], { leadTime: 24 }],
    [["--lead-time=2.5e1"], { leadTime: 25 }],
    [["--leads", "6,24,72"], { leads: [6, 24, 72] }],
    [["--leads", "6", "--leads", "24, 72"], { leads: [6, 24, 72] }],
    [["--names", "geopotential_500"], { names: ["geopotential_500"] }],
    [["--no-recompute", "--force"], { recompute: false, force: true }],
    [["--recompute", "--no-force"], {}],
    [["--train", "2016"], { train: "2016" }],
    [["--range", "6,12"], { range: [6, 12] }],
    [["--range.min", "-6", "--range.max", "12"], { range: { min: -6, max: 12 } }],
    [["--weights", "z=2,t=0.5"], { weights: { z: 2, t: 0.5 } }],
    [["--sources", "{dir: a}", "--sources", '{"dir": "b"}'], { sources: [{ dir: "a" }, { dir: "b" }] }],
    [["--model.embed-dim", "64"], { model: { embedDim: 64, head: { depth: 2 } } }],
    [["--model.head.depth", "3"], { model: { embedDim: 128, head: { depth: 3 } } }],
    [["--lead-time", "1", "--lead-time", "2"], { leadTime: 2 }],
  ])("%j", async ([argv, changed]) => {
    expect(await run("a.nc", "-o", "b.nc", ...argv)).toEqual({ ...plain, ...changed });
  });

  test("may stand between the arguments", async () => {
    expect(await run("a.nc", "-o", "b.nc", "c.nc")).toMatchObject({ inputs: ["a.nc", "c.nc"] });
  });
});

describe("mistakes in flags", () => {
  test.for<[string[], string, string]>([
    [["--lead-tmie", "6"], "unknown option '--lead-tmie'", "did you mean --lead-time?"],
    [["--qqqqqq", "6"], "unknown option '--qqqqqq'", "see climax demo --help"],
    [
      ["--lead-time", "six"],
      '--lead-time is "six", wanted a number',
      "write it like --lead-time 0.5 or 1e-3",
    ],
    [["--lead-time", ""], '--lead-time is "", wanted a number', "write it like --lead-time 0.5 or 1e-3"],
    [["--leads", "6,x"], '--leads is "x", wanted a number', "write it like --leads 0.5 or 1e-3"],
    [
      ["--lead-time", "-6"],
      "--lead-time is -6: too small: expected number to be >0",
      "see climax demo --help",
    ],
    [["--leads", "6,7.5"], "--leads[1] is 7.5: expected int, received number", "see climax demo --help"],
    [
      ["--method", "billinear"],
      '--method is "billinear": expected one of "bilinear"|"nearest"',
      "see climax demo --help",
    ],
    [["--output", "--force"], "found --force where a value was wanted", "give the flag before it a value"],
    [["--weights", "z"], '--weights is "z", wanted NAME=VALUE', "write --weights z=VALUE"],
    [["--lead-time", "13"], "13 hours is no lead time", "see climax demo --help"],
    [
      ["--sources", "{dir: a, tga: 1}"],
      '--sources[0]: unknown setting "tga"; did you mean "dir"? Known: dir',
      "see climax demo --help",
    ],
    [["--sources", "{}"], "--sources[0].dir is required", "see climax demo --help"],
    [["--range.min", "6"], "--range.max is required", "see climax demo --help"],
    [["--range", "six"], '--range is "six", wanted a number', "write it like --range 0.5 or 1e-3"],
    [
      ["--model.embed-dim", "0.5"],
      "--model.embed-dim is 0.5: expected int, received number",
      "see climax demo --help",
    ],
  ])("%j", async ([argv, message, hint]) => {
    const error = await failure("a.nc", "-o", "b.nc", ...argv);
    expect(error.message.split("\n       ")[0]).toBe(message);
    expect(error.hint).toBe(hint);
  });

  test("what is missing is named, all of it", async () => {
    expect((await failure()).message).toBe("IN... is required\n       --output is required");
  });

  test("a flag without its value", async () => {
    expect((await failure("a.nc", "--output")).message).toBe("option '-o, --output <FILE>' argument missing");
  });
});

describe("--config", () => {
  test("is read, and flags win over it one by one", async () => {
    const path = file("inputs: [a.nc]\noutput: b.nc\nlead_time: 12\ntrain: 2016\nmodel:\n  embed-dim: 32\n");
    expect(await run("--config", path, "--model.head.depth", "5", "--lead-time", "24")).toEqual({
      ...plain,
      leadTime: 24,
      train: "2016",
      model: { embedDim: 32, head: { depth: 5 } },
    });
  });

  test("mistakes are given with file, line and column, and the nearest name", async () => {
    const path = file("inputs: [a.nc]\noutput: b.nc\nleads:\n  - 6\n  - x\nmodel:\n  embedDmi: 32\n");
    expect((await failure("--config", path)).message.split("\n       ")).toEqual([
      `${path}:5:5: leads.1 is "x": expected number, received string`,
      `${path}:7:3: unknown setting "embedDmi"; did you mean "embedDim"? Known: embedDim, head`,
    ]);
  });

  test("what is missing inside a list is said where the item stands", async () => {
    const path = file("inputs: [a.nc]\noutput: b.nc\nsources:\n  - {}\nrange: {min: 6, mx: 7}\n");
    expect((await failure("--config", path)).message.split("\n       ").toSorted()).toEqual([
      `${path}:4:5: sources.0.dir is required`,
      `${path}:5:17: unknown setting "mx"; did you mean "max"? Known: min, max`,
      `${path}:5:8: range.max is required`,
    ]);
  });

  test("a value that a flag replaced is blamed on the flag", async () => {
    const path = file("inputs: [a.nc]\noutput: b.nc\nleadTime: 12\n");
    const { message } = await failure("--config", path, "--lead-time", "-1");
    expect(message).toBe("--lead-time is -1: too small: expected number to be >0");
  });
});

describe("help", () => {
  const help = demo.help(100);

  test("lists every flag with its text, choices and default", () => {
    expect(help).toContain("Usage: climax demo|dm IN... [flags]");
    expect(help).toContain("\nTries every kind of flag.\n\nAnd no other.\n");
    expect(help).toMatch(/^ {2}IN +files to read$/m);
    expect(help).toMatch(/^ {2}-o, --output FILE +file to write \(required\)$/m);
    expect(help).toMatch(/^ {2}--lead-time N +how far ahead, hours \(default: 6\)$/m);
    expect(help).toMatch(
      /^ {2}--method NAME +how to regrid \(one of: bilinear, nearest; default: bilinear\)$/m,
    );
    expect(help).toMatch(/^ {2}--leads N,\.\.\. +lead times, hours \(default: 6,12\)$/m);
    expect(help).toMatch(/^ {2}--\[no-\]recompute +save memory \(default: yes\)$/m);
    expect(help).toMatch(/^ {2}--force +overwrite$/m);
    expect(help).toMatch(/^ {2}--config FILE /m);
    for (const { name } of demo.flags) expect(help).toMatch(new RegExp(`--(\\[no-\\])?${name}( |$)`, "m"));
  });

  test("groups nested flags under what they belong to", () => {
    const [, group] = help.split("Model (the network):\n");
    expect(group).toMatch(
      /^ {2}--model.embed-dim N +width of a token \(default: 128\)\n {2}--model.head.depth N/,
    );
  });

  test("ends with the examples, and fits 80 columns", () => {
    expect(help.endsWith("\nExamples:\n  climax demo a.nc -o b.nc\n")).toBe(true);
    expect(
      Math.max(
        ...demo
          .help(80)
          .split("\n")
          .map(({ length }) => length),
      ),
    ).toBeLessThanOrEqual(80);
  });

  test("--help prints it and runs nothing, whatever else is wrong", async () => {
    const write = vi.spyOn(process.stdout, "write").mockReturnValue(true);
    try {
      expect(await demo.run(["--config", "/no/such/file", "--help"])).toBe(0);
      expect(write.mock.calls.map(([text]) => text).join("")).toContain("Examples:");
    } finally {
      write.mockRestore();
    }
    expect(received).toBeUndefined();
  });
});

describe("context", () => {
  test("print goes to stdout, info and warn to stderr, and --quiet silences info alone", async () => {
    const speak = command({
      name: "speak",
      summary: "say something",
      config: z.strictObject({}),
      async run(_, context) {
        context.print("result");
        context.info("progress");
        context.warn("beware");
        context.info(context.commandLine);
        return 1;
      },
    });
    const out: string[] = [];
    const err: string[] = [];
    const stdout = vi.spyOn(process.stdout, "write").mockImplementation((text) => out.push(String(text)) > 0);
    const stderr = vi.spyOn(process.stderr, "write").mockImplementation((text) => err.push(String(text)) > 0);
    try {
      expect(await speak.run([])).toBe(1);
      expect(await speak.run(["-q"])).toBe(1);
    } finally {
      stdout.mockRestore();
      stderr.mockRestore();
    }
    expect(out).toEqual(["result\n", "result\n"]);
    expect(err).toEqual(["progress\n", "warning: beware\n", "climax speak\n", "warning: beware\n"]);
  });
});

test("a flag that may stand alone, or before a word", async () => {
  const again = command({
    name: "again",
    summary: "go on",
    config: z.strictObject({
      resume: z
        .union([z.boolean(), z.literal("auto")])
        .default(false)
        .describe("go on"),
      output: z.string().optional().describe("folder"),
    }),
    async run(config) {
      received = config;
    },
  });
  const given = async (...argv: string[]) => {
    await again.run(argv);
    return received;
  };
  expect(await given()).toEqual({ resume: false });
  expect(await given("--resume", "--output", "x")).toEqual({ resume: true, output: "x" });
  expect(await given("--output", "x", "--resume")).toEqual({ resume: true, output: "x" });
  expect(await given("--resume", "auto")).toEqual({ resume: "auto" });
  expect(await given("--resume=auto", "--output", "x")).toEqual({ resume: "auto", output: "x" });
  expect(await given("--resume", "--no-resume")).toEqual({ resume: false });
  await expect(again.run(["--resume", "never"])).rejects.toThrow(/--resume/);
  expect(again.help(80)).toContain("--resume [auto]");
});
