/** Which signals stop what work, and how it then ends. */
import { expect, test } from "vitest";
import {
  Interrupted,
  type InterruptOptions,
  interruptedElsewhere,
  interruptible,
} from "../../src/cli/interrupt.ts";

/** What work that got these signals, one after the other, was told. */
async function told(options: InterruptOptions, ...signals: NodeJS.Signals[]): Promise<string[]> {
  const said: string[] = [];
  await interruptible(
    async (signal) => {
      for (const name of signals) if (process.listenerCount(name) > 0) process.emit(name, name);
      said.push(signal.aborted ? (signal.reason as Error).message : "went on");
    },
    ({ message, exitCode }) => said.push(`${message}: ${exitCode}`),
    options,
  );
  return said;
}

test("a scheduler's warning stops work that can be gone on with, and no other", async () => {
  expect(await told({ resumable: true }, "SIGUSR1")).toEqual([
    "interrupted by SIGUSR1: 75",
    "interrupted by SIGUSR1",
  ]);
  expect(await told({}, "SIGUSR1")).toEqual(["went on"]);
  // SIGTERM follows it when the time is up: that ends nothing, and the first reason stands.
  expect(await told({ resumable: true }, "SIGUSR1", "SIGUSR1", "SIGTERM")).toEqual([
    "interrupted by SIGUSR1: 75",
    "interrupted by SIGUSR1",
  ]);
});

test("one of several processes is not hurried by a launcher that passes on what it also gets by itself", async () => {
  expect(await told({ oneOfSeveral: true }, "SIGINT", "SIGTERM", "SIGTERM")).toEqual([
    "interrupted by SIGINT: 130",
    "interrupted by SIGINT",
  ]);
});

test("the handlers are gone when the work has ended", async () => {
  const count = () => ["SIGINT", "SIGTERM", "SIGUSR1"].map((name) => process.listenerCount(name));
  const before = count();
  await told({ resumable: true }, "SIGTERM");
  expect(count()).toEqual(before);
});

test("a reason of another process ends this one with the same code", () => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGUSR1"] as const) {
    const reason = new Interrupted(signal);
    expect(interruptedElsewhere(reason.exitCode)).toEqual(reason);
  }
});
