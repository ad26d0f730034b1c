// Opens an adapter, runs one kernel of the built program and says so: what `npm run bench` times from outside.
import { openGpu } from "../../dist/engine/device.js";
import { read, tensor } from "../../dist/engine/tensor.js";
import { layernorm } from "../../dist/ops/layernorm.js";

const gpu = await openGpu({ adapter: process.argv[2] });
const ones = tensor(gpu, [64], new Float32Array(64).fill(1));
const x = tensor(
  gpu,
  [4, 64],
  Float32Array.from({ length: 256 }, (_, i) => i),
);
const y = await read(layernorm(x, ones, ones));
console.log(y[0]);
gpu.device.destroy();
