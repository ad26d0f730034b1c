import { existsSync, readdirSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { loadWebgpu } from "../src/engine/adapters.ts";
import { MATRICES } from "../src/engine/device.ts";
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
    const name = file.replace(/(_subgroup|_workgroup|_emulated|_f32|_f16)?\.wgsl$/, "");
    expect(kernels.some((other) => code(other).includes(`//@include ${name}\n`))).toBe(true);
  });

  test("is checked by tests that exist", () => {
    for (const path of named(file, "Checked by")!.split(", ")) {
      expect(existsSync(path), path).toBe(true);
      expect(read(path)).toMatch(/\b(checkOp|expect)\b/);
    }
  });
});

/** The blocks of subgroup matrices that the 16 KiB of workgroup memory of the null adapter have room for. */
const SMALLEST = { HEIGHT: 32, WIDTH: 32, SIDE: 1 };

describe("on any adapter", () => {
  let device: GPUDevice;
  beforeAll(async () => {
    // Dawn's null backend compiles WGSL without a driver. It computes nothing, so it checks the text and no values.
    const { create } = await loadWebgpu();
    const instance = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);
    Object.assign(globalThis, { [Symbol.for("climax.gpu.null")]: instance });
    const adapter = (await instance.requestAdapter())!;
    device = await adapter.requestDevice({ requiredFeatures: ["subgroups", "shader-f16", MATRICES] });
  });

  interface Variant {
    readonly file: string;
    readonly entry: string;
    /** Lanes of a subgroup. */
    readonly size: number;
    readonly precision: "f32" | "f16";
    readonly matrices: boolean;
    readonly constants: Readonly<Record<string, number>>;
    readonly choices?: readonly string[];
  }

  async function expectToCompile({ file, entry, size, precision, matrices, constants, choices }: Variant) {
    device.pushErrorScope("validation");
    const { code } = loadShader(file, size, precision, matrices, choices);
    const module = device.createShaderModule({ label: file, code });
    device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: entry, constants } });
    expect((await device.popErrorScope())?.message).toBeUndefined();
  }

  // 4: SwiftShader;  8 and 16: lavapipe;  32: NVIDIA;  64: AMD;  0: subgroups of no fixed size.
  const variants = kernels.flatMap((file) =>
    // Those of subgroups are chosen only where subgroups have a fixed, small size.
    (file.endsWith("_subgroup.wgsl") ? [4, 8, 16] : [0, 4, 8, 16, 32, 64]).flatMap((size) =>
      entries(file).map((entry) => ({ file, entry, size })),
    ),
  );
  test.for(variants)("$file $entry compiles for subgroups of $size", async (variant) => {
    const isMatrix = variant.file === "matmul_matrix.wgsl";
    const constants: Record<string, number> = isMatrix ? SMALLEST : {};
    await expectToCompile({ ...variant, precision: isMatrix ? "f16" : "f32", matrices: false, constants });
  });

  const epilogues: Record<string, Record<string, number>> = {
    "a plain epilogue": {},
    "bias, gelu, noise, residual, accumulation": {
      ...{ BIAS: 1, GELU: 1, KEEP: 1, NOISE: 1, RESIDUAL: 1, ACCUMULATE: 1 },
    },
    "gelu's slope and noise": { SLOPE: 1, NOISE: 1 },
    "operands in f16": {},
  };
  /** What of these is stored as f16. */
  const stored: Readonly<Record<string, readonly string[]>> = {
    "bias, gelu, noise, residual, accumulation": ["BEFORE_HALF"],
    "gelu's slope and noise": ["A_HALF", "C_HALF", "BEFORE_HALF"],
    "operands in f16": ["A_HALF", "B_HALF"],
  };
  const tiles = [{ BLOCK: 64 }, { BLOCK: 128 }];
  const matrixBlocks = [SMALLEST, { ...SMALLEST, WHOLE: 1 }];
  const products = [
    { file: "matmul.wgsl", size: 32, blocks: tiles, precision: "f32", matrices: false },
    { file: "matmul.wgsl", size: 32, blocks: tiles, precision: "f16", matrices: false },
    { file: "matmul_matrix.wgsl", size: 32, blocks: matrixBlocks, precision: "f16", matrices: true },
    { file: "matmul_subgroup.wgsl", size: 8, blocks: [{}], precision: "f32", matrices: false },
    { file: "matmul_subgroup.wgsl", size: 8, blocks: [{}], precision: "f16", matrices: false },
    { file: "matmul_texels_subgroup.wgsl", size: 8, blocks: [{}], precision: "f32", matrices: false },
  ] as const;
  const cases = products.flatMap((one) =>
    entries(one.file).flatMap((entry) =>
      Object.keys(epilogues).map((epilogue) => ({ ...one, entry, epilogue })),
    ),
  );
  test.for(cases)(
    "$file $entry compiles with $epilogue, operands in $precision, matrices $matrices",
    async ({ blocks, epilogue, ...one }) => {
      for (const block of blocks) {
        for (const [A_TRANSPOSED, B_TRANSPOSED] of [
          [0, 0],
          [0, 1],
          [1, 0],
          [1, 1],
        ] as const) {
          const kind = "BLOCK" in block ? { ALIGNED: one.entry === "aligned_block" ? 1 : 0 } : {};
          const choices = stored[epilogue]?.filter((name) => one.precision === "f16" || name === "B_HALF");
          const constants = {
            ...epilogues[epilogue],
            ...block,
            ...kind,
            A_TRANSPOSED,
            B_TRANSPOSED,
          };
          await expectToCompile({ ...one, constants, ...(choices ? { choices } : {}) });
        }
      }
    },
  );

  /** Choices of the layer norm's kernels, as many of them together as the null adapter's 8 storage buffers allow. */
  const normChoices = [
    ["KEEP"],
    ["NORMED", "HALF", "AGAIN_HALF"],
    ["NORMED", "HALF", "PAST"],
    ["NORMED", "AGAIN"],
  ];
  const norms = normChoices.flatMap((choices) => [0, 4, 8, 16, 32, 64].map((size) => ({ choices, size })));
  test.for(norms)(
    "layernorm.wgsl compiles with $choices for subgroups of $size",
    async ({ choices, size }) => {
      const file = "layernorm.wgsl";
      for (const entry of entries(file).filter((name) => name.includes("4") || name.startsWith("again")))
        await expectToCompile({
          file,
          entry,
          size,
          precision: "f16",
          matrices: false,
          constants: {},
          choices,
        });
    },
  );

  test.for([0, 4, 8, 16, 32, 64])(
    "adamw.wgsl compiles with its choices for subgroups of %s",
    async (size) => {
      const rest = { file: "adamw.wgsl", size, precision: "f16", matrices: false, constants: {} } as const;
      for (const entry of ["step_sound", "step_alone"])
        await expectToCompile({ ...rest, entry, choices: ["SCALED", "HALVES"] });
    },
  );
});
