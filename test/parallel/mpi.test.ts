// The binding to MPI: which library is taken, and its calls on real ranks.
import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import type { ClimaxError } from "../../src/errors.ts";
import { collectives, parts } from "../../src/parallel/collectives.ts";
import { constantsOf } from "../../src/parallel/mpikinds.ts";
import { kindOf, libraryNames } from "../../src/parallel/mpilibrary.ts";
import { builtSource } from "../support/builtclimax.ts";
import { mpiInstalled, mpiKinds, startRanks } from "../support/mpirun.ts";

const source = (name: string): string => JSON.stringify(builtSource(`parallel/${name}`));

describe("which library", () => {
  test("the launcher's family first, then the other, then the standard's", () => {
    const names = (family?: "Open MPI" | "MPICH") => libraryNames(family, {}, "linux");
    expect(names("Open MPI")[0]).toBe("libmpi.so.40");
    expect(names("MPICH").slice(0, 3)).toEqual(["libmpi.so.12", "libmpich.so.12", "libmpi.so.40"]);
    expect(names()).toEqual([
      ...["libmpi.so.40", "libmpi.so.12", "libmpich.so.12", "libmpi_abi.so.1", "libmpi.so"],
    ]);
  });

  test("folders of modules and conda before the system's; Homebrew's on a Mac", () => {
    const env = { MPI_HOME: "/apps/mpi", CONDA_PREFIX: "" };
    expect(libraryNames("Open MPI", env, "linux")[0]).toBe("/apps/mpi/lib/libmpi.so.40");
    expect(libraryNames("Open MPI", {}, "darwin")).toEqual(
      expect.arrayContaining(["/opt/homebrew/lib/libmpi.40.dylib", "libmpi.12.dylib", "libmpi.dylib"]),
    );
  });

  test("kinds are told by what a library exports and says", () => {
    const none = () => false;
    expect(kindOf("libmpi.so", "Open MPI v5.0.6", (name) => name === "ompi_mpi_comm_world")).toBe("Open MPI");
    expect(kindOf("libmpi.so.12", "Intel(R) MPI Library 2021.13 for Linux* OS", none)).toBe("MPICH");
    expect(kindOf("libmpi.so.12", "MPI VERSION    : CRAY MPICH version 8.1.29.9", none)).toBe("MPICH");
    expect(kindOf("libmpi.so.12", "MVAPICH Version      :	3.0", none)).toBe("MPICH");
    expect(kindOf("/opt/lib/libmpi_abi.so.1", "MPICH Version:	5.0.0", none)).toBe("MPI-5 ABI");
    expect(kindOf("libmpi.so", "HPE MPT 2.28", none)).toBeUndefined();
  });

  /** In a process of its own: koffi, which other tests of this process may have used, takes settings but before that. */
  const refusal = (library: string | undefined, env: NodeJS.ProcessEnv): ClimaxError => {
    const text = `
      import { loadLibrary } from ${source("mpilibrary")};
      try { loadLibrary(${JSON.stringify(library)}, undefined, ${JSON.stringify(env)}); }
      catch ({ name, message, hint }) { console.log(JSON.stringify({ name, message, hint })); }`;
    const argv = ["--input-type=module", "-e", text];
    return JSON.parse(execFileSync(process.execPath, argv, { encoding: "utf8" }));
  };

  test.each([
    ["/nowhere/libmpi.so", {}],
    [undefined, { CLIMAX_MPI_LIB: "/nowhere/libmpi.so" }],
  ])("one that is named and not there is an error, not a reason to take another: %s", (library, env) => {
    const { name, message, hint } = refusal(library, env);
    expect(name).toBe("ClimaxError");
    expect(message).toMatch(/^cannot load the MPI library \/nowhere\/libmpi\.so: ./);
    expect(hint).toContain("--mpi LIB or CLIMAX_MPI_LIB");
  });

  test.runIf(process.platform === "linux")("a library of something else is told so", () => {
    const { name, message } = refusal("libm.so.6", {});
    expect([name, message]).toEqual([
      "ClimaxError",
      expect.stringMatching(/^libm\.so\.6 is no MPI library: ./),
    ]);
  });
});

