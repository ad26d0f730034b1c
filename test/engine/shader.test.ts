import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { create } from "webgpu";
import { loadShader } from "../../src/engine/shader.ts";

/** Dawn's null backend runs nothing but checks every shader, on a machine without any adapter. */
const instance = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);
Object.assign(globalThis, { [Symbol.for("climax.test.null")]: instance });

const files = readdirSync("kernels").filter((name) => name.endsWith(".wgsl"));
// The others are included by these.
const roots = files.filter((name) => readFileSync(`kernels/${name}`, "utf8").includes("@compute"));

// 0: no subgroups of one size;  4: SwiftShader;  8 and 16: lavapipe;  32: NVIDIA;  64: AMD.
test.for([0, 4, 8, 16, 32, 64])("every kernel compiles for subgroups of %s lanes", async (lanes) => {
  const adapter = (await instance.requestAdapter())!;
  const matrices = "chromium-experimental-subgroup-matrix" as GPUFeatureName;
  const device = await adapter.requestDevice({
    requiredFeatures: ["shader-f16", matrices, ...(lanes > 0 ? (["subgroups"] as const) : [])],
  });
  for (const file of roots) {
    if (file.endsWith("_subgroup.wgsl") && !(lanes > 0 && lanes <= 16)) continue; // GPUs use tiles
    for (const precision of ["f32", "f16"] as const) {
      if (file === "matmul_matrix.wgsl" && precision === "f32") continue; // matrices of subgroups are of f16
      const code = loadShader(file, lanes, precision, lanes === 32).code;
      const { messages } = await device.createShaderModule({ code }).getCompilationInfo();
      expect(
        messages.map(({ message, lineNum }) => `${file}:${lineNum} ${message}`),
        `${file} ${precision}`,
      ).toEqual([]);
    }
  }
  device.destroy();
});

test("a shader's bindings and params are read from its text", () => {
  const { bindings, params } = loadShader("layernorm.wgsl", 8);
  expect(bindings.get("dweight")).toBe(8);
  expect(params).toEqual([
    { name: "rows", type: "u32" },
    { name: "columns", type: "u32" },
    { name: "eps", type: "f32" },
    { name: "block", type: "u32" },
  ]);
});

test("unrolled blocks count in consts of the file", () => {
  const { code } = loadShader("matmul_subgroup.wgsl", 4);
  expect(code).not.toContain("@unroll");
  expect(code).toContain("{ const r = 15u;");
  expect(code).toContain("{ const i = 3u;"); // ROWS / LANES = 4 loads of A
  expect(code).not.toContain("{ const i = 4u;");
});

test("names are declared and used with the number that they are unrolled by", () => {
  const { code } = loadShader("matmul_matrix.wgsl", 32, "f16", true);
  expect(code).toContain("var sum_3_3: Sum;");
  expect(code).not.toMatch(/\/\/@|\$/);
});

test("choices decide which text a kernel has", () => {
  const typeOfA = (choices: string[]) =>
    loadShader("matmul.wgsl", 32, "f16", false, choices).code.match(/> a4: array<(.+)>;/)![1];
  expect([typeOfA([]), typeOfA(["A_HALF"])]).toEqual(["vec4f", "vec4<f16>"]);
});

test("where an include says so, blocks stay loops and names become arrays", () => {
  const [real, emulated] = [true, false].map(
    (matrices) => loadShader("flash_matrix.wgsl", 32, "f16", matrices).code,
  );
  expect(real).toContain("var<private> total_15: f32;");
  expect(emulated).toContain("var<private> total_: array<f32, 16>;");
  expect(emulated).toContain("i < rolled(16u)");
});
