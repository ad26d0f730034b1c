import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test, vi } from "vitest";
import { commandGroups, main } from "../../src/cli/main.ts";
import { version } from "../../src/version.ts";
import { builtSource } from "../support/builtclimax.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-main-"));
afterAll(() => rmSync(folder, { recursive: true }));

const entries = commandGroups.flatMap(({ commands }) => commands);

async function climax(...argv: string[]) {
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

/** A process of its own, for what a process alone can show: pipes, signals. */
const own = (code: string, ...argv: string[]) => ["--input-type=module", "-e", code, "--", ...argv];
const RUN_MAIN = `
  const { main } = await import(${JSON.stringify(builtSource("cli/main"))});
  process.exitCode = await main(process.argv.slice(1));`;

describe("climax", () => {
  test("without a command, --help and help print the commands and what they do", async () => {
    for (const argv of [[], ["--help"], ["-h"], ["help"]]) {
      const { code, out, err } = await climax(...argv);
      expect({ code, err }).toEqual({ code: 0, err: "" });
      for (const { name, summary } of entries) {
        expect(out).toMatch(new RegExp(`^ {2}${name}(, \\w+)? +${summary}$`, "m"));
      }
    }
  });

  test("--version is that of package.json", async () => {
    expect(await climax("--version")).toEqual({ code: 0, out: `${version()}\n`, err: "" });
    expect(version()).toMatch(/^\d+\.\d+\.\d+/);
  });

  test("a command that is not there is a mistake, and the nearest is named", async () => {
    const { code, out, err } = await climax("fourcast");
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(/^error: unknown command "fourcast"\nhint: {2}did you mean "forecast"\? Known: /);
  });

  test("a flag before the command is a mistake", async () => {
    const { code, err } = await climax("--res", "5.625");
    expect(code).toBe(2);
    expect(err).toContain("found the flag --res where a command was wanted");
  });
});

describe.each(entries)("climax $name", ({ name, aliases = [], summary, load }) => {
  test("calls itself what the list calls it", async () => {
    const command = await load();
    expect(command).toMatchObject({ name, aliases, summary });
  });

  test("has a help that describes every flag, has an example and fits 80 columns", async () => {
    const command = await load();
    const help = command.help(80);
    expect(help).toMatch(new RegExp(`^Usage: climax ${name}\\b`));
    expect(help).toMatch(new RegExp(`^Examples:\n {2}climax ${name}\\b`, "m"));
    for (const { name: flag, schema } of command.flags) {
      expect(help).toContain(flag);
      expect(schema.description, `--${flag} has no description`).toBeTruthy();
    }
    const [flags] = help.split("\nExamples:");
    for (const line of flags!.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
  });

  test("refuses an unknown flag", async () => {
    const { code, err } = await climax(name, "--no-such-flag-anywhere");
    expect(code).toBe(2);
    expect(err).toMatch(/^error: unknown option '--no-such-flag-anywhere'\nhint: {2}/);
  });

  test("is shown by climax help", async () => {
    const { code, out } = await climax("help", aliases[0] ?? name);
    expect(code).toBe(0);
    expect(out).toMatch(new RegExp(`^Usage: climax ${name}\\b`));
  });
});

describe("errors", () => {
  test("a config typo is one clear paragraph with file, line and column, and exit code 2", async () => {
    const path = join(folder, "doctor.yaml");
    writeFileSync(path, "recompute: [1\n");
    const { code, out, err } = await climax("regrid", "--config", path);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(/^error: \S+doctor\.yaml:2:1: .*\nhint: {2}.*\n$/);
  });

  test("CLIMAX_DEBUG=1 adds the stack", async () => {
    vi.stubEnv("CLIMAX_DEBUG", "1");
    try {
      expect((await climax("fourcast")).err).toMatch(/\n {4}at /);
    } finally {
      vi.unstubAllEnvs();
    }
    expect((await climax("fourcast")).err).not.toMatch(/\n {4}at /);
  });

  test.for([
    [
      { code: "ENOSPC", syscall: "write", path: "/x/y.nc" },
      2,
      /^error: \/x\/y\.nc: no space left on the device\nhint: {2}free/,
    ],
    [{ code: "EACCES", syscall: "open", path: "/x" }, 2, /^error: \/x: permission denied\nhint: /],
    [{ code: "ENOSPC", syscall: "write" }, 2, /^error: cannot write: no space left on the device\n/],
    [{ code: "ERR_INVALID_ARG_TYPE" }, 1, /^error: a bug in climax \d.*\nError: boom\n {4}at /],
  ] as const)("%j from the system ends with exit code %i", async ([fields, code, text]) => {
    const doctor = entries.find(({ name }) => name === "doctor")!;
    const load = vi.spyOn(doctor, "load").mockRejectedValue(Object.assign(new Error("boom"), fields));
    try {
      const result = await climax("doctor");
      expect(result.code).toBe(code);
      expect(result.err).toMatch(text);
    } finally {
      load.mockRestore();
    }
  });
});

describe("in a process of its own", () => {
  test("a reader that stops reading is no error", () => {
    const script = `${JSON.stringify(process.execPath)} "$@" | head -n 1; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = spawnSync("bash", ["-c", script, "bash", ...own(RUN_MAIN, "--help")], {
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    expect(stdout).toBe(
      `climax ${version()}: the ClimaX weather and climate model, from weather files to scored forecasts\n0\n`,
    );
  });

  test.skipIf(!existsSync("/dev/full"))(
    "a disk that is full for what is printed is said (skipped without /dev/full)",
    () => {
      const script = `${JSON.stringify(process.execPath)} "$@" > /dev/full`;
      const { stderr, status } = spawnSync("bash", ["-c", script, "bash", ...own(RUN_MAIN, "--help")], {
        encoding: "utf8",
      });
      expect({ stderr, status }).toEqual({
        stderr:
          "error: cannot print the results: no space left on the device\nhint:  free some space, or choose another disk\n",
        status: 2,
      });
    },
  );

  test("--help loads neither WebGPU nor HDF5", () => {
    const code = `${RUN_MAIN}
      const { createRequire } = await import("node:module");
      const loaded = Object.keys(createRequire(import.meta.url).cache);
      process.stderr.write(String(loaded.filter((path) => /dawn\\.node|h5wasm/.test(path))));`;
    const { stderr, status } = spawnSync(process.execPath, own(code, "--help"), { encoding: "utf8" });
    expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
  });

  /** Works until it is interrupted, then takes \`tidy\` ms to tidy up. */
  const working = (tidy: number) => `
    const { interruptible } = await import(${JSON.stringify(builtSource("cli/interrupt"))});
    const { commandGroups, main } = await import(${JSON.stringify(builtSource("cli/main"))});
    commandGroups[0].commands[0].load = async () => ({
      run: () => interruptible(async (signal) => {
        const busy = setInterval(() => {}, 1000);
        process.stdout.write("working ");
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        process.stdout.write("tidying ");
        await new Promise((resolve) => setTimeout(resolve, ${tidy}));
        clearInterval(busy);
        process.stdout.write("tidy");
        signal.throwIfAborted();
        return 0;
      }, ({ message }) => process.stdout.write(message + " ")),
    });
    process.exitCode = await main([commandGroups[0].commands[0].name]);`;

  async function interrupted(tidy: number, ...signals: NodeJS.Signals[]) {
    const child = spawn(process.execPath, own(working(tidy)), { stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    let err = "";
    const left = [...signals];
    child.stdout.on("data", (chunk) => {
      out += chunk;
      if (left.length > 0 && /(working|tidying) $/.test(out)) child.kill(left.shift());
    });
    child.stderr.on("data", (chunk) => {
      err += chunk;
    });
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
      child.on("close", (...how) => resolve(how));
    });
    return { out, err, code, signal };
  }

  test.for([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s lets the work tidy up, and ends with %i", async ([name, code]) => {
    expect(await interrupted(1, name)).toEqual({
      out: `working interrupted by ${name} tidying tidy`,
      err: `interrupted by ${name}\n`,
      code,
      signal: null,
    });
  });

  test("a second signal ends it at once", async () => {
    const { out, signal } = await interrupted(60_000, "SIGINT", "SIGTERM");
    expect({ out, signal }).toEqual({ out: "working interrupted by SIGINT tidying ", signal: "SIGTERM" });
  });
});
