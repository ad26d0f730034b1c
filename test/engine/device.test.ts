import { describe, expect, test } from "vitest";
import { openGpu } from "../../src/engine/device.ts";
import { softwareMissing } from "../../src/engine/software.ts";
import { gpu } from "../support/gpu.ts";

test("f32 is the default precision, and matrices need f16 and subgroups of 32", () => {
  expect(gpu.precision).toBe("f32");
  if (gpu.matrices) expect(gpu).toMatchObject({ half: true, subgroupSize: 32 });
});

const missing = softwareMissing();
describe.skipIf(missing)(`with npm's SwiftShader (${missing ? `skipped: ${missing}` : "installed"})`, () => {
  test("f16 on an adapter without it is refused", async () => {
    await expect(openGpu({ adapter: "swiftshader", precision: "f16" })).rejects.toMatchObject({
      kind: "device",
      message: 'the adapter "SwiftShader driver 5.0.0" has no f16 (shader-f16)',
      hint: expect.stringMatching(
        /^use --precision f32(, or --adapter for one that has it: .+|; no adapter of .+)$/,
      ),
    });
  });
});
