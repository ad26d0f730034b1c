// Other WebGPU programs for Node on the same adapter, each in a process of its own.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Gpu } from "../../src/engine/device.ts";
import { softwareDriver, softwareMissing } from "../../src/engine/software.ts";
import { empty, scope, size, type Tensor, tensor } from "../../src/engine/tensor.ts";
import { attention } from "../../src/ops/attention.ts";
import { scale } from "../../src/ops/elementwise.ts";
import { layernorm } from "../../src/ops/layernorm.ts";
import { project, projectBack, weightGradient } from "../../src/ops/matmul.ts";
import { product } from "../../src/ops/product.ts";
import { script } from "./child.ts";
import { clock } from "./clock.ts";
import type { Context } from "./context.ts";
import { finished, noise } from "./model.ts";
import { absent, best, gflops, type Row, timed } from "./rows.ts";

const FOLDER = fileURLToPath(new URL("peers/", import.meta.url));
/** Of a product of 512 x 1024 x 1024. */
const FLOP = 2 * 512 * 1024 * 1024;
const SCRIPTS = ["jaxjs.mjs", "tfjs.mjs", "onnxruntime.mjs"];

interface Task {
  readonly what: string;
  /** 0 where memory is what counts. */
  readonly flop: number;
  call(): void;
}

interface Answer {
  readonly name: string;
  readonly tasks: Readonly<Record<string, { readonly ms?: number[]; readonly why?: string }>>;
}

/** Installs the peers of package.json beside them, and nothing into this project. */
export function installPeers(): void {
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  // onnxruntime's script would fetch CUDA.
  const args = ["install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"];
  const { status } = spawnSync(npm, args, { cwd: FOLDER, stdio: "inherit" });
  if (status !== 0) throw new Error(`npm install failed in ${FOLDER}`);
}

export async function* peers(context: Context): AsyncGenerator<Row> {
  const { adapter, adapterOption, rounds, say } = context;
  if (!existsSync(`${FOLDER}node_modules`)) {
    yield absent(
      "peers",
      adapter,
      "not installed: npm run bench -- --install-peers (600 MB in test/bench/peers)",
    );
    return;
  }
  const gpu = await context.open();
  const tasks = ourTasks(gpu);
  const ours = new Map(Object.keys(tasks).map((task) => [task, [] as number[]]));
  const measure = async () => {
    for (const [task, { call }] of Object.entries(tasks)) {
      ours.get(task)!.push(...(await clock(call, () => finished(gpu), rounds)));
    }
  };
  await measure();
  const answers: Answer[] = [];
  for (const name of SCRIPTS) {
    say(`peers: ${name}`);
    const options = { env: driverOf(adapter), input: { adapter: adapterOption, rounds } };
    const failed = (error: Error): Answer => ({
      name,
      tasks: Object.fromEntries(Object.keys(tasks).map((task) => [task, { why: error.message }])),
    });
    answers.push(await script<Answer>(`peers/${name}`, options).catch(failed));
    await measure();
  }
  gpu.device.destroy();

  for (const [task, { what, flop }] of Object.entries(tasks)) {
    for (const { name, tasks: theirs } of answers) {
      const { ms, why } = theirs[task]!;
      const speeds =
        ms && flop > 0 ? `${gflops(flop, best(ours.get(task)!))} : ${gflops(flop, best(ms))} GFLOP/s` : "";
      yield ms
        ? timed({ what, adapter, ours: ours.get(task)!, peer: { name, ms }, note: speeds })
        : absent(what, adapter, why!, name);
    }
  }
}

/** onnxruntime has its own Dawn, which is led to the SwiftShader of npm only by the environment. */
function driverOf(adapter: string): Record<string, string> {
  return /swiftshader/i.test(adapter) && !softwareMissing() ? { VK_DRIVER_FILES: softwareDriver().icd } : {};
}

/** The tasks by the names that the peers' scripts give them. */
function ourTasks(gpu: Gpu): Record<string, Task> {
  const filled = (...shape: number[]) => tensor(gpu, shape, noise(size(shape)));
  const [x, w1, w2] = [filled(512, 1024), filled(1024, 1024), filled(1024, 1024)];
  const [gain, bias] = [filled(1024), filled(1024)];
  const qkv = filled(1, 256, 3 * 1024);
  const y = empty(gpu, [512, 1024]);
  const row = 1024;

  return {
    product: {
      what: "product 512 x 1024 x 1024",
      flop: FLOP,
      call: () =>
        product({
          M: 512,
          N: 1024,
          K: 1024,
          a: { tensor: x, row },
          b: { tensor: w1, row },
          c: { tensor: y, row },
        }),
    },
    layernorm: {
      what: "layer norm 512 x 1024",
      flop: 0,
      call: () => scope(gpu, () => void layernorm(x, gain, bias)),
    },
    attention: {
      what: "softmax attention, 16 heads, 256 x 64",
      flop: 4 * 16 * 256 * 256 * 64,
      call: () => scope(gpu, () => void attention(qkv, 16)),
    },
    gradient: {
      what: "gradient of mean((gelu(X W1) W2)^2), X 512 x 1024",
      flop: 5 * FLOP,
      call: () => scope(gpu, () => mlpGradient(x, w1, w2)),
    },
  };
}

/** By W1 and W2, not by X: five products, as the peers make them. Weights are [out, in], as a linear layer's. */
function mlpGradient(x: Tensor, w1: Tensor, w2: Tensor): undefined {
  const { gpu, shape } = x;
  const [before, hidden, y, dhidden] = [0, 1, 2, 3].map(() => empty(gpu, shape)) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  project(x, w1, hidden, { gelu: before });
  project(hidden, w2, y, {});
  const dy = scale(y, 2 / size(shape));
  weightGradient(dy, hidden, w2);
  projectBack(dy, w2, dhidden, { slope: before });
  weightGradient(dhidden, x, w1);
}
