// What `climax bench scaling` prints: measured steps, then the projection with all that goes into it.
import type { Kind, Network, Pace, Way } from "../train/scaling.ts";
import type { LeastRow, ProjectedRow, RunRow, ScalingReport } from "./benchscaling.ts";
import { table } from "./table.ts";

export function scalingText(report: ScalingReport): string {
  const { runs, projected, least, wanted } = report;
  return [
    ...(runs.length > 0 ? [`measured\n\n${measuredTable(runs)}\n`] : []),
    "PROJECTION: what follows is computed from these figures, not measured\n",
    `${inputs(report)}\n`,
    `${formula(report)}\n`,
    ...(projected.length > 0 ? [`${projectedTable(projected)}\n`] : []),
    ...(least.length > 0
      ? [
          `PROJECTION: seconds that a step of one rank must take, at least, for an efficiency of ${percent(wanted!)}: c = ${wanted} t(N)\n\n${leastTable(least)}\n`,
        ]
      : []),
    "Efficiency is c / t, samples of a rank being as many however many ranks there are. Not counted: slower ranks that others wait for, input, validation, " +
      "checkpoints, other traffic; with zero, that each rank updates its share alone.",
  ].join("\n");
}

function measuredTable(runs: readonly RunRow[]): string {
  const formula = runs.some((run) => run.projection !== undefined);
  const heading = [
    "run",
    "ranks",
    "hosts",
    "way",
    "samples of a rank",
    "step",
    "samples/s",
    "efficiency",
    "waited",
  ];
  return table(
    [
      [...heading, ...(formula ? ["PROJECTION of it"] : [])],
      ...runs.map((run) => [
        ...[run.dir, `${run.ranks}`, `${run.hosts}`, run.ranks > 1 ? run.way : ""],
        ...[`${run.samples}`, time(run.step)],
        digits((run.ranks * run.samples) / run.step),
        run.efficiency === undefined ? "" : percent(run.efficiency),
        run.ranks > 1 ? time(run.waited) : "",
        ...(formula ? [run.projection === undefined ? "" : time(run.projection)] : []),
      ]),
    ],
    { align: ["left", ...Array.from({ length: 9 }, () => "right" as const)] },
  );
}

/** Whether it is known what hosts can do, of the sums that these ways make. */
function isMeasured({ paces }: Network, ways: readonly Way[]): boolean {
  return kindsOf(ways).some((kind) => paces[kind].rate < Infinity);
}

/** The kinds of sums of which these ways make use. */
function kindsOf(ways: readonly Way[]): Kind[] {
  const of: Readonly<Record<Way, readonly Kind[]>> = {
    ...{ f32: ["whole"], f16: ["halves"], zero: ["shares"], "zero-f16": ["halves", "shares"] },
  };
  return [...new Set(ways.flatMap((way) => of[way]))];
}

function inputs({ compute, backward, bytes, buckets, networks, networkFrom, ways }: ScalingReport): string {
  const one = networks[0]!;
  const k = buckets.value;
  const rows: string[][] = [
    ...(compute ? [["c", time(compute.value), `a step of one rank by itself (${compute.from})`]] : []),
    [
      "b",
      digits(backward.value),
      `part of it during which gradients become complete, evenly (${backward.from})`,
    ],
    ["S", decimalBytes(bytes.value), `gradients in f32 (${bytes.from})`],
    ["k", `${k}`, `buckets (${buckets.from}), each of s = S / k = ${decimalBytes(bytes.value / k)}`],
    ["C", `${rate(one.copy)}`, "copies between device and host, each way"],
    ["B", networks.map(({ bandwidth }) => bits(bandwidth)).join(", "), `network, each way (${networkFrom})`],
    ["L", time(one.latency), "of a message"],
    [
      "R",
      `${one.perHost}`,
      `ranks that share a host and its card, neighbours in rank${one.perHost > 1 && !isMeasured(one, ways) ? ", as fast among themselves as between hosts" : ""}`,
    ],
  ];
  if (isMeasured(one, ways)) {
    const each = (of: (pace: Pace) => string): string =>
      kindsOf(ways)
        .map((kind) => `${of(one.paces[kind])} (${kind})`)
        .join(", ");
    rows.push([
      "H",
      each((pace) => (pace.rate < Infinity ? rate(pace.rate) : "no limit")),
      "what a rank adds up and passes on, whatever the network",
    ]);
    rows.push(["o", each((pace) => time(pace.call)), "a sum of nothing, beside the network's part"]);
  }
  return table(rows, { header: false, align: ["left", "left", "left"] });
}