describe("arrays of more elements than a call takes", () => {
  test("go in views of the same memory", () => {
    const values = Float32Array.from({ length: 10 }, (_, i) => i);
    const views = [...parts(values, 4)];
    expect(views.map((view) => [...view])).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9],
    ]);
    views[2]![1] = 99;
    expect(values[9]).toBe(99);
    expect([...parts(values, 5)].map(({ length }) => length)).toEqual([5, 5]);
    expect([...parts(new Float64Array(0), 4)]).toEqual([]);
  });
});

test("shares that are not equal are refused before anything is sent", async () => {
  const never = () => expect.unreachable();
  const calls = { now: never, int: never, offThread: never, waited: never };
  const ranks = { rank: 0, size: 3, threadLevel: "multiple" } as const;
  const made = () => collectives(constantsOf("MPICH", never), calls, ranks);
  await expect(made().reduceScatter(new Float32Array(7))).rejects.toThrow("7 elements among 3 ranks");
  await expect(made().allgather(new Uint8Array(1))).rejects.toThrow("1 elements among 3 ranks");
  await expect(made().alltoall(new Uint8Array(2), new Uint8Array(2))).rejects.toThrow("2 elements among 3");
  await expect(made().alltoall(new Uint8Array(6), new Uint8Array(3))).rejects.toThrow("6 bytes into 3");
});

/** A program of a rank: what `body` returns is printed as JSON. */
const program = (body: string, calls = "mpi"): string[] => {
  const text = `
    import { loadMpi } from ${source("mpi")};
    import { loadLibrary } from ${source("mpilibrary")};
    import { collectives } from ${source("collectives")};
    import { callsOf } from ${source("mpicalls")};
    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const mpi = loadMpi();
    const calls = ${calls};
    const said = await (async () => { ${body} })();
    console.log(JSON.stringify(said));
    await mpi.finalize();`;
  return [process.execPath, "--expose-gc", "--input-type=module", "-e", text];
};
const told = (texts: readonly string[]): unknown[] => texts.map((text) => JSON.parse(text || '"nothing"'));

/** Arrays of shares, small and large: what is wrong afterwards. They lie within larger ones, which stay as they were. */
const exchanges = `
  const exchanges = async () => {
    const { rank, size } = mpi;
    const wrong = [];
    const within = (Kind, n, valueOf) => {
      const memory = new Kind(size * n + 2).fill(77);
      const values = memory.subarray(1, 1 + size * n);
      for (let i = 0; i < values.length; i++) values[i] = valueOf(Math.floor(i / n), i % n);
      const check = (what, wanted) => {
        const at = values.findIndex((value, i) => {
          const good = wanted(Math.floor(i / n), i % n);
          return good !== undefined && value !== good;
        });
        if (at >= 0) wrong.push(what + " of " + n + " at " + at + ": " + values[at]);
        if (memory[0] !== 77 || memory.at(-1) !== 77) wrong.push(what + " of " + n + " wrote beside its array");
      };
      return { values, check };
    };
    const work = [];
    for (const n of [3, 30_001, 0]) {
      const summed = within(Float32Array, n, (share, i) => 100 * share + rank + (i % 1000));
      const floats = within(Float32Array, n, (share, i) => (share === rank ? 1000 * rank + (i % 999) : -1));
      const bytes = within(Uint8Array, n, (share, i) => (share === rank ? 50 * rank + (i % 49) : 255));
      const from = within(Uint8Array, n, (share, i) => 60 * rank + 15 * share + (i % 13));
      const into = within(Uint8Array, n, () => 254);
      work.push(
        calls.reduceScatter(summed.values).then(() =>
          summed.check("reduceScatter", (share, i) =>
            share === rank ? size * (100 * rank + (i % 1000)) + (size * (size - 1)) / 2 : undefined)),
        calls.allgather(floats.values).then(() =>
          floats.check("allgather", (share, i) => 1000 * share + (i % 999))),
        calls.allgather(bytes.values).then(() =>
          bytes.check("allgather of bytes", (share, i) => 50 * share + (i % 49))),
        calls.alltoall(from.values, into.values).then(() => {
          into.check("alltoall", (share, i) => 60 * share + 15 * rank + (i % 13));
          from.check("alltoall, which sends,", (share, i) => 60 * rank + 15 * share + (i % 13));
        }),
      );
    }
    await Promise.all(work);
    return wrong;
  };`;

