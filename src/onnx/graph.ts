// A builder of ONNX graphs: each value goes by the name of the node that makes it, and equal constants are kept once.
import type { OnnxAttribute, OnnxNode, OnnxTensor, OnnxValues } from "./proto.ts";

/** Reads one parameter by the reference's name. */
export type ReadParameter = (name: string) => Promise<Float32Array>;

/** A graph under construction. What its functions return is the name of a value. */
export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly tensors: readonly OnnxTensor[];
  /** Adds an operator whose only output has the node's name. */
  node(
    name: string,
    op: string,
    inputs: readonly string[],
    attributes?: Readonly<Record<string, OnnxAttribute>>,
  ): string;
  /** Adds a Split along the last of two axes into equal parts, each `width` wide. */
  split(name: string, input: string, parts: readonly string[], width: number): string[];
  /** -1 stands for the one axis whose length follows from the others. */
  reshape(name: string, input: string, shape: readonly number[]): string;
  /** Adds a constant list of whole numbers. */
  ints(values: readonly number[]): string;
  /** Adds a constant without axes. */
  scalar(value: number): string;
  /** Adds a parameter under the reference's name, as it is but for its shape. */
  parameter(name: string, shape?: readonly number[]): string;
  /** Adds a constant that is made from parameters, or of statistics. */
  constant(tensor: OnnxTensor): string;
  /** Reads a parameter, for a constant made from it. */
  readonly read: ReadParameter;
}

/**
 * @param shapes  of the network's parameters
 * @param read    called for one after the other, when the model is written
 */
export function makeGraph(shapes: ReadonlyMap<string, readonly number[]>, read: ReadParameter): OnnxGraph {
  const nodes: OnnxNode[] = [];
  const tensors = new Map<string, OnnxTensor>();
  const add = (name: string, type: OnnxTensor["type"], shape: readonly number[], values: OnnxValues) => {
    tensors.set(name, { name, type, shape, values: () => values });
    return name;
  };
  const graph: OnnxGraph = {
    nodes,
    get tensors() {
      return [...tensors.values()];
    },
    read,
    node(name, op, inputs, attributes = {}) {
      nodes.push({ op, name, inputs, outputs: [name], attributes });
      return name;
    },
    split(name, input, parts, width) {
      const outputs = parts.map((part) => `${name}.${part}`);
      const inputs = [input, graph.ints(parts.map(() => width))];
      nodes.push({ op: "Split", name, inputs, outputs, attributes: { axis: 1 } });
      return outputs;
    },
    reshape: (name, input, shape) => graph.node(name, "Reshape", [input, graph.ints(shape)]),
    ints: (values) =>
      add(
        `ints:${values}`,
        "int64",
        [values.length],
        BigInt64Array.from(values, (n) => BigInt(n)),
      ),
    scalar: (value) => add(`scalar:${value}`, "float", [], Float32Array.of(value)),
    parameter(name, shape = shapes.get(name)) {
      if (!shape) throw new Error(`the network has no parameter ${name}`);
      return graph.constant({ name, type: "float", shape, values: () => read(name) });
    },
    constant(tensor) {
      if (tensors.has(tensor.name)) throw new Error(`the graph has two constants ${tensor.name}`);
      tensors.set(tensor.name, tensor);
      return tensor.name;
    },
  };
  return graph;
}
