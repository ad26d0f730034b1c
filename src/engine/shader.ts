// Reads a .wgsl file, expands its directives and lists what it declares.
//
// WGSL is written as it stands in kernels/, but for four things it cannot say by itself, each a comment line:
//
//   //@include NAME        the text of kernels/NAME.wgsl; `lanes`, `operand`, `matrix` and `fragment` have a file for
//                          each Variant
//   //@unroll i < COUNT    the block up to `//@end`, once for each i, as `const i = 0u;`, `const i = 1u;`, ...
//   //@end                 (subgroupBroadcast wants a constant lane), with `$i` replaced by it, also within names.
//                          COUNT is a number, a const of the file, or a quotient or product of two of them.
//   //@names i < COUNT     the same without braces around each copy, for what it declares
//   //@rolled              in an included file: blocks to unroll stay loops instead, whose bounds its function `rolled`
//                          hides, and names become arrays
//   //@if NAME             the lines up to `//@else` if NAME is among the choices of the kernel, else those up to
//   //@else                `//@end`: what an override cannot change, the type of a binding above all
//   //@end
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
  /** The same, from and to more places. */
  readonly fragment: "subgroup" | "emulated";
}

/**
 * @param subgroupSize  the adapter's fixed subgroup size, 0 if it has none
 * @param precision     what matrix products take their operands in
 * @param matrices      whether the device multiplies matrices by subgroups
 * @param choices       names for which `//@if` holds
 */
export function loadShader(
  file: string,
  subgroupSize: number,
  precision: Variant["operand"] = "f32",
  matrices = false,
  choices: readonly string[] = [],
): Shader {
  const variant: Variant = {
    lanes: subgroupSize > 0 ? "subgroup" : "workgroup",
    operand: precision,
    matrix: matrices ? "subgroup" : "emulated",
    fragment: matrices ? "subgroup" : "emulated",
  };
  const included = include(readFileSync(new URL(file, KERNELS), "utf8"), subgroupSize, variant);
  const code = unroll(choose(included, choices));
  const declared = code.matchAll(/@group\(0\) @binding\((\d+)\) var(?:<storage, \w+>)? (\w+)/g);
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

function choose(code: string, choices: readonly string[]): string {
  const block = /^\/\/@if (\w+)\n([\s\S]*?)^\/\/@else\n([\s\S]*?)^\/\/@end\n/gm;
  return code.replace(block, (_, name: string, yes: string, no: string) =>
    choices.includes(name) ? yes : no,
  );
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
  const rolled = code.includes("\n//@rolled\n");
  const innermost =
    /^ *\/\/@(unroll|names) (\w+) < ([\w */]+)\n((?:(?! *\/\/@(?:unroll|names|end)).*\n)*?) *\/\/@end\n/m;
  let text = code;
  for (let match = text.match(innermost); match; match = text.match(innermost)) {
    const [block, kind, name, count, body] = match;
    if (rolled) {
      const length = evaluate(count!);
      const indexed = body!.replaceAll(`$${name}`, `[${name}]`);
      const loop = `for (var ${name} = 0u; ${name} < rolled(${length}u); ${name}++) {\n${indexed}}\n`;
      const declared = new RegExp(`\\$${name}\\b((?:\\$\\w+)*): ([^;]+);`, "g");
      const arrays = body!.replace(declared, `$1: array<$2, ${length}>;`);
      text = text.replace(block, () => (kind === "names" ? arrays : loop));
      continue;
    }
    const copies = Array.from({ length: evaluate(count!) }, (_, i) => {
      const copy = body!.replaceAll(`$${name}`, String(i));
      return kind === "names" ? copy : `{ const ${name} = ${i}u;\n${copy}}\n`;
    });
    text = text.replace(block, () => copies.join(""));
  }
  return text;
}