/** Everything there is, small and large, begun together. */
const everything = `
  ${exchanges}
  const { rank, size } = mpi;
  const small = new Float64Array([rank, -rank, 0.5]);
  const large = Float32Array.from({ length: 300_001 }, (_, i) => (i % 1000) + rank);
  const sent = Uint8Array.from({ length: 100_000 }, (_, i) => (rank === 0 ? i % 251 : 255));
  const sentFew = new Float32Array([rank === 0 ? 1.5 : -1]);
  const tiny = new Float64Array(2).fill(rank + 1);
  const [, , , , , , gathered] = await Promise.all([
    calls.allreduce(small, "max"),
    calls.allreduce(large, "sum"),
    calls.allreduce(new Float32Array(0), "sum"),
    calls.broadcast(sent),
    calls.broadcast(sentFew),
    calls.allreduce(tiny.subarray(1), "sum"),
    calls.gather(Buffer.from(rank === 1 ? "" : "rank " + rank)),
    calls.barrier(),
  ]);
  const shares = await exchanges();
  const nothing = await calls.gather(new Uint8Array(0));
  return {
    small: [...small],
    large: large.every((value, i) => value === size * (i % 1000) + (size * (size - 1)) / 2),
    sent: sent.every((value, i) => value === i % 251),
    sentFew: sentFew[0],
    tiny: [...tiny],
    gathered: gathered.map((bytes) => Buffer.from(bytes).toString()),
    nothing: nothing.map(({ length }) => length),
    shares,
    facts: [mpi.kind, mpi.size, mpi.localSize, mpi.hosts.length, mpi.localRank - rank],
  };`;
/** What there is on a library that lets no other thread in. */
const oneThread = `(() => {
  const library = loadLibrary(mpi.library, undefined, {});
  return collectives(library.constants, callsOf(library), { ...mpi, threadLevel: "funneled" });
})()`;

