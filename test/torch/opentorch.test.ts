import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { readNpz } from "../../src/files/npy.ts";
import { writeSafetensors } from "../../src/model/safetensors.ts";
import { looksLikeTorch, openTorchFile } from "../../src/torch/opentorch.ts";
import { TorchTensor } from "../../src/torch/torchvalue.ts";
import { refusalOf } from "../support/refusal.ts";

const fixtures = new URL("../fixtures/weights/", import.meta.url);
const folder = mkdtempSync(join(tmpdir(), "climax-opentorch-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Writes a file of this folder. */
function made(name: string, bytes: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

interface Expected {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** In C order, hexadecimal. */
  readonly bytes: string;
}

const expected = JSON.parse(readFileSync(new URL("expected.json", fixtures), "utf8")) as Readonly<
  Record<"whole" | "early", Readonly<Record<string, Expected>>>
>;

describe("what PyTorch wrote is read as PyTorch reads it, to the bit:", () => {
  test.for([
    ["zip2.ckpt", "PyTorch zip", "whole"],
    ["zip4.ckpt", "PyTorch zip", "whole"],
    ["legacy2.ckpt", "PyTorch before 1.6", "whole"],
    ["legacy4.ckpt", "PyTorch before 1.6", "whole"],
    ["tar.ckpt", "PyTorch tar", "early"],
  ] as const)("%s", async ([name, format, which]) => {
    const path = fileURLToPath(new URL(name, fixtures));
    const head = readFileSync(path).subarray(0, 512);
    expect(looksLikeTorch(head)).toBe(true);
    const file = await openTorchFile(path);
    expect([file.format, file.bytes, file.unbuilt]).toEqual([format, readFileSync(path).length, []]);
    const root = file.root as ReadonlyMap<string, unknown>;
    expect([...root.keys()]).toEqual(["epoch", "state_dict", "lr", "note"]);
    expect([root.get("epoch"), root.get("lr"), root.get("note")]).toEqual([3, 0.5, "Grüße"]);
    const state = root.get("state_dict") as ReadonlyMap<string, TorchTensor>;
    const read: Record<string, Expected> = {};
    for (const [key, tensor] of state) {
      const { dtype, shape } = tensor;
      read[key] = { dtype, shape, bytes: Buffer.from(await file.read(tensor)).toString("hex") };
    }
    expect(read).toEqual(expected[which]);
    expect(state.get("tied.a")!.storage).toBe(state.get("tied.b")!.storage);
    await file.close();
  });
});

/** Checkpoints of the reference, beside the numbers that they were made with. */
const reference = "test/fixtures/reference/";

describe.skipIf(!existsSync(`${reference}global.ckpt`))(
  "what Lightning wrote holds the reference's parameters:",
  () => {
    test.for(["global", "parallel-patch-embed"])("%s", async (name) => {
      const wanted = await readNpz(`${reference}${name}.npz`);
      const file = await openTorchFile(`${reference}${name}.ckpt`);
      const root = file.root as ReadonlyMap<string, unknown>;
      const state = root.get("state_dict") as ReadonlyMap<string, unknown>;
      let compared = 0;
      for (const [key, tensor] of state) {
        const parameter = wanted.get(`param/${key.replace(/^net\./, "")}`);
        if (!(tensor instanceof TorchTensor) || !parameter) continue;
        const { data } = parameter;
        const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
        expect(bytes.equals(await file.read(tensor)), key).toBe(true);
        compared++;
      }
      const parameters = [...wanted.keys()].filter((key) => key.startsWith("param/"));
      expect(compared).toBe(parameters.length);
      await file.close();
    });
  },
);

describe("what is not of PyTorch is said to be what it looks like:", () => {
  const kinds: Record<string, [bytes: string | Uint8Array, what: string, mend: string]> = {
    "an empty file": ["", "is empty;", "download it again"],
    "a web page": [
      "\n<!DOCTYPE html><html>Sign in",
      "is a web page (HTML or XML)",
      "take the link of the file itself",
    ],
    "a pointer of Git LFS": [
      "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
      "is a pointer of Git LFS, not the file it points to",
      "git lfs pull",
    ],
    gzip: [gzipSync("x"), "is compressed with gzip", "unpack it"],
    HDF5: [Buffer.from("89484446 0d0a1a0a 0000".replaceAll(" ", ""), "hex"), "is HDF5", "climax inspect"],
    NetCDF: ["CDF\x01\0\0\0\0", "is NetCDF: fields, not weights", "climax inspect"],
    GRIB: ["GRIB\0\0\0\x02", "is GRIB: fields, not weights", "climax inspect"],
    npy: [
      Buffer.from("\x93NUMPY\x01\0", "latin1"),
      "is an array of NumPy (.npy)",
      "save the whole state_dict",
    ],
    ONNX: [Buffer.from("0808120c6f6e6e78", "hex"), "is an ONNX file", "that it was exported from"],
    "another pickle": [
      Buffer.from("80049503000000000000004b012e", "hex"),
      "is a Python pickle that torch.save did not",
      "state_dict",
    ],
    JSON: ['{"weight_map": {}}', "is JSON, not a checkpoint", "name one file that holds all"],
    zeros: [new Uint8Array(2000), "is nothing but zeros where it begins", "cut off"],
    text: ["Grüße, access denied\n", "is plain text, not a checkpoint", "open it in an editor"],
    noise: [
      Uint8Array.of(1, 2, 3, 255, 254),
      "is of no known kind (it begins with 010203fffe)",
      "is it the right file?",
    ],
    "an empty zip": [
      Buffer.from(`504b0506${"00".repeat(18)}`, "hex"),
      "is a zip archive without members",
      "download it again",
    ],
  };
  test.for(Object.entries(kinds))("%s", async ([name, [bytes, what, mend]]) => {
    const path = made(`${name}.ckpt`, bytes);
    expect(looksLikeTorch(readFileSync(path))).toBe(false);
    const [message, hint] = (await refusalOf(openTorchFile(path))).split(" | ");
    expect(message).toContain(`checkpoint: ${path} ${what}`);
    expect(message).toContain("wanted: what torch.save writes");
    expect(hint).toContain(mend);
  });

  test("safetensors", async () => {
    const path = join(folder, "weights.ckpt");
    await writeSafetensors(path, [{ name: "a", shape: [1], values: () => Float32Array.of(1) }]);
    expect(await refusalOf(openTorchFile(path))).toBe(
      `checkpoint: ${path} is a safetensors file, not of PyTorch | it can be read as it is: name it where safetensors are taken`,
    );
  });

  test.for<[string, string, string]>([
    ["mp_rank_00_model_states.pt", "is a folder: a checkpoint of DeepSpeed in parts", "zero_to_fp32.py"],
    ["__0_0.distcp", "is a folder: a checkpoint of torch.distributed in parts", "format_utils dcp_to_torch"],
    ["model.safetensors.index.json", "is a folder: a model in several files with an index", "as one file"],
    ["data.pkl", "is a folder: an unpacked file of torch.save", "zip -0 -r"],
    ["last.ckpt", "is a folder, not a file of weights", "name a file in it: last.ckpt"],
    ["notes.txt", "is a folder, not a file of weights", "name a file of weights"],
  ])("a folder with %s", async ([name, what, mend]) => {
    const path = join(folder, `folder of ${name}`);
    mkdirSync(path);
    writeFileSync(join(path, name), "");
    const [message, hint] = (await refusalOf(openTorchFile(path))).split(" | ");
    expect(message).toBe(`checkpoint: ${path} ${what}`);
    expect(hint).toContain(mend);
  });

  test("no file, and a pipe, at once", async ({ skip }) => {
    const path = join(folder, "absent.ckpt");
    expect(await refusalOf(openTorchFile(path))).toContain(`cannot open ${path}: there is no such file`);
    if (spawnSync("mkfifo", [path]).status !== 0) skip();
    expect(await refusalOf(openTorchFile(path))).toContain(`cannot read ${path}: it is not a regular file`);
  });
});
