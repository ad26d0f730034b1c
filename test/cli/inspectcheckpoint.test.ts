import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { reportSchema } from "../../src/cli/inspectcheckpoint.ts";
import { regularGrid } from "../../src/grid/grid.ts";
import { writeSafetensors } from "../../src/model/safetensors.ts";
import { writeTorchCheckpoint } from "../../src/torch/torchwrite.ts";
import { climax } from "../support/climax.ts";
import { assemble, call, text } from "../support/picklewriter.ts";
import { writeToyCheckpoint, writeToyStates } from "../support/toycheckpoint.ts";
import { zipBytes } from "../support/zipbytes.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-inspect-checkpoint-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

const toy = at("toy.safetensors");
beforeAll(async () => {
  const provenance = {
    ...{
      command: "climax finetune",
      stage: "finetune",
      task: "global",
      step: 40,
      best_validation_loss: 0.25,
    },
    from: {
      path: "pre.safetensors",
      sha256: "ab",
      provenance: { stage: "pretrain", step: 9, adapter: "a GPU" },
    },
  };
  await (await writeToyCheckpoint(toy, { provenance })).close();
});

test("at a glance: what it is, for which variables, grid and leads, how trained, and what to do", async () => {
  const { code, out, err } = await climax("inspect", toy);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toMatch(/^\S+toy\.safetensors: climax checkpoint, [\d.]+ kB, SYNTHETIC\n/);
  expect(out).toMatch(/^network +ClimaX: 4 variables, patch 2, D 16, depth 1, 2 heads$/m);
  expect(out).toMatch(/^lead times +6 h to 168 h, every 6 h$/m);
  expect(out).toMatch(/^grid +8 x 16, 22\.5 degrees$/m);
  expect(out).toMatch(/^SHA-256 +[0-9a-f]{64}$/m);
  expect(out).toMatch(/^2m_temperature +in +out +K +284 +6$/m);
  expect(out).toContain("and 1 more that the network knows, which neither enter nor leave\n");
  expect(out).toMatch(
    /^ {2}1\. pretrain +9 steps\n +on a GPU\n {2}2\. finetune +global: 40 steps, best validation loss 0\.25\n +began with pre\.safetensors$/m,
  );
  expect(out).toMatch(/^transformer blocks +12 +[\d,]+ +[\d.]+ %$/m);
  expect(out).toContain(
    `\nReady: forecast with it:\n  climax forecast --checkpoint ${toy} --input state.nc --lead 7d -o forecast.nc\n`,
  );
  expect(out).not.toMatch(/^tensor /m);
  expect(
    Math.max(
      ...out
        .split("\n")
        .filter((line) => !line.includes(folder))
        .map(({ length }) => length),
    ),
  ).toBeLessThanOrEqual(120);
});

test("--tensors lists every one with its range", async () => {
  const { out } = await climax("inspect", toy, "--tensors");
  expect(out).toMatch(/^tensor +dtype +shape +size +min +mean +max +std$/m);
  expect(out).toMatch(/^blocks\.0\.norm1\.weight +F32 +16 +0\.1 kB +1\.00 +1\.00 +1\.00 +0\.00$/m);
});

test("--json is of the form that --schema prints", async () => {
  const { out } = await climax("inspect", toy, "--json");
  const { checkpoints } = reportSchema.parse(JSON.parse(out));
  expect(checkpoints[0]).toMatchObject({ path: toy, kind: "climax checkpoint" });
  expect(checkpoints[0]!.tensors.length).toBeGreaterThan(20);
  const { out: schema } = await climax("inspect", "--schema");
  expect(JSON.parse(schema)).toHaveProperty("properties.checkpoints.items.properties.tensors");
});

