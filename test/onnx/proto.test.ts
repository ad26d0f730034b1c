import { expect, test } from "vitest";
import { modelPieces, type OnnxModel, type OnnxTensor, tensorBytes } from "../../src/onnx/proto.ts";

const tensor = (name: string, shape: number[], values: () => Float32Array): OnnxTensor => ({
  ...{ name, type: "float" as const, shape, values },
});

const model: OnnxModel = {
  ...{ name: "g", doc: "dd", producerVersion: "0.1", metadata: { k: "v" } },
  nodes: [
    {
      ...{ op: "Op", name: "y", inputs: ["x", "w"], outputs: ["y"] },
      attributes: { a: -1, b: [0, 2], c: { float: 0.5 } },
    },
  ],
  tensors: [tensor("w", [2], () => Float32Array.of(1, -2))],
  inputs: [{ name: "x", shape: ["n", 3], doc: "i" }],
  outputs: [{ name: "y", shape: [], doc: "" }],
};

/** A field of type 2: its tag, its length, its content; strings of one byte each. */
const field = (number: number, ...content: (number | string)[]) => {
  const bytes = content.map((part) => (typeof part === "string" ? part.charCodeAt(0) : part));
  return [(number << 3) | 2, bytes.length, ...bytes];
};
const minusOne = [...Array(9).fill(0xff), 1]; // int64 as ten groups of 7 bits

test("a model is the bytes that onnx.proto asks for, worked out by hand", async () => {
  const attributes = [
    ...field(5, ...field(1, "a"), 3 << 3, ...minusOne, 0xa0, 1, 2),
    ...field(5, ...field(1, "b"), 8 << 3, 0, 8 << 3, 2, 0xa0, 1, 7),
    ...field(5, ...field(1, "c"), (2 << 3) | 5, 0, 0, 0, 0x3f, 0xa0, 1, 1),
  ];
  const node = [
    ...field(1, "x"),
    ...field(1, "w"),
    ...field(2, "y"),
    ...field(3, "y"),
    ...field(4, "O", "p"),
  ];
  const shape = field(2, ...field(1, ...field(2, "n")), ...field(1, 1 << 3, 3));
  const input = [...field(1, "x"), ...field(2, ...field(1, 1 << 3, 1, ...shape)), ...field(3, "i")];
  const output = [...field(1, "y"), ...field(2, ...field(1, 1 << 3, 1, ...field(2))), ...field(3)];
  const graph = [
    ...field(1, ...node, ...attributes),
    ...field(2, "g"),
    ...field(10, "d", "d"),
    ...field(11, ...input),
    ...field(12, ...output),
    ...field(5, 1 << 3, 2, 2 << 3, 1, ...field(8, "w"), ...field(9, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0)),
  ];
  const wanted = [
    ...[1 << 3, 8],
    ...field(2, ..."climax"),
    ...field(3, ..."0.1"),
    ...field(6, "d", "d"),
    ...field(8, ...field(1), 2 << 3, 17),
    ...field(14, ...field(1, "k"), ...field(2, "v")),
    ...[(7 << 3) | 2, 0x80 | (graph.length & 0x7f), graph.length >> 7, ...graph],
  ];
  const { pieces, bytes } = modelPieces(model);
  const written: number[] = [];
  for (const piece of pieces) {
    if (piece instanceof Uint8Array) written.push(...piece);
    else written.push(...new Uint8Array((await piece.values()).buffer));
  }
  expect(written).toEqual(wanted);
  expect(bytes).toBe(wanted.length);
});

test("lengths of messages are known without making their tensors, however large", () => {
  const large = tensor("w", [3, 2 ** 31], () => {
    throw new Error("made");
  });
  const { pieces, bytes } = modelPieces({ ...model, tensors: [large] });
  expect(tensorBytes(large)).toBe(3 * 2 ** 33);
  expect(bytes).toBe(
    3 * 2 ** 33 + pieces.reduce((sum, piece) => sum + (piece instanceof Uint8Array ? piece.length : 0), 0),
  );
});
