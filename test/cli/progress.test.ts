import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { duration, progress } from "../../src/cli/progress.ts";

/** A stream that keeps what is written; a terminal when it has columns. */
function sink(columns?: number) {
  const stream = new PassThrough();
  const written: string[] = [];
  stream.on("data", (chunk: Buffer) => written.push(chunk.toString()));
  const extra = {
    isTTY: columns !== undefined,
    columns,
    rows: 24,
    cursorTo() {},
    clearLine() {},
    moveCursor() {},
  };
  return { stream: Object.assign(stream, extra) as unknown as NodeJS.WriteStream, written };
}

test("in a log file it is a line now and then, and one at the end", () => {
  const { stream, written } = sink();
  let time = 0;
  const bar = progress({ label: "epoch 1", total: 40, stream, logEvery: 10, now: () => time });
  for (let step = 1; step <= 40; step++) {
    time += 1;
    bar.update(step, `loss ${step}`);
  }
  bar.stop();
  expect(written).toEqual([
    "epoch 1 10/40  25%  30s left  loss 10\n",
    "epoch 1 20/40  50%  20s left  loss 20\n",
    "epoch 1 30/40  75%  10s left  loss 30\n",
    "epoch 1 40/40  100%  in 40s  loss 40\n",
  ]);
});

test("a run that is stopped early says how far it came", () => {
  const { stream, written } = sink();
  const bar = progress({ label: "regrid", total: 4, stream, now: () => 0 });
  bar.update(1);
  bar.log("a note");
  bar.stop();
  expect(written).toEqual(["a note\n", "regrid 1/4  25%  0.0s left\n"]);
});

test("a terminal of 0 columns, as mpirun makes them, is written to as a log", () => {
  const { stream, written } = sink(0);
  const bar = progress({ label: "x", total: 1, stream, now: () => 0 });
  bar.update(1);
  bar.stop();
  expect(written).toEqual(["x 1/1  100%  in 0.0s\n"]);
});

test("on a terminal it is a bar that fits the line", () => {
  const { stream, written } = sink(60);
  const bar = progress({ label: "epoch 1", total: 2, stream, now: () => 0 });
  bar.update(1, "loss 0.123 and a great deal more than fits on a line of sixty");
  bar.stop();
  const text = written.join("");
  expect(text).toContain("epoch 1 ████████████░░░░░░░░░░░░ 1/2  50%");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escapes are what a terminal is sent
  for (const line of text.replace(/\u001b\[[?\d;]*[a-zA-Z]/g, "\n").split(/[\r\n]+/)) {
    expect(line.length).toBeLessThan(60);
  }
});

test("quiet draws nothing", () => {
  const { stream, written } = sink(80);
  const bar = progress({ label: "x", total: 1, stream, quiet: true });
  bar.update(1);
  bar.log("text");
  bar.stop();
  expect(written).toEqual([]);
});

test.for([
  [0.42, "0.4s"],
  [9.96, "10s"],
  [59.4, "59s"],
  [59.9, "1m00s"],
  [185, "3m05s"],
  [7620, "2h07m"],
  [273_600, "3d04h"],
] as const)("%s s is %s", ([seconds, text]) => {
  expect(duration(seconds)).toBe(text);
});
