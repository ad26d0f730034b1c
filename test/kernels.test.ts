import { existsSync, readdirSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { loadWebgpu } from "../src/engine/adapters.ts";
import { loadShader } from "../src/engine/shader.ts";

// Holds every file of kernels/ to one form, so that a reader finds in its header what it computes, on what, who calls
// it and what checks it; and that a kernel without a caller or a check is noticed.

const kernels = readdirSync("kernels").filter((name) => name.endsWith(".wgsl"));
const read = (path: string) => readFileSync(path, "utf8");
const code = (file: string) => read(`kernels/${file}`);
/** The comment lines that a file begins with. */
const header = (file: string) => code(file).match(/^(?:\/\/(?!@).*\n)+/)?.[0] ?? "";
const named = (file: string, heading: string) =>
  header(file).match(new RegExp(`^// ${heading} +(.+)$`, "m"))?.[1];
const entries = (file: string) =>
  [...code(file).matchAll(/@compute @workgroup_size\([^)]*\)\s*fn (\w+)/g)].map(([, name]) => name!);

describe.each(kernels)("kernels/%s", (file) => {
  test.for(["Shapes", "Dispatch", "Called by", "Checked by"])("has a header line for %s", (heading) => {
    expect(named(file, heading)).toBeTruthy();
  });

  test("is used: every entry point by a caller it names, or the whole by an include", () => {
    const callers = named(file, "Called by")!.split(", ").map(read).join();
    for (const entry of entries(file)) expect(callers).toContain(`kernel("${file}", "${entry}"`);
    if (entries(file).length > 0) return;
    const name = file.replace(/(_subgroup|_workgroup)?\.wgsl$/, "");
    expect(kernels.some((other) => code(other).includes(`//@include ${name}\n`))).toBe(true);
  });

  test("is checked by tests that exist", () => {
    for (const path of named(file, "Checked by")!.split(", ")) {
      expect(existsSync(path), path).toBe(true);
      expect(read(path)).toMatch(/\b(checkOp|expect)\b/);
    }
  });
});

describe("on any adapter", () => {
  let device: GPUDevice;
  beforeAll(async () => {
    // Dawn's null backend compiles WGSL without a driver. It computes nothing, so it checks the text and no values.
    const { create } = await loadWebgpu();
    const instance = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);
    Object.assign(globalThis, { [Symbol.for("climax.gpu.null")]: instance });
    const adapter = (await instance.requestAdapter())!;
    device = await adapter.requestDevice({ requiredFeatures: ["subgroups"] });
  });

  const variants = kernels.flatMap((file) =>
    // Those of subgroups are chosen only where subgroups have a fixed size.
    (file.endsWith("_subgroup.wgsl") ? [4, 8, 16] : [0, 4, 8, 16]).flatMap((size) =>
      entries(file).map((entry) => ({ file, entry, size })),
    ),
  );

  test.for(variants)("$file $entry compiles for subgroups of $size", async ({ file, entry, size }) => {
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ label: file, code: loadShader(file, size).code });
    device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: entry } });
    expect((await device.popErrorScope())?.message).toBeUndefined();
  });
});
