import { afterEach, describe, expect, test, vi } from "vitest";
import { chooseAdapter, listAdapters } from "../../src/engine/adapters.ts";
import { softwareMissing } from "../../src/engine/software.ts";
import { driverFiles, gpuDevices, loadLibrary } from "../../src/engine/vulkan.ts";
import type { ClimaxError } from "../../src/errors.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

const missing = softwareMissing();
const refusal = async (name?: string): Promise<ClimaxError> =>
  chooseAdapter({ name }).then(
    ({ name: found }) => {
      throw new Error(`found ${found}`);
    },
    (error) => error,
  );

describe.skipIf(missing)(`with npm's SwiftShader (${missing ? `skipped: ${missing}` : "installed"})`, () => {
  test.for(["swiftshader", "SwiftShader", "  SWIFTSHADER driver "])(
    "%j chooses it, whatever else there is",
    async (name) => {
      expect(await chooseAdapter({ name })).toMatchObject({
        kind: "software",
        name: "SwiftShader driver 5.0.0",
      });
    },
  );

  test("CLIMAX_ADAPTER chooses when no name is given", async () => {
    vi.stubEnv("CLIMAX_ADAPTER", "swiftshader");
    expect((await chooseAdapter()).name).toBe("SwiftShader driver 5.0.0");
    expect((await refusal("no such adapter")).message).toMatch(/^no adapter matches "no such adapter"/);
  });

  test("choosing it leaves the environment as it was", async () => {
    vi.stubEnv("VK_DRIVER_FILES", "/my/driver.json");
    await chooseAdapter({ name: "swiftshader" });
    expect(process.env.VK_DRIVER_FILES).toBe("/my/driver.json");
    vi.stubEnv("VK_DRIVER_FILES", undefined);
    await chooseAdapter({ name: "swiftshader" });
    expect(process.env.VK_DRIVER_FILES).toBeUndefined();
  });

  test("it computes: a buffer written and copied comes back", async () => {
    const { adapter } = await chooseAdapter({ name: "swiftshader" });
    const device = await adapter.requestDevice();
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const buffer = device.createBuffer({ size: 16, usage });
    device.queue.writeBuffer(buffer, 0, Float32Array.of(1, 2, 3, 4));
    await buffer.mapAsync(GPUMapMode.READ);
    expect([...new Float32Array(buffer.getMappedRange())]).toEqual([1, 2, 3, 4]);
    buffer.unmap();
    device.destroy();
  });

  test("is listed last, after the system's, and once", async () => {
    const entries = await listAdapters();
    expect(entries.at(-1)).toMatchObject({
      backend: "vulkan",
      kind: "software",
      driver: "SwiftShader driver 5.0.0",
    });
    expect(entries.filter(({ name }) => /swiftshader/i.test(name))).toHaveLength(1);
  });

  test("is what a machine without a driver gets", async ({ skip }) => {
    vi.stubEnv("CLIMAX_ADAPTER", undefined);
    vi.stubEnv("VK_DRIVER_FILES", undefined);
    vi.stubEnv("VK_ICD_FILENAMES", undefined);
    for (const name of ["XDG_DATA_DIRS", "XDG_CONFIG_DIRS", "XDG_DATA_HOME", "XDG_CONFIG_HOME"])
      vi.stubEnv(name, "/nonexistent");
    // /etc/vulkan is looked at wherever XDG points: a machine with drivers there has no bare machine to offer.
    skip(driverFiles().length > 0, "drivers in /etc/vulkan");
    expect((await chooseAdapter()).name).toBe("SwiftShader driver 5.0.0");
  });
});

test("an unknown name is an error that lists what there is", async () => {
  const { kind, message, hint } = await refusal("quantum");
  expect(kind).toBe("device");
  expect(message).toMatch(
    /^no adapter matches "quantum"; there (are: .+ \((hard|soft)ware\)|is none \(.+\))$/,
  );
  expect(hint).toMatch(/--adapter|install a Vulkan driver/);
});

test("VK_DRIVER_FILES is the whole of the system: nothing else is taken in its place", async ({ skip }) => {
  vi.stubEnv("CLIMAX_ADAPTER", undefined);
  vi.stubEnv("VK_DRIVER_FILES", "/nonexistent/driver.json");
  skip(process.platform !== "linux", "elsewhere the system's adapters need no Vulkan");
  const { kind, message, hint } = await refusal();
  expect(kind).toBe("device");
  expect(message).toMatch(
    /^no WebGPU adapter found \(linux-\w+; VK_DRIVER_FILES=\/nonexistent\/driver\.json; no Vulkan driver files; /,
  );
  expect(hint).toMatch(
    /^unset VK_DRIVER_FILES, or let it name a driver's \.json; or install a Vulkan driver/,
  );
});

describe("what the machine offers to Vulkan", () => {
  test("driver files are those that VK_DRIVER_FILES names and that exist", () => {
    vi.stubEnv("VK_DRIVER_FILES", `${import.meta.filename}:package.json:/nonexistent.json`);
    expect(driverFiles()).toEqual(["package.json"]);
  });

  test("GPU devices are device files", () => {
    for (const path of gpuDevices()) expect(path).toMatch(/^\/dev\//);
  });

  test("a library that is not there is told from one that Node cannot use as an addon", ({ skip }) => {
    skip(process.platform !== "linux", "the loader's words are Linux's");
    expect(loadLibrary("libno-such-library.so.1")).toMatch(/cannot open shared object file/);
    expect(loadLibrary("libm.so.6")).toBeUndefined();
  });
});
