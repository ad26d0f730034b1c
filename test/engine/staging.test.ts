/** Spans of the device's memory that go to the host and back. */
import { expect, test } from "vitest";
import { Staging } from "../../src/engine/staging.ts";
import { copy, read, tensor, zeros } from "../../src/engine/tensor.ts";
import { gpu } from "../support/gpu.ts";

test("spans come as they are at this point of the commands, and go back changed", async () => {
  const a = tensor(
    gpu,
    [100],
    Float32Array.from({ length: 100 }, (_, i) => i),
  );
  const b = tensor(
    gpu,
    [50],
    Float32Array.from({ length: 50 }, (_, i) => 1000 + i),
  );
  const staging = new Staging(gpu, 40);
  const spans = [
    { storage: a.storage, offset: 4 * 10, bytes: 4 * 5, at: 0 },
    { storage: b.storage, offset: 0, bytes: 4 * 3, at: 4 * 6 },
  ];
  expect(staging.bytes).toBe(40);
  for (const factor of [2, 3]) {
    const fetched = staging.fetch(spans);
    copy(zeros(gpu, [50]), { ...b, shape: [50] }); // recorded after it: not seen
    const values = await fetched;
    const before = factor === 2 ? [1000, 1001, 1002] : [2000, 2002, 2004];
    expect([...values.slice(5)]).toEqual([0, ...before, 0]); // what no span covers
    for (const [i, value] of values.entries()) values[i] = factor * value;
    staging.putBack(spans);
    expect([...(await read({ ...b, shape: [4] }))]).toEqual([...before.map((value) => factor * value), 0]);
  }
  const found = await read(a);
  expect([...found.slice(9, 16)]).toEqual([9, 60, 66, 72, 78, 84, 15]);
  staging.destroy();
});
