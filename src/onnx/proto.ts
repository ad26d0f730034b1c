// The wire form of an ONNX model: protobuf messages whose small parts are made in memory, and whose weights are streamed to
// their places, since every length is known beforehand.
//
// Numbers of messages' fields: onnx/onnx, onnx/onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto); fields
// that lists repeat are not packed there. Weights beside the model: onnx/onnx, docs/ExternalData.md.
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** Of the operators. 17 is the first with LayerNormalization; every onnxruntime since 1.12 (2022) runs it. */
export const OPSET = 17;
/** Of the messages; the version that came with opset 17. */
export const IR_VERSION = 8;

/** TensorProto.DataType, and bytes per element. */
const dataTypes = {
  float: { code: 1, bytes: 4 },
  int64: { code: 7, bytes: 8 },
  bool: { code: 9, bytes: 1 },
} as const;

/** A constant of the graph. */
export interface OnnxTensor {
  readonly name: string;
  readonly type: keyof typeof dataTypes;
  readonly shape: readonly number[];
  /** What it is, for who reads the file. */
  readonly doc?: string;
  /** In C order; called once, when its turn comes, so that not all need be in memory. */
  values(): OnnxValues | Promise<OnnxValues>;
}

export type OnnxValues = Float32Array | BigInt64Array | Uint8Array;

/** An int, a list of ints, or a float. */
export type OnnxAttribute = number | readonly number[] | { readonly float: number };

export interface OnnxNode {
  readonly op: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

/** A float32 array that enters or leaves; a name in its shape stands for any length. */
export interface OnnxValue {
  readonly name: string;
  readonly shape: readonly (number | string)[];
  readonly doc: string;
}

export interface OnnxModel {
  readonly name: string;
  readonly doc: string;
  /** In an order in which they can be computed. */
  readonly nodes: readonly OnnxNode[];
  readonly tensors: readonly OnnxTensor[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly producerVersion: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Where the elements of tensors lie that are not in the model's own file. */
export interface ExternalData {
  /** Name of the file, in the model's folder. */
  readonly location: string;
  /** First byte, by tensor. */
  readonly offsets: ReadonlyMap<string, number>;
}

/** Bytes as they are, or the elements of a tensor. */
export type OnnxPiece = Uint8Array | OnnxTensor;

/** Elements of a tensor, bytes. */
export function tensorBytes({ type, shape }: Pick<OnnxTensor, "type" | "shape">): number {
  return shape.reduce((product, n) => product * n, dataTypes[type].bytes);
}

/** A model's file in pieces, and its length in bytes. */
export function modelPieces(
  model: OnnxModel,
  external?: ExternalData,
): { pieces: OnnxPiece[]; bytes: number } {
  const graph = graphPieces(model, external);
  const head = new BinaryWriter();
  head.tag(1, WireType.Varint).int64(IR_VERSION);
  text(head, 2, "climax");
  text(head, 3, model.producerVersion);
  text(head, 6, model.doc);
  head.tag(8, WireType.LengthDelimited).fork();
  text(head, 1, ""); // the domain of ONNX's own operators
  head.tag(2, WireType.Varint).int64(OPSET).join();
  for (const [key, value] of Object.entries(model.metadata)) entry(head, 14, key, value);
  head.tag(7, WireType.LengthDelimited).int64(graph.bytes);
  const begin = head.finish();
  return { pieces: [begin, ...graph.pieces], bytes: begin.length + graph.bytes };
}

function graphPieces(model: OnnxModel, external?: ExternalData): { pieces: OnnxPiece[]; bytes: number } {
  const writer = new BinaryWriter();
  for (const node of model.nodes) writeNode(writer, node);
  text(writer, 2, model.name);
  text(writer, 10, model.doc);
  for (const value of model.inputs) writeValue(writer, 11, value);
  for (const value of model.outputs) writeValue(writer, 12, value);
  const pieces: OnnxPiece[] = [writer.finish()];
  for (const tensor of model.tensors) {
    const offset = external?.offsets.get(tensor.name);
    const place = external && offset !== undefined ? { location: external.location, offset } : undefined;
    const head = tensorHead(tensor, place);
    const data = place ? 0 : tensorBytes(tensor);
    const begin = new BinaryWriter().tag(5, WireType.LengthDelimited).int64(head.length + data);
    pieces.push(begin.raw(head).finish());
    if (!place) pieces.push(tensor);
  }
  const bytes = pieces.reduce((sum, p) => sum + (p instanceof Uint8Array ? p.length : tensorBytes(p)), 0);
  return { pieces, bytes };
}

/** A TensorProto up to its elements, which come last, or that says where they are. */
function tensorHead(tensor: OnnxTensor, place?: { location: string; offset: number }): Uint8Array {
  const { name, type, shape, doc } = tensor;
  const writer = new BinaryWriter();
  for (const n of shape) writer.tag(1, WireType.Varint).int64(n);
  writer.tag(2, WireType.Varint).int32(dataTypes[type].code);
  text(writer, 8, name);
  if (doc !== undefined) text(writer, 12, doc);
  if (place) {
    entry(writer, 13, "location", place.location);
    entry(writer, 13, "offset", String(place.offset));
    entry(writer, 13, "length", String(tensorBytes(tensor)));
    writer.tag(14, WireType.Varint).int32(1); // EXTERNAL
  } else writer.tag(9, WireType.LengthDelimited).int64(tensorBytes(tensor));
  return writer.finish();
}

function writeNode(writer: BinaryWriter, { op, name, inputs, outputs, attributes }: OnnxNode): void {
  writer.tag(1, WireType.LengthDelimited).fork();
  for (const input of inputs) text(writer, 1, input);
  for (const output of outputs) text(writer, 2, output);
  text(writer, 3, name);
  text(writer, 4, op);
  for (const [key, value] of Object.entries(attributes)) writeAttribute(writer, key, value);
  writer.join();
}

function writeAttribute(writer: BinaryWriter, name: string, value: OnnxAttribute): void {
  writer.tag(5, WireType.LengthDelimited).fork();
  text(writer, 1, name);
  if (typeof value === "number") {
    writer.tag(3, WireType.Varint).int64(value).tag(20, WireType.Varint).int32(2); // INT
  } else if ("float" in value) {
    writer.tag(2, WireType.Bit32).float(value.float).tag(20, WireType.Varint).int32(1); // FLOAT
  } else {
    for (const n of value) writer.tag(8, WireType.Varint).int64(n);
    writer.tag(20, WireType.Varint).int32(7); // INTS
  }
  writer.join();
}

/** A ValueInfoProto. */
function writeValue(writer: BinaryWriter, field: number, { name, shape, doc }: OnnxValue): void {
  const open = (number: number) => writer.tag(number, WireType.LengthDelimited).fork();
  open(field);
  text(writer, 1, name);
  open(2); // TypeProto
  open(1).tag(1, WireType.Varint).int32(dataTypes.float.code); // its tensor_type
  open(2); // TensorShapeProto
  for (const n of shape) {
    open(1);
    if (typeof n === "number") writer.tag(1, WireType.Varint).int64(n);
    else text(writer, 2, n);
    writer.join();
  }
  writer.join().join().join();
  text(writer, 3, doc);
  writer.join();
}

function entry(writer: BinaryWriter, field: number, key: string, value: string): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  text(writer, 1, key);
  text(writer, 2, value);
  writer.join();
}

function text(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value);
}