/** The lines that the ways in use take, to be worked by hand. */
function formula({ ways, networks }: ScalingReport): string {
  const one = networks[0]!;
  const known = isMeasured(one, ways);
  const [pace, call, part] = known ? ["V", "o + ", "o / 2 + "] : ["B", "", ""];
  const card = `(N - 1) s' / N / ${pace}`;
  const shared = one.perHost > 1 ? `max(${card}, R (N - R) s' / N / B)` : card;
  const passed = `(N - 1) (s' / N / ${pace} + L)`;
  const lines: Readonly<Record<Way, string>> = {
    f32: "f32:  t(N) = (1 - b) c + T(b c / k, e, a, e)",
    f16: `f16:  t(N) = (1 - b) c + T(b c / k, e', ${call}x + ${passed}, e')`,
    zero: "zero: t(N) = (1 - b) c + T(b c / k, e, g, e / N) + T(e / N, g, e)",
    "zero-f16": `zero-f16: t(N) = (1 - b) c + T(b c / k, e', ${part}x, e / N) + T(e / N, g, e)`,
  };
  const kinds = kindsOf(ways);
  return [
    "t(1) = c",
    ...ways.map((way) => lines[way]),
    "T(x, y, ...) = x + y + ... + (k - 1) max(x, y, ...): k buckets go through stages that each take one at a time",
    `e = s / C${known ? "; V = min(B, H), but H where all ranks share a host" : ""}`,
    ...(kinds.includes("whole")
      ? [
          `a = ${call}the lesser of ring = 2 (N - 1) (s / N / ${pace} + L) and halving = 2 ((1 - 1 / P) s / ${pace} + log2(P) L), with 2 (s / ${pace} + L) more where N > P,`,
          "    P the largest power of two up to N: MPI libraries choose among the two by size (Thakur, Rabenseifner and Gropp 2005)",
        ]
      : []),
    ...(kinds.includes("shares")
      ? [`g = ${part}(N - 1) (s / N / ${pace} + L), a share of all passed on`]
      : []),
    ...(kinds.includes("halves")
      ? [`x = ${shared} + (N - 1) L, a piece of halves from each rank to each; s' = 257/512 s, e' = s' / C`]
      : []),
  ].join("\n");
}

function projectedTable(rows: readonly ProjectedRow[]): string {
  return table(
    [
      [
        "PROJECTION",
        "ranks",
        "hosts",
        "network",
        "a bucket's sum",
        "",
        "step",
        "efficiency",
        "samples/s",
        "speed-up",
      ],
      ...rows.map((row) => [
        ...[row.way, `${row.ranks}`, `${row.hosts}`, bits(row.bandwidth)],
        ...(row.sum === undefined ? ["", ""] : [time(row.sum), row.algorithm!]),
        ...[time(row.step), percent(row.efficiency), digits(row.samplesPerSecond)],
        digits(row.ranks * row.efficiency),
      ]),
    ],
    { align: ["left", "right", "right", "right", "right", "left", "right", "right", "right", "right"] },
  );
}

/** A line for each network and way, a column for each number of ranks. */
function leastTable(rows: readonly LeastRow[]): string {
  const ranks = [...new Set(rows.map((row) => row.ranks))];
  const lines = new Map<string, string[]>();
  for (const row of rows) {
    const name = `${bits(row.bandwidth)}, ${row.way}`;
    lines.set(name, [...(lines.get(name) ?? []), time(row.compute)]);
  }
  return table(
    [
      ["PROJECTION", ...ranks.map((n) => `${n} rank${n === 1 ? "" : "s"}`)],
      ...[...lines].map(([name, cells]) => [name, ...cells]),
    ],
    { align: ["left", ...ranks.map(() => "right" as const)] },
  );
}

const percent = (part: number): string => `${digits(100 * part)} %`;

/** Three digits, without an exponent. */
function digits(value: number): string {
  const text = value.toPrecision(3);
  return text.includes("e") ? `${Number(text)}` : text;
}

function scaled(value: number, units: readonly string[], from: number): string {
  let [power, rest] = [from, value];
  while (rest >= 999.5 && power < units.length - 1) [power, rest] = [power + 1, rest / 1000];
  while (rest > 0 && rest < 0.9995 && power > 0) [power, rest] = [power - 1, rest * 1000];
  return `${digits(rest)} ${units[power]}`;
}

const time = (seconds: number): string => scaled(seconds, ["ns", "µs", "ms", "s"], 3);
const decimalBytes = (count: number): string => scaled(count, ["bytes", "kB", "MB", "GB", "TB"], 0);
const rate = (speed: number): string => `${decimalBytes(speed)}/s`;
const bits = (speed: Network["bandwidth"]): string =>
  `${scaled(8 * speed, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"], 0)}`;
