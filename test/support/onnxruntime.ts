// onnxruntime, the judge of exported models, where it is installed: npm ci --prefix test/onnx --ignore-scripts.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const home = resolve("test/onnx/node_modules");

export const hasOnnxruntime = existsSync(`${home}/onnxruntime-node`);

interface OnnxTensor {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

interface Session {
  run(feeds: Record<string, OnnxTensor>): Promise<Record<string, OnnxTensor>>;
  release(): Promise<void>;
}

interface Onnxruntime {
  readonly InferenceSession: {
    create(path: string, options: Record<string, unknown>): Promise<Session>;
  };
  readonly Tensor: new (type: "float32", data: Float32Array, dims: readonly number[]) => OnnxTensor;
}

/** A model as onnxruntime runs it, on one core: "all" or none of its rewritings of the graph. */
export interface JudgedModel {
  /** By name, their values and shapes; the values and shape of `forecast`. */
  run(feeds: Readonly<Record<string, readonly [ArrayLike<number>, readonly number[]]>>): Promise<OnnxTensor>;
  release(): Promise<void>;
}

export async function openOnnx(path: string, rewritings: "all" | "disabled" = "all"): Promise<JudgedModel> {
  const ort = createRequire(`${home}/`)("onnxruntime-node") as Onnxruntime;
  const session = await ort.InferenceSession.create(path, {
    graphOptimizationLevel: rewritings,
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    extra: { session: { strict_shape_type_inference: "1" } }, // shapes that contradict each other are errors
  });
  return {
    async run(feeds) {
      const tensors = Object.entries(feeds).map(
        ([name, [values, shape]]) =>
          [name, new ort.Tensor("float32", Float32Array.from(values), shape)] as const,
      );
      const { forecast } = await session.run(Object.fromEntries(tensors));
      return forecast!;
    },
    release: () => session.release(),
  };
}
