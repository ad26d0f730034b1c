import { expect, test } from "vitest";
import { Commands } from "../../src/engine/commands.ts";

/** Commands of a device that writes down what it is asked for. */
function noted(): { commands: Commands; asked: string[] } {
  const asked: string[] = [];
  const pass = {
    setPipeline: (name: string) => asked.push(`pipeline ${name}`),
    setBindGroup: (_: number, name: string) => asked.push(`group ${name}`),
    setImmediates: (_: number, { byteLength }: ArrayBuffer) => asked.push(`${byteLength} bytes`),
    dispatchWorkgroups: (...grid: number[]) => asked.push(`dispatch ${grid}`),
    end: () => asked.push("end"),
  };
  const encoder = {
    beginComputePass: (of?: GPUComputePassDescriptor) => {
      asked.push(of ? "timed pass" : "pass");
      return pass;
    },
    finish: () => undefined,
  };
  const device = { createCommandEncoder: () => encoder, queue: { submit: () => asked.push("submit") } };
  return { commands: new Commands(device as unknown as GPUDevice, "hardware"), asked };
}

function dispatch(commands: Commands, pipeline: string, timestamps?: GPUComputePassTimestampWrites): void {
  commands.dispatch(
    pipeline as unknown as GPUComputePipeline,
    "g" as unknown as GPUBindGroup,
    pipeline === "plain" ? undefined : new ArrayBuffer(8),
    [1, 2, 3],
    timestamps,
  );
}

test("a pipeline is set once for dispatches in a row, and again in each new pass", () => {
  const { commands, asked } = noted();
  for (const pipeline of ["a", "a", "plain"]) dispatch(commands, pipeline);
  void commands.encoder; // outside any pass
  dispatch(commands, "plain");
  commands.flush();
  dispatch(commands, "plain");
  const one = ["group g", "dispatch 1,2,3"];
  const withBytes = ["group g", "8 bytes", "dispatch 1,2,3"];
  expect(asked).toEqual([
    ...["pass", "pipeline a", ...withBytes, ...withBytes, "pipeline plain", ...one, "end"],
    ...["pass", "pipeline plain", ...one, "end", "submit"],
    ...["pass", "pipeline plain", ...one],
  ]);
});

test("a dispatch with timestamps has a pass of its own", () => {
  const { commands, asked } = noted();
  dispatch(commands, "plain");
  dispatch(commands, "plain", { querySet: {} as GPUQuerySet });
  const one = ["pipeline plain", "group g", "dispatch 1,2,3"];
  expect(asked).toEqual(["pass", ...one, "end", "timed pass", ...one]);
});

test("the first submits after a wait come soon, later ones are longer", () => {
  const { commands, asked } = noted();
  const lengths = (dispatches: number): number[] => {
    asked.length = 0;
    for (let i = 0; i < dispatches; i++) dispatch(commands, "plain");
    const submits = asked.join(" ").split("submit");
    return submits.map((text) => text.split("dispatch").length - 1);
  };
  expect(lengths(8 + 16 + 32 + 64 + 64 + 3)).toEqual([8, 16, 32, 64, 64, 3]);
  commands.flush();
  commands.idle();
  expect(lengths(9)).toEqual([8, 1]);
});
