/** climax doctor under mpirun or srun, or with --mpi: the MPI library, and every rank with its host and adapter. */
import { adaptersNamed } from "../engine/adapters.ts";
import { ClimaxError } from "../errors.ts";
import { launchedBy } from "../parallel/launcher.ts";
import { loadMpi, type MpiFacts } from "../parallel/mpi.ts";
import type { Context } from "./command.ts";
import { describe, isRight, isWell, type Report, type Trial } from "./doctor.ts";
import type { Problem } from "./machine.ts";
import { table } from "./table.ts";

interface Rank {
  readonly rank: number;
  readonly host: string;
  readonly localRank: number;
  readonly pid: number;
  readonly trial: Trial | undefined;
  /** How many adapters of the tried one's name its host has. */
  readonly alike: number;
  readonly problems: readonly Problem[];
}

interface MpiReport extends Pick<MpiFacts, "library" | "version" | "kind" | "threadLevel"> {
  /** null for one process that nothing launched. */
  readonly launcher: string | null;
  readonly ranks: readonly Rank[];
}

/**
 * Every rank looks at its machine and tries its adapter; rank 0 prints its own report and what it heard of the others.
 *
 * @param examine  given the how manyth rank of its host this is
 * @returns  exit code, of every rank: 1 where one of them is not well
 */
export async function inspectRanks(
  library: string | undefined,
  examine: (turn: number) => Promise<Report>,
  context: Context,
  json: boolean,
): Promise<number> {
  const mpi = loadMpi(library); // first: it wants another stack than ecCodes, and the first library decides
  const { rank, localRank, hosts, version, kind, threadLevel } = mpi;
  const [report, problem] = await examine(localRank).then(
    (found) => [found, undefined] as const,
    (error: unknown) => [undefined, problemOf(error)] as const,
  );
  const mine: Rank = {
    ...{ rank, host: hosts[rank]!, localRank, pid: process.pid },
    trial: report?.trial,
    alike: report?.trial ? await adaptersNamed(report.trial.adapter) : 0,
    problems: report ? report.problems : [problem!],
  };
  const texts = await mpi.gather(Buffer.from(JSON.stringify(mine)));
  const ranks = texts.map((bytes) => JSON.parse(Buffer.from(bytes).toString()) as Rank);
  if (rank === 0) {
    const launcher = launchedBy()?.launcher ?? null;
    const found: MpiReport = { launcher, library: mpi.library, version, kind, threadLevel, ranks };
    if (json) context.print(JSON.stringify({ ...report, mpi: found }, null, 2));
    else context.print([...(report ? [describe(report)] : []), ...describeRanks(found)].join("\n\n"));
  }
  await mpi.finalize();
  return ranks.every(isWell) ? 0 : 1;
}

function problemOf(error: unknown): Problem {
  if (!(error instanceof ClimaxError)) throw error;
  return { what: error.message, mend: error.hint, fatal: true };
}

function describeRanks({ launcher, library, version, kind, threadLevel, ranks }: MpiReport): string[] {
  const hosts = new Set(ranks.map(({ host }) => host)).size;
  const count = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;
  const parts = [
    table(
      [
        ["MPI", version],
        ["library", `${library} (binary interface of ${kind})`],
        ["threads", threadLevel],
        ["started by", launcher ?? "nothing: one process by itself"],
        ["ranks", `${count(ranks.length, "rank")} on ${count(hosts, "host")}`],
      ],
      { header: false },
    ),
    table(
      [
        ["rank", "host", "of its host", "process", "adapter", "kind", "matrix product"],
        ...ranks.map(({ rank, host, localRank, pid, trial }) => [
          ...[`${rank}`, host, `${localRank}`, `${pid}`, trial?.adapter ?? "none", trial?.kind ?? ""],
          trial ? `${isRight(trial) ? "right" : "WRONG"}, ${trial.milliseconds.toFixed(0)} ms` : "",
        ]),
      ],
      { align: ["right", "left", "right", "right"] },
    ),
  ];
  // Rank 0's are in its report, which is missing where it could not make one.
  const said = new Set(ranks[0]!.trial ? ranks[0]!.problems.map(({ what }) => what) : []);
  const others = ranks.flatMap(({ rank, host, problems }) =>
    problems
      .filter(({ what }) => !said.has(what))
      .map((problem) => ({ who: `${rank} on ${host}`, ...problem })),
  );
  const list = [...grouped(others, ({ what, mend }) => `${what}\n  mend: ${mend}`)].map(
    ([text, of]) => `- rank ${of.map(({ who }) => who).join(", ")}: ${text}`,
  );
  list.push(...sharing(ranks));
  return list.length === 0 ? parts : [...parts, `Of the ranks:\n${list.join("\n")}`];
}

/** What is to be said of ranks of one host that compute on GPUs of one name. */
function sharing(ranks: readonly Rank[]): string[] {
  const onGpus = ranks.filter(({ trial }) => trial?.kind === "hardware");
  return [...grouped(onGpus, ({ host, trial }) => `${host}: ${trial!.adapter}`)].flatMap(([which, of]) => {
    if (of.length === 1) return [];
    const { alike } = of[0]!;
    return alike > 1
      ? `- ${of.length} ranks on ${which}, of which there are ${alike}; WebGPU cannot tell them apart\n` +
          "  mend: have the launcher show each rank the device files of its own alone: srun --gpus-per-task=1 where " +
          "cgroup.conf has ConstrainDevices=yes, or a container for each rank; CUDA_VISIBLE_DEVICES is nothing to Vulkan"
      : `- ${of.length} ranks share one adapter on ${which}\n  mend: one rank for each GPU is as fast`;
  });
}

function grouped<T>(all: readonly T[], keyOf: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of all) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one]);
  return groups;
}
