// Writes small ONNX models: the few fields of its protocol buffers (onnx.proto) that a graph of f32 nodes needs.

function varint(value) {
  const bytes = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) + 128);
  }
}

const join = (...parts) => Buffer.concat(parts.flat());
const integer = (field, value) => join(varint(8 * field), varint(value));
const bytes = (field, content) => join(varint(8 * field + 2), varint(content.length), content);
const string = (field, text) => bytes(field, Buffer.from(text));

function float(field, value) {
  const content = Buffer.alloc(4);
  content.writeFloatLE(value);
  return join(varint(8 * field + 5), content);
}

/** AttributeProto types. */
const [FLOAT, INT, INTS] = [1, 2, 7];

/** An attribute of a node. */
export const attribute = {
  float: (name, value) => join(string(1, name), float(2, value), integer(20, FLOAT)),
  int: (name, value) => join(string(1, name), integer(3, value), integer(20, INT)),
  ints: (name, values) =>
    join(
      string(1, name),
      values.map((value) => integer(8, value)),
      integer(20, INTS),
    ),
};

/** One operator, from the tensors it reads to the one it makes. */
export function node(operator, inputs, output, attributes = []) {
  return join(
    inputs.map((name) => string(1, name)),
    string(2, output),
    string(4, operator),
    attributes.map((content) => bytes(5, content)),
  );
}

/** A model of f32 tensors. `inputs` and `outputs` give shapes by name. */
export function model(nodes, inputs, outputs) {
  const declared = ([name, shape]) => {
    const dimensions = join(shape.map((length) => bytes(1, integer(1, length))));
    const tensor = join(integer(1, 1), bytes(2, dimensions)); // element type 1: f32
    return join(string(1, name), bytes(2, bytes(1, tensor)));
  };
  const graph = join(
    nodes.map((content) => bytes(1, content)),
    string(2, "bench"),
    Object.entries(inputs).map((entry) => bytes(11, declared(entry))),
    Object.entries(outputs).map((entry) => bytes(12, declared(entry))),
  );
  const opset = integer(2, 17); // the first with LayerNormalization
  return join(integer(1, 8), bytes(7, graph), bytes(8, opset));
}
