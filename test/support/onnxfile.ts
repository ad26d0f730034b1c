// Reads an ONNX file back by the numbers of onnx.proto, and checks what must hold of any graph, without a runtime.
import { readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** The fields of a message by number, in their order: numbers, or bytes of strings and messages. */
type Fields = Map<number, (number | Uint8Array)[]>;

export interface ReadTensor {
  readonly name: string;
  readonly type: number;
  readonly shape: readonly number[];
  readonly doc: string;
  /** Of its elements, in the file or beside it. */
  readonly bytes: Uint8Array;
  /** Where they begin in the file beside. */
  readonly offset?: number;
}

export interface ReadNode {
  readonly op: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

export interface ReadValue {
  readonly name: string;
  readonly shape: readonly (number | string)[];
  readonly doc: string;
}

export interface ReadModel {
  readonly irVersion: number;
  readonly opset: number;
  readonly producer: readonly [name: string, version: string];
  readonly doc: string;
  readonly metadata: ReadonlyMap<string, string>;
  readonly nodes: readonly ReadNode[];
  readonly tensors: readonly ReadTensor[];
  readonly inputs: readonly ReadValue[];
  readonly outputs: readonly ReadValue[];
}

function fieldsOf(bytes: Uint8Array): Fields {
  const reader = new BinaryReader(bytes);
  const fields: Fields = new Map();
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    let value: number | Uint8Array;
    if (type === WireType.Varint) value = Number(reader.int64());
    else if (type === WireType.LengthDelimited) value = reader.bytes();
    else if (type === WireType.Bit32) value = reader.float();
    else throw new Error(`field ${number} has wire type ${type}`);
    fields.set(number, [...(fields.get(number) ?? []), value]);
  }
  return fields;
}

const messages = (fields: Fields, number: number) =>
  (fields.get(number) ?? []).map((bytes) => fieldsOf(bytes as Uint8Array));
const texts = (fields: Fields, number: number) =>
  (fields.get(number) ?? []).map((bytes) =>
    new TextDecoder("utf-8", { fatal: true }).decode(bytes as Uint8Array),
  );
const text = (fields: Fields, number: number) => texts(fields, number)[0] ?? "";
const pairs = (fields: Fields, number: number) =>
  new Map(messages(fields, number).map((pair) => [text(pair, 1), text(pair, 2)]));

export function readOnnx(path: string): ReadModel {
  const model = fieldsOf(readFileSync(path));
  const [graph] = messages(model, 7) as [Fields];
  const [opset] = messages(model, 8) as [Fields];
  return {
    irVersion: model.get(1)![0] as number,
    opset: opset.get(2)![0] as number,
    producer: [text(model, 2), text(model, 3)],
    doc: text(model, 6),
    metadata: pairs(model, 14),
    nodes: messages(graph, 1).map((node) => ({
      ...{ op: text(node, 4), name: text(node, 3), inputs: texts(node, 1), outputs: texts(node, 2) },
    })),
    tensors: messages(graph, 5).map((tensor) => readTensor(path, tensor)),
    inputs: messages(graph, 11).map(readValue),
    outputs: messages(graph, 12).map(readValue),
  };
}

function readTensor(path: string, tensor: Fields): ReadTensor {
  const about = {
    name: text(tensor, 8),
    type: tensor.get(2)![0] as number,
    shape: (tensor.get(1) ?? []) as number[],
    doc: text(tensor, 12),
  };
  if (tensor.get(14)?.[0] !== 1) return { ...about, bytes: tensor.get(9)![0] as Uint8Array };
  const where = pairs(tensor, 13);
  const [offset, length] = [Number(where.get("offset")), Number(where.get("length"))];
  const whole = readFileSync(join(dirname(path), where.get("location")!));
  return { ...about, offset, bytes: whole.subarray(offset, offset + length) };
}

function readValue(value: Fields): ReadValue {
  const [type] = messages(value, 2) as [Fields];
  const [tensor] = messages(type, 1) as [Fields];
  if (tensor.get(1)![0] !== 1) throw new Error("not float32");
  const [shape] = messages(tensor, 2) as [Fields];
  return {
    name: text(value, 1),
    shape: messages(shape, 1).map((n) => (n.get(1)?.[0] as number | undefined) ?? text(n, 2)),
    doc: text(value, 3),
  };
}

/** Bytes per element, by TensorProto.DataType. */
const widths = new Map([
  [1, 4],
  [7, 8],
  [9, 1],
]);

/** What is wrong with a model, one line each: nothing, if it can be run. */
export function faultsOf(model: ReadModel): string[] {
  const faults: string[] = [];
  const { nodes, tensors, inputs, outputs } = model;
  const there = new Set<string>();
  const define = (name: string) => {
    if (there.has(name)) faults.push(`${name} is defined twice`);
    there.add(name);
  };
  for (const { name, type, shape, bytes } of tensors) {
    define(name);
    const wanted = shape.reduce((product, n) => product * n, widths.get(type) ?? Number.NaN);
    if (bytes.length !== wanted) faults.push(`${name} [${shape}] has ${bytes.length} bytes, not ${wanted}`);
  }
  for (const { name } of inputs) define(name);
  const used = new Set<string>(outputs.map(({ name }) => name));
  for (const node of nodes) {
    for (const input of node.inputs) {
      if (!there.has(input)) faults.push(`${node.name} reads ${input}, which nothing before it makes`);
      used.add(input);
    }
    for (const output of node.outputs) define(output);
  }
  for (const { name } of outputs) if (!there.has(name)) faults.push(`nothing makes ${name}`);
  for (const name of there) if (!used.has(name)) faults.push(`nothing reads ${name}`);
  return faults;
}

/** Bytes of a file. */
export const bytesOf = (path: string): number => statSync(path).size;
