import { expect, test } from "vitest";
import { absent, best, gflops, median, memory, milliseconds, rowsTable, timed } from "./rows.ts";

const adapter = "a GPU";
const peer = { name: "PyTorch", ms: [40, 20, 60] };

test("a row takes the best of each side, ours over the peer's, and notes the medians", () => {
  const row = timed({ what: "step", adapter, ours: [12, 10, 11], peer, note: "batch 1" });
  const note = "batch 1; median 11 : 40";
  expect(row).toEqual({ what: "step", adapter, ours_ms: 10, peer: "PyTorch", peer_ms: 20, ratio: 0.5, note });
});

test("without a peer there is no ratio, and one round has no median", () => {
  const row = timed({ what: "step", adapter, ours: [12] });
  expect(row).toEqual({ what: "step", adapter, ours_ms: 12, peer: "", peer_ms: null, ratio: null, note: "" });
});

test("memory is compared in the ratio and the note", () => {
  const row = memory("memory", adapter, 1.5e9, { name: "PyTorch", bytes: 3e9 });
  expect(row).toMatchObject({ ours_ms: null, peer_ms: null, ratio: 0.5, note: "1500 : 3000 MB" });
  expect(memory("memory", adapter, 1.5e9)).toMatchObject({ peer: "", ratio: null, note: "1500 MB" });
});

test("rows outlive JSON", () => {
  const rows = [
    timed({ what: "step", adapter, ours: [1 / 3], peer }),
    absent("peers", adapter, "not installed"),
  ];
  expect(JSON.parse(JSON.stringify(rows))).toEqual(rows);
});

test("a median of an even number lies between the two in the middle; nothing has no best", () => {
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([5, 1, 3])).toBe(3);
  expect(() => best([])).toThrow("nothing was measured");
});

test("numbers have three figures and no exponent", () => {
  expect([0.0012345, 0.5, 12.345, 12345.6].map(milliseconds)).toEqual(["0.00123", "0.5", "12.3", "12346"]);
  expect(gflops(2 * 512 * 1024 * 1024, 10)).toBe("107");
});

test("the table has a column for peers only when some row has one", () => {
  expect(rowsTable([timed({ what: "step", adapter, ours: [1] })])).not.toContain("ratio");
  const both = rowsTable([
    absent("peers", adapter, "not installed"),
    timed({ what: "step", adapter, ours: [1], peer }),
  ]);
  expect(both).toContain("ratio");
  expect(both).toContain("not installed");
});
