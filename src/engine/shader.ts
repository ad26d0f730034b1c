// Reads a .wgsl file, expands its directives and lists what it declares.
//
// WGSL is written as it stands in kernels/, but for three things it cannot say by itself, each a comment line:
//
//   //@include NAME        the text of kernels/NAME.wgsl; `lanes`, `operand` and `matrix` have a file for each Variant
//   //@unroll i < COUNT    the block up to `//@end`, once for each i, as `const i = 0u;`, `const i = 1u;`, ...
//   //@end                 (subgroupBroadcast wants a constant lane). COUNT is a number, a const of the file, or a
//                          quotient or product of two of them.
import { readFileSync } from "node:fs";

export interface Shader {
  readonly code: string;
  /** Binding number of each tensor the file declares, by its WGSL name. */
  readonly bindings: ReadonlyMap<string, number>;
  /** Fields of the file's `Params`, in order; each is one 4-byte scalar. */
  readonly params: readonly { readonly name: string; readonly type: "u32" | "f32" }[];
}

/** Immediates a device must offer, in 4-byte words (WebGPU: maxImmediateSize 64 bytes). */
const MAX_PARAMS = 16;
/** Threads that share a row where subgroups have no fixed size. */
const WORKGROUP_LANES = 64;

const HEAD = /^(?:enable|requires|diagnostic)[ (][^;]+;/gm;

const KERNELS = new URL("../../kernels/", import.meta.url);

/** Which of several files an include takes, `lanes_subgroup` or `lanes_workgroup`. */
export interface Variant {
  /** Subgroups need a fixed size. */
  readonly lanes: "subgroup" | "workgroup";
  /** What matrix products take their operands in. */
  readonly operand: "f32" | "f16";
  /** Matrices that a subgroup multiplies by itself, or the same in plain loops. */
  readonly matrix: "subgroup" | "emulated";
}

/**
 * @param subgroupSize  the adapter's fixed subgroup size, 0 if it has none
 * @param precision     what matrix products take their operands in
 * @param matrices      whether the device multiplies matrices by subgroups
 */
export function loadShader(
  file: string,
  subgroupSize: number,
  precision: Variant["operand"] = "f32",
  matrices = false,
): Shader {
  const variant: Variant = {
    lanes: subgroupSize > 0 ? "subgroup" : "workgroup",
    operand: precision,
    matrix: matrices ? "subgroup" : "emulated",
  };
  const included = include(readFileSync(new URL(file, KERNELS), "utf8"), subgroupSize, variant);
  const code = unroll(included);
  const declared = code.matchAll(/@group\(0\) @binding\((\d+)\) var<storage, \w+> (\w+)/g);
  const struct = code.match(/struct Params \{([^}]*)\}/)?.[1] ?? "";
  const params = [...struct.matchAll(/^ *(\w+): (u32|f32),/gm)].map(([, name, type]) => ({
    name: name!,
    type: type as "u32" | "f32",
  }));
  if (params.length > MAX_PARAMS) throw new Error(`${file} has ${params.length} params; ${MAX_PARAMS} fit`);
  // Directives must come before anything else, also those of included files.
  const heads = [...new Set([...code.matchAll(HEAD)].map(([line]) => line))];
  const body = code.replace(HEAD, "");
  if (params.length > 0) heads.push("requires immediate_address_space;");
  return {
    code: `${heads.join("\n")}\n${body}`,
    bindings: new Map([...declared].map(([, binding, name]) => [name!, Number(binding)])),
    params,
  };
}

function include(code: string, subgroupSize: number, variant: Variant): string {
  return code.replace(/^\/\/@include (\w+)$/gm, (_, name: string) => {
    const file = name in variant ? `${name}_${variant[name as keyof Variant]}` : name;
    const text = include(readFileSync(new URL(`${file}.wgsl`, KERNELS), "utf8"), subgroupSize, variant);
    return name === "lanes" ? `const LANES = ${subgroupSize || WORKGROUP_LANES}u;\n${text}` : text;
  });
}

function unroll(code: string): string {
  const constants = new Map(
    [...code.matchAll(/^const (\w+) = ([\w ]+(?:[*/] [\w ]+)?);/gm)].map(([, name, value]) => [
      name!,
      value!,
    ]),
  );
  const evaluate = (text: string): number => {
    const [, left, operator, right] = text.trim().match(/^(\w+)(?: ([*/]) (\w+))?$/) ?? [];
    if (left === undefined) throw new Error(`cannot evaluate "${text}"`);
    const known = constants.get(left);
    const a = known === undefined ? Number.parseInt(left, 10) : evaluate(known);
    if (Number.isNaN(a)) throw new Error(`//@unroll: no const ${left}`);
    if (!operator) return a;
    return operator === "*" ? a * evaluate(right!) : Math.ceil(a / evaluate(right!));
  };
  // Innermost blocks first, until none is left.
  const innermost = /^ *\/\/@unroll (\w+) < ([\w */]+)\n((?:(?! *\/\/@(?:unroll|end)).*\n)*?) *\/\/@end\n/m;
  let text = code;
  for (let match = text.match(innermost); match; match = text.match(innermost)) {
    const [block, name, count, body] = match;
    const copies = Array.from({ length: evaluate(count!) }, (_, i) => `{ const ${name} = ${i}u;\n${body}}\n`);
    text = text.replace(block, () => copies.join(""));
  }
  return text;
}
