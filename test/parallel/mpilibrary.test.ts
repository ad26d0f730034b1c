// Loading an MPI library, each time in a process of its own: what it cannot do without, and that it stays.
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { builtSource } from "../support/builtclimax.ts";
import { mpiInstalled, mpiKinds } from "../support/mpirun.ts";

const source = (name: string): string => JSON.stringify(builtSource(`parallel/${name}`));

/** What a program says as JSON; `said` is its last word. */
function said(text: string): unknown {
  const program = `
    import { createRequire } from "node:module";
    const require = createRequire(${source("mpilibrary")});
    const refusal = (work) => { try { work(); } catch ({ name, kind, message, hint }) { return { name, kind, message, hint }; } };
    ${text}
    console.log(JSON.stringify(said));`;
  const argv = ["--input-type=module", "-e", program];
  return JSON.parse(execFileSync(process.execPath, argv, { encoding: "utf8" }));
}

test("without koffi the error names it, and how to get it", () => {
  const found = said(`
    const { default: Module } = await import("node:module");
    const resolve = Module._resolveFilename;
    Module._resolveFilename = (name, ...rest) => resolve(name === "koffi" ? "koffi-left-out" : name, ...rest);
    const { loadLibrary } = await import(${source("mpilibrary")});
    const said = refusal(() => loadLibrary("libm.so.6", undefined, {}));`);
  expect(found).toEqual({
    name: "ClimaxError",
    kind: "config",
    message:
      "MPI is reached through the npm package koffi, which is not installed (Cannot find module 'koffi-left-out')",
    hint: "npm install koffi; it is optional, and npm leaves it out with --omit=optional or where it has no binary",
  });
});

test.skipIf(!mpiInstalled("mpich"))(
  "a launcher's connection that is closed, or something else, is told before MPICH ends the process (skipped without MPICH)",
  () => {
    const found = said(`
      const { loadMpi } = await import(${source("mpi")});
      const { openSync } = await import("node:fs");
      const env = { PMI_RANK: "0", PMI_SIZE: "2" };
      const ended = refusal(() => loadMpi("libmpich.so.12", { ...env, PMI_FD: "987" }));
      const file = openSync("/dev/null");
      const other = refusal(() => loadMpi("libmpich.so.12", { ...env, PMI_FD: String(file) }));
      const said = { ended, other, file };`) as Record<"ended" | "other", { hint: string }> & {
      file: number;
    };
    const message = (fd: number) =>
      `the launcher's connection to this rank (PMI_FD, file descriptor ${fd}) is closed`;
    expect(found.ended).toMatchObject({ name: "ClimaxError", kind: "config", message: message(987) });
    expect(found.other).toMatchObject({ name: "ClimaxError", message: message(found.file) });
    expect(found.ended.hint).toContain("such as npx, npm or tsx, does not hand it on");
  },
);

test.for(mpiKinds)(
  "koffi's letting go of %s does not unload it (skipped where it is not installed)",
  (kind, context) => {
    if (!mpiInstalled(kind) || process.platform !== "linux") return context.skip();
    const name = kind === "openmpi" ? "libmpi.so.40" : "libmpich.so.12";
    const found = said(`
    const { loadLibrary } = await import(${source("mpilibrary")});
    const { readFileSync } = await import("node:fs");
    const mapped = () => readFileSync("/proc/self/maps", "utf8").includes(${JSON.stringify(name.replace(/\.\d+$/, ""))});
    const koffi = require("koffi");
    const before = mapped();
    loadLibrary(${JSON.stringify(name)}, undefined, {});
    const own = koffi.load(null);
    const close = own.func("dlclose", "int", ["void *"]);
    const handle = own.func("dlopen", "void *", ["str", "int"])(${JSON.stringify(name)}, 1);
    close(handle);
    const loaded = mapped();
    close(handle); // as koffi does at the end of the process
    const said = [before, loaded, mapped()];`);
    expect(found).toEqual([false, true, true]);
  },
);
