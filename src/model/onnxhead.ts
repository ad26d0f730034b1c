// Tells an ONNX file by its first bytes.

/** Field 1 of ONNX's ModelProto, its IR version, a small number; then field 2, who made it, or a later one. */
export function looksLikeOnnx(head: Uint8Array): boolean {
  return (
    head[0] === 0x08 && head[1]! > 0 && head[1]! < 0x20 && [0x12, 0x1a, 0x22, 0x3a, 0x42].includes(head[2]!)
  );
}