describe("beside fields", () => {
  test("whether they are what the checkpoint wants", async () => {
    const states = await writeToyStates(at("states.nc"));
    const fewer = await writeToyStates(at("fewer.nc"), { names: ["2m_temperature"] });
    const { code, out } = await climax("inspect", states, toy, fewer);
    expect(code).toBe(0);
    expect(out).toContain("\nDo the fields fit the checkpoint?\n");
    expect(out).toMatch(/^ {2}\S+states\.nc +fits: has all 3 inputs; on its grid$/m);
    expect(out).toMatch(
      /^ {2}\S+fewer\.nc +has 1 of 3 inputs, not orography, temperature_850; on its grid$/m,
    );
    const names = ["lattitude", "relative_humidity_500"];
    await (
      await writeToyCheckpoint(at("humid.safetensors"), {
        names,
        inputs: names,
        outputs: ["relative_humidity_500"],
      })
    ).close();
    const humid = await writeToyStates(at("humid.nc"), {
      names: ["temperature_500", "specific_humidity_500"],
    });
    const { out: made } = await climax("inspect", humid, at("humid.safetensors"));
    expect(made).toMatch(
      /humid\.nc +fits: has all 2 inputs, 2 of them derived \(lattitude, relative_humidity_500\); on its grid$/m,
    );
    const other = await writeToyStates(at("other.nc"), { grid: regularGrid(30) });
    expect((await climax("inspect", other, toy)).out).toMatch(
      /other\.nc +has all 3 inputs; on another grid, 6 x 12, 30 degrees; wanted 8 x 16, 22\.5 degrees: climax regrid$/m,
    );
    const { fits } = reportSchema.parse(JSON.parse((await climax("inspect", states, toy, "--json")).out));
    expect(fits).toEqual([
      {
        checkpoint: toy,
        data: states,
        inputs: 3,
        derived: [],
        lacks: [],
        sameGrid: true,
        dataGrid: "8 x 16, 22.5 degrees",
        fits: true,
      },
    ]);
  });
});

describe("refused with exit code 2 and one paragraph", () => {
  const refused = async (name: string, bytes: Uint8Array) => {
    writeFileSync(at(name), bytes);
    const { code, out, err } = await climax("inspect", at(name));
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err.trimEnd().split("\n")).toHaveLength(2); // a warning, and its hint
    return err;
  };

  test("a pickle that would run something, by name", async () => {
    const pickle = assemble(["PROTO", [2]], ...call("os", "system", [text("touch /tmp/owned")]), "STOP");
    const zip = zipBytes([
      { name: "archive/data.pkl", data: pickle },
      { name: "archive/version", data: Buffer.from("3\n") },
    ]);
    expect(await refused("evil.ckpt", zip)).toMatch(/os\.system/);
  });

  test("a file that was cut off", async () => {
    const whole = readFileSync(toy);
    expect(await refused("cut.safetensors", whole.subarray(0, whole.length / 2))).toMatch(
      /is no sound safetensors file/,
    );
    await writeTorchCheckpoint(
      at("whole.ckpt"),
      [{ name: "a", shape: [2], values: () => new Float32Array(2) }],
      {},
    );
    const torch = readFileSync(at("whole.ckpt"));
    expect(await refused("cut.ckpt", torch.subarray(0, torch.length - 30))).toContain(at("cut.ckpt"));
  });

  test("a header that claims more than there is", async () => {
    const header = Buffer.alloc(16);
    header.writeBigUInt64LE(2n ** 38n);
    header[8] = 0x7b;
    expect(await refused("claims.safetensors", header)).toMatch(/is no sound safetensors file/);
  });

  test("ONNX: what can read it", async () => {
    const err = await refused("graph.onnx", Uint8Array.of(0x08, 0x08, 0x12, 0x06, ...Buffer.from("climax")));
    expect(err).toMatch(/graph\.onnx is an ONNX file: a graph of operators/);
    expect(err).toContain("hint: run it with onnxruntime");
  });

  test("a folder of checkpoints: which files are in it", async () => {
    mkdirSync(at("run"));
    writeFileSync(at("run/best.safetensors"), "");
    const { code, err } = await climax("inspect", at("run"));
    expect(code).toBe(2);
    expect(err).toMatch(
      /run is a folder with 1 file of weights, not a file\nhint: name one: best\.safetensors/,
    );
  });
});

test("names and texts of a file reach the terminal without what it would obey", async () => {
  const name = "layer\u001b[31m\u0007.weight";
  const says = { note: "\u001b]0;title\u0007 text", "key\u001b[2J": "value" };
  await writeSafetensors(
    at("colours.safetensors"),
    [{ name, shape: [1], values: () => new Float32Array(1) }],
    says,
  );
  const { code, out } = await climax("inspect", at("colours.safetensors"), "--tensors");
  expect(code).toBe(0);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
  expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
});
