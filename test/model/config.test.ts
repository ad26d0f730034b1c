import { expect, test } from "vitest";
import { z } from "zod";
import { ModelConfig } from "../../src/model/config.ts";

test("the defaults are the 5.625 degree model of the paper", () => {
  expect(ModelConfig.parse({ variables: ["geopotential_500"] })).toMatchObject({
    gridShape: [32, 64],
    patchSize: 2,
    embedDim: 1024,
    depth: 8,
    decoderDepth: 2,
    heads: 16,
    mlpRatio: 4,
    dropPath: 0.1,
    dropout: 0.1,
  });
});

test.for<[string, object, string]>([
  ["heads that do not divide D", { embedDim: 32, heads: 5 }, "5 heads cannot share embedDim 32 evenly"],
  ["a patch that does not divide the grid", { patchSize: 3 }, "3 does not divide gridShape 32,64"],
  ["a width without sine-cosine tables", { embedDim: 30, heads: 2 }, "30 is not a multiple of 4"],
  ["a variable listed twice", { variables: ["a", "b", "a"] }, '"a" is listed twice'],
  [
    "a region beyond the grid",
    { region: { rows: [16], columns: [0] } },
    "patch row 16 does not ascend or is beyond 16",
  ],
  ["a region out of order", { region: { rows: [0], columns: [5, 4] } }, "patch column 4 does not ascend"],
  ["a misspelt field", { embedDimension: 32 }, "embedDimension"],
])("%s is refused", ([, change, message]) => {
  const result = ModelConfig.safeParse({ variables: ["a"], ...change });
  expect(result.error && z.prettifyError(result.error)).toContain(message);
});
