import { afterEach, describe, expect, test, vi } from "vitest";
import { doctorCommand } from "../../src/cli/doctor.ts";
import { bytes, findProblems, inspectMachine, type Machine, packageVersion } from "../../src/cli/machine.ts";
import { softwareMissing } from "../../src/engine/software.ts";
import { version } from "../../src/version.ts";
import { eccodesInstalled } from "../support/eccodes.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

async function doctor(...argv: string[]) {
  const out: string[] = [];
  const stdout = vi.spyOn(process.stdout, "write").mockImplementation((text) => out.push(String(text)) > 0);
  try {
    return { code: await doctorCommand.run(argv), out: out.join("") };
  } finally {
    stdout.mockRestore();
  }
}

const missing = softwareMissing();

describe.skipIf(missing)(`climax doctor (${missing ? `skipped: ${missing}` : "on SwiftShader"})`, () => {
  test("says what a run would use, and that it computes rightly", async () => {
    const { code, out } = await doctor("--adapter", "swiftshader");
    expect(code).toBe(0);
    expect(out).toMatch(new RegExp(`^climax +${version().replaceAll(".", "\\.")}$`, "m"));
    expect(out).toMatch(/^Node +v\d+\.\d+\.\d+$/m);
    expect(out).toMatch(/^webgpu \(Dawn\) +\d+\.\d+\.\d+$/m);
    expect(out).toMatch(/^glibc +2\.\d+$/m);
    expect(out).toMatch(/^\d +SwiftShader driver 5\.0\.0 +software +vulkan +came with npm/m);
    expect(out).toMatch(/^maxStorageBufferBindingSize .*1 GiB$/m);
    expect(out).toMatch(/^subgroups, threads .*4$/m);
    expect(out).toContain("A run would use: SwiftShader driver 5.0.0 (software)\n");
    expect(out).toMatch(/A matrix product on it is right: relative error \d\.\de-\d, 1e-5 allowed; \d+ ms/);
  });

  test("--json is the same for a program", async () => {
    const { code, out } = await doctor("--adapter", "swiftshader", "--json");
    expect(code).toBe(0);
    const report = JSON.parse(out);
    expect(report.versions).toEqual({
      climax: version(),
      node: process.version,
      webgpu: packageVersion("webgpu"),
      eccodes: (await eccodesInstalled()) ? expect.stringMatching(/^\d+\.\d+\.\d+$/) : null,
    });
    expect(report.adapters.at(-1)).toMatchObject({
      name: "SwiftShader driver 5.0.0",
      kind: "software",
      origin: "npm",
      subgroups: { min: 4, max: 4 },
      limits: { maxComputeInvocationsPerWorkgroup: 256 },
    });
    expect(report.trial.relativeError).toBeLessThan(1e-5);
  });
});

test("an adapter that was asked for and is not there is the user's mistake", async () => {
  await expect(doctor("--adapter", "quantum")).rejects.toMatchObject({ name: "ClimaxError", kind: "device" });
});

test("without any adapter it still reports, and ends with 1", async ({ skip }) => {
  skip(process.platform !== "linux", "elsewhere VK_DRIVER_FILES hides nothing");
  vi.stubEnv("CLIMAX_ADAPTER", undefined);
  vi.stubEnv("VK_DRIVER_FILES", "/nonexistent/driver.json");
  const { code, out } = await doctor();
  if (!missing) {
    // npm's SwiftShader is listed, but a run that is told its drivers would not take it.
    expect(out).toMatch(/SwiftShader driver 5\.0\.0/);
  }
  expect(code).toBe(1);
  expect(out).toContain("Wrong with this machine:\n- ");
  expect(out).toContain("  mend: unset VK_DRIVER_FILES");
});

describe("what is wrong with a machine", () => {
  const fine: Machine = {
    platform: "linux-x64 6.1",
    glibc: "2.36",
    cpu: "a CPU",
    cores: 2,
    memory: 16 * 2 ** 30,
    freeMemory: 8 * 2 ** 30,
    cache: "/tmp",
    freeCache: 2 ** 30,
  };
  const gpu = { name: "NVIDIA H200", kind: "hardware" as const };

  test("nothing, when there is a GPU and room", () => {
    expect(findProblems(fine, [gpu])).toEqual([]);
  });

  test.for<[string, Partial<Machine>, RegExp, RegExp]>([
    [
      "an old C library",
      { glibc: "2.28" },
      /^the C library is glibc 2\.28; WebGPU wants 2\.34/,
      /newer system/,
    ],
    ["a C library of a far older major", { glibc: "1.99" }, /glibc 1\.99/, /newer system/],
    ["little memory", { memory: 2 ** 31 }, /^memory is low: 8 GiB free of 2 GiB$/, /smaller batch/],
    [
      "little free memory",
      { freeMemory: 2 ** 29 },
      /^memory is low: 512 MiB free of 16 GiB$/,
      /close other programs/,
    ],
    ...(missing
      ? []
      : ([
          ["a full disk", { freeCache: 2 ** 20 }, /^the disk of \/tmp has 1 MiB free$/, /XDG_CACHE_HOME/],
        ] as [string, Partial<Machine>, RegExp, RegExp][])),
  ])("%s", ([, changed, what, mend]) => {
    const problems = findProblems({ ...fine, ...changed }, [gpu]);
    expect(problems).toHaveLength(1);
    expect(problems[0]!.what).toMatch(what);
    expect(problems[0]!.mend).toMatch(mend);
  });

  test("a newer C library is not an old one", () => {
    for (const glibc of ["2.34", "2.100", "3.0"]) expect(findProblems({ ...fine, glibc }, [gpu])).toEqual([]);
  });

  test("no adapter at all is fatal", () => {
    const [problem] = findProblems(fine, []);
    expect(problem).toMatchObject({ fatal: true });
    expect(problem!.what).toMatch(/^there is no WebGPU adapter \(/);
  });

  test("SwiftShader alone is slow, and lavapipe is named", ({ skip }) => {
    skip(process.platform !== "linux", "lavapipe is named on Linux only");
    const slow = findProblems(fine, [{ name: "SwiftShader driver 5.0.0", kind: "software" }]);
    expect(slow.at(-1)!.mend).toContain("mesa-vulkan-drivers");
    expect(slow.some(({ fatal }) => fatal)).toBe(false);
  });
});

test("the machine is looked at without harm", () => {
  const { cores, memory, freeMemory, freeCache } = inspectMachine();
  expect(cores).toBeGreaterThan(0);
  expect(freeMemory).toBeGreaterThan(0);
  expect(freeMemory).toBeLessThanOrEqual(memory);
  expect(freeCache).toBeGreaterThanOrEqual(0);
});

test.for([
  [0, "0 bytes"],
  [1536, "1.5 KiB"],
  [134_217_728, "128 MiB"],
  [4_294_967_295, "4.0 GiB"],
  [2 ** 30, "1 GiB"],
] as const)("%s bytes are %s", ([count, text]) => {
  expect(bytes(count)).toBe(text);
});
