// The rows of the bench: what it prints and what it writes.
import { table } from "../../src/cli/table.ts";

/** One comparison, or one measurement where there is no peer. A row is what `--json` writes. */
export interface Row {
  readonly what: string;
  readonly adapter: string;
  /** The best round; null where no time was taken. */
  readonly ours_ms: number | null;
  /** Empty where there is nothing to compare with. */
  readonly peer: string;
  readonly peer_ms: number | null;
  /** Ours over the peer's: of the best times, or of what the note says. Below 1 ours is ahead. */
  readonly ratio: number | null;
  readonly note: string;
}

export interface Measured {
  readonly what: string;
  readonly adapter: string;
  /** Milliseconds of each round. */
  readonly ours: readonly number[];
  readonly peer?: { readonly name: string; readonly ms: readonly number[] };
  readonly note?: string;
}

/** A row from the rounds of both sides: the best of each, the medians in the note. */
export function timed({ what, adapter, ours, peer, note = "" }: Measured): Row {
  const [ours_ms, peer_ms] = [best(ours), peer ? best(peer.ms) : null];
  const medians = [ours, ...(peer ? [peer.ms] : [])].filter(({ length }) => length > 1).map(median);
  const middle = medians.length > 0 ? `median ${medians.map(milliseconds).join(" : ")}` : "";
  return {
    what,
    adapter,
    ours_ms,
    peer: peer?.name ?? "",
    peer_ms,
    ratio: peer_ms ? significant(ours_ms / peer_ms) : null,
    note: [note, middle].filter((text) => text !== "").join("; "),
  };
}

/** A row that compares bytes: the ratio is of memory, the figures stand in the note. */
export function memory(
  what: string,
  adapter: string,
  ours: number,
  peer?: { readonly name: string; readonly bytes: number },
): Row {
  const note = peer ? `${megabytes(ours)} : ${megabytes(peer.bytes)} MB` : `${megabytes(ours)} MB`;
  const ratio = peer ? significant(ours / peer.bytes) : null;
  return { what, adapter, ours_ms: null, peer: peer?.name ?? "", peer_ms: null, ratio, note };
}

/** A row that says why there is no measurement. */
export function absent(what: string, adapter: string, why: string, peer = ""): Row {
  return { what, adapter, ours_ms: null, peer, peer_ms: null, ratio: null, note: why };
}

/** The rows as text; a peer's column only where some row has one. */
export function rowsTable(rows: readonly Row[]): string {
  const peers = rows.some(({ peer }) => peer !== "");
  const heading = peers ? ["what", "ours, ms", "peer, ms", "ratio", "peer", "note"] : ["what", "ms", "note"];
  const number = (value: number | null) => (value === null ? "" : milliseconds(value));
  const lines = rows.map(({ what, ours_ms, peer, peer_ms, ratio, note }) =>
    peers
      ? [what, number(ours_ms), number(peer_ms), number(ratio), peer, note]
      : [what, number(ours_ms), note],
  );
  const align = peers ? (["left", "right", "right", "right"] as const) : (["left", "right"] as const);
  return table([heading, ...lines], { align });
}

export function best(values: readonly number[]): number {
  if (values.length === 0) throw new Error("nothing was measured");
  return Math.min(...values);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** 2 x 10^-6 of multiply-adds per millisecond: GFLOP/s, to three figures. */
export function gflops(flop: number, ms: number): string {
  return milliseconds(flop / ms / 1e6);
}

/** Three figures without an exponent: 0.123, 12.3, 12345. */
export function milliseconds(value: number): string {
  return significant(value).toString();
}

function significant(value: number): number {
  return value >= 1000 ? Math.round(value) : Number(value.toPrecision(3));
}

function megabytes(bytes: number): string {
  return Math.round(bytes / 1e6).toString();
}