describe.each(mpiKinds)("%s (skipped where it is not installed)", (kind) => {
  const it = test.skipIf(!mpiInstalled(kind)).concurrent;
  const expected = (n: number, rank: number) => ({
    small: [n - 1, 0, 0.5],
    large: true,
    sent: true,
    sentFew: 1.5,
    tiny: [rank + 1, (n * (n + 1)) / 2],
    gathered: Array.from({ length: n }, (_, other) => (other === 1 ? "" : `rank ${other}`)),
    nothing: Array.from({ length: n }, () => 0),
    shares: [],
    facts: [kind === "openmpi" ? "Open MPI" : "MPICH", n, n, n, 0],
  });

  it.each([1, 2, 4])("%i ranks reduce, send, gather and exchange shares", async (n) => {
    const said = await startRanks(n, program(everything), { kind }).done;
    expect(said.err.join("")).toBe("");
    expect(said.code).toBe(0);
    expect(told(said.out)).toEqual(Array.from({ length: n }, (_, rank) => expected(n, rank)));
  });

  it("keeps UCX from moving the heap, unless the user wants it to", async () => {
    const body = "return [process.env.UCX_MEM_EVENTS, process.env.UCX_ERROR_SIGNALS];";
    const said = await startRanks(1, program(body), { kind, env: { UCX_ERROR_SIGNALS: "SIGBUS" } }).done;
    expect(said.err.join("")).toBe("");
    expect(told(said.out)).toEqual([["no", "SIGBUS"]]);
  });

  it("does so on one thread", async () => {
    const said = await startRanks(2, program(everything, oneThread), { kind }).done;
    expect(said.err.join("")).toBe("");
    expect(told(said.out)).toEqual([expected(2, 0), expected(2, 1)]);
  });

  it("waits for a late rank without a core, and the event loop turns", async () => {
    const body = `
      const values = new Float32Array(1e6).fill(1);
      if (mpi.rank === 1) await sleep(1500);
      const before = process.cpuUsage();
      let turns = 0;
      const timer = setInterval(() => turns++, 10);
      await calls.allreduce(values, "sum");
      clearInterval(timer);
      const { user, system } = process.cpuUsage(before);
      return { sum: values[999_999], turns, cpu: (user + system) / 1e6 };`;
    const said = await startRanks(2, program(body), { kind }).done;
    const [first] = told(said.out) as { sum: number; turns: number; cpu: number }[];
    expect(first!.sum).toBe(2);
    expect(first!.turns).toBeGreaterThan(20);
    // A thread that spins takes 1.5 s, or half of it where a core is shared.
    expect(first!.cpu).toBeLessThan(0.4);
  });

  it("holds arrays that nobody else does", async () => {
    const body = `
      const few = () => calls.allreduce(new Float64Array([1, 2]), "sum");
      const many = () => calls.allreduce(new Float32Array(2e6), "sum");
      for (let i = 0; i < 3; i++) {
        const waiting = [few(), many(), calls.broadcast(new Uint8Array(1e6)), few()];
        for (let j = 0; j < 5; j++) { gc(); await sleep(2); new Float32Array(2e6).fill(7); }
        await Promise.all(waiting);
      }
      return "held";`;
    const said = await startRanks(2, program(body), { kind }).done;
    expect(said.err.join("")).toBe("");
    expect(told(said.out)).toEqual(["held", "held"]);
  });

  it("says with MPI's words what failed, and fails from then on", async () => {
    // More elements are sent than the other rank has room for.
    const body = `
      const errors = [];
      const one = calls.broadcast(new Uint8Array(mpi.rank === 0 ? 60_000 : 3)).catch((error) => errors.push(error));
      await one;
      if (mpi.rank === 1) await calls.barrier().catch((error) => errors.push(error));
      console.log(JSON.stringify(errors.map(({ kind, message }) => ({ kind, message }))));
      process.exit(4);`;
    const said = await startRanks(2, program(body), { kind }).done;
    expect(said.code).toBe(4);
    const [error, again] = told(said.out)[1] as { kind: string; message: string }[];
    expect(error!.kind).toBe("device");
    expect(error!.message).toMatch(
      /^MPI_\w+ failed: .*(truncated|Invalid communicator).* \((Open MPI|MPICH)[^\n]*$/,
    );
    expect(again).toEqual(error);
  });

  it("does not let a rank that left without finalize pass for a good one", async () => {
    const body = `if (mpi.rank === 1) process.exit(0); await calls.barrier();`;
    const said = await startRanks(2, program(body), { kind }).done;
    expect(said.code).not.toBe(0);
  });

  it("leaves a process whose thread is inside MPI", async () => {
    const body = `
      const library = loadLibrary(mpi.library, undefined, {});
      const { leaveNow } = await import(${source("leave")});
      if (mpi.rank === 1) return sleep(60_000);
      void callsOf(library).offThread("Allgather", library.constants.inPlace, 0, library.constants.byte, new Uint8Array(2), 1, library.constants.byte, library.constants.world);
      await sleep(100);
      leaveNow(7);`;
    const said = await startRanks(2, program(body), { kind, timeout: 20_000 }).done;
    expect(said.timedOut).toBe(false);
    // MPICH's launcher ends the other rank with SIGKILL, and may tell of that one.
    expect(kind === "mpich" ? [7, 9] : [7]).toContain(said.code);
  });
});
