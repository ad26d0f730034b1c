// What `climax bench allreduce --json` writes, and what it says of hosts and the network between them.
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { ClimaxError } from "../errors.ts";
import { type Fitted, fitSums, HALF, type Kind, kinds } from "../train/scaling.ts";

/** One size, `bytes` in f32, and one kind of sum. Times in milliseconds. */
const Row = z.object({
  kind: z.enum(kinds),
  bytes: z.number().positive(),
  calls: z.number(),
  median_ms: z.number().positive(),
  nine_of_ten_ms: z.number(),
});

const Document = z.object({
  what: z.literal("allreduce"),
  version: z.string(),
  library: z.string(),
  threads: z.string(),
  ranks: z.int().min(2),
  hosts: z.int().positive(),
  rows: z.array(Row),
});
export type AllreduceDocument = z.output<typeof Document>;

/** Arrays up to so many bytes go another way (collectives.ts), which says nothing of how gradients travel. */
const SMALL = 2 ** 16;

/** What such a file says of each kind of sum; of halves in bytes as they are on the wire. */
export interface MeasuredSums extends Pick<AllreduceDocument, "ranks" | "hosts"> {
  readonly path: string;
  readonly fits: Readonly<Record<Kind, Fitted>>;
}

/** @throws ClimaxError "data" for another file, or one that does not tell latency from bandwidth */
export async function readAllreduce(path: string): Promise<MeasuredSums> {
  const hint = "make one with mpirun -n 2 climax bench allreduce --json FILE";
  const text = await readFile(path, "utf8").catch((error: Error) => {
    throw new ClimaxError("data", `cannot read ${path}: ${error.message}`, hint, { cause: error });
  });
  const { data, error } = Document.safeParse(jsonOf(text));
  if (!data) {
    const [issue] = error.issues;
    const place = issue!.path.join(".") || "it";
    throw new ClimaxError(
      "data",
      `${path} is no file of climax bench allreduce: ${place} is not as wanted (${issue!.message})`,
      hint,
    );
  }
  const { ranks, hosts } = data;
  const fitOf = (kind: Kind): Fitted => fitted(path, data, kind);
  return {
    ...{ path, ranks, hosts },
    fits: { whole: fitOf("whole"), shares: fitOf("shares"), halves: fitOf("halves") },
  };
}

function fitted(path: string, { rows, ranks }: AllreduceDocument, kind: Kind): Fitted {
  const own = rows.filter((row) => row.kind === kind && row.bytes > SMALL);
  const part = kind === "halves" ? HALF : 1;
  const sizes = new Set(own.map(({ bytes }) => bytes)).size;
  if (sizes < 2)
    throw new ClimaxError(
      "data",
      `${path} has ${sizes} size${sizes === 1 ? "" : "s"} for sums of the kind "${kind}" beyond 64 KiB; wanted two or more, to tell latency from bandwidth`,
      "measure again without --sizes, or with several",
    );
  const fit = fitSums(
    own.map(({ bytes, median_ms }) => ({ bytes: part * bytes, seconds: median_ms / 1000 })),
    ranks,
  );
  if (fit) return fit;
  throw new ClimaxError(
    "data",
    `in ${path} larger sums of the kind "${kind}" take no longer than small ones`,
    "measure again on quiet machines, with arrays of 1 MiB and more",
  );
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
