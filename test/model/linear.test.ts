import { expect, test } from "vitest";
import { z } from "zod";
import { read, tensor } from "../../src/engine/tensor.ts";
import type { ModelInput } from "../../src/model/climax.ts";
import { LinearConfig } from "../../src/model/linear.ts";
import { networkOf } from "../../src/model/network.ts";
import { expectClose, gpu, uniform } from "../support/gradcheck.ts";

const config = LinearConfig.parse({
  ...{ type: "linear", variables: ["a", "b", "c"], inputs: ["a", "c"], outputs: ["c", "b"] },
  gridShape: [3, 5],
});
const random = uniform(12);
const [B, points] = [2, 15];
const fields = Float32Array.from({ length: B * 2 * points }, random);

function made(rank?: number, residual = false) {
  const network = networkOf({ ...config, ...(rank === undefined ? {} : { rank }), residual });
  const start = network.initialise(4);
  const predict = (values: ReadonlyMap<string, Float32Array>, changed: Partial<ModelInput> = {}) => {
    const parameters = new Map(
      [...values].map(([name, data]) => [name, tensor(gpu, network.shapes.get(name)!, data)]),
    );
    const x = tensor(gpu, [B, 2, 3, 5], fields);
    const input = { x, variables: [0, 2], leadHours: [6, 6], outputs: [2, 1], ...changed };
    return read(network.forward(parameters, input));
  };
  return { network, start, predict };
}

/** Rows of `x` times the rows of a matrix. */
function times(x: ArrayLike<number>, matrix: ArrayLike<number>, K: number): Float64Array {
  const N = matrix.length / K;
  return Float64Array.from({ length: (x.length / K) * N }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < K; k++) sum += x[Math.floor(i / N) * K + k]! * matrix[(i % N) * K + k]!;
    return sum;
  });
}

test.for([undefined, 3])("it is a matrix product, rank %s", async (rank) => {
  const { start, predict } = made(rank);
  const values = new Map([...start].map(([name, data]) => [name, data.map(random)]));
  const inner = rank === undefined ? fields : times(fields, values.get("down.weight")!, 30);
  const wanted = times(inner, values.get("out.weight")!, rank ?? 30).map(
    (value, i) => value + values.get("out.bias")![i % 30]!,
  );
  const all = await predict(values);
  expectClose("forecast", all, new Map(wanted.entries()), 1e-5);
  const b = await predict(values, { outputs: [1] });
  const second = [...wanted.subarray(15, 30), ...wanted.subarray(45)];
  expectClose("forecast of b alone", b, new Map(second.entries()), 1e-5);
});

test.for([undefined, 3])("predicted changes start at persistence, rank %s", async (rank) => {
  const { start, predict } = made(rank, true);
  const wanted = Array.from({ length: B * 2 * points }, (_, i) =>
    Math.floor(i / points) % 2 === 0 ? fields[i + points]! : 0,
  );
  expect([...(await predict(start))]).toEqual(wanted);
  if (rank !== undefined) expect(start.get("down.weight")!.every((value) => value !== 0)).toBe(true);
});

test("its size is told; other variables are refused", () => {
  expect(made().network.knowsLead).toBe(false);
  expect(made().network.describe()).toBe("linear regression of 30 points on 30");
  expect(made(3).network.describe()).toBe("linear regression of 30 points on 30, rank 3");
  expect([...made(3).network.shapes]).toEqual([
    ["down.weight", [3, 30]],
    ["out.weight", [30, 3]],
    ["out.bias", [30]],
  ]);
  const { start, predict } = made();
  expect(() => predict(start, { variables: [0, 1] })).toThrow(
    "this network reads a, c, all of them in that order; given: a, b",
  );
});

test.for<[string, object, string]>([
  [
    "a matrix of too many entries",
    { gridShape: [128, 256] },
    "a matrix of 65536 x 65536 has more than 268435456 entries: set rank, to 256 for example",
  ],
  [
    "a rank that is too high",
    { gridShape: [128, 256], rank: 5000 },
    "a matrix of rank 5000 with 65536 -> 65536 has more than 268435456 entries: set rank, to 256 for example",
  ],
])("%s is refused", ([, change, message]) => {
  const { error } = LinearConfig.safeParse({ ...config, ...change });
  expect(error && z.prettifyError(error)).toContain(message);
  expect(LinearConfig.safeParse({ ...config, ...change, rank: 256 }).success).toBe(true);
});
