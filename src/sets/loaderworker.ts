// A loading thread: opens the sets for itself, makes the batches it is asked for, and hands their memory over.

import { parentPort, workerData } from "node:worker_threads";
import { failureOf } from "../errors.ts";
import { type Answer, buffersOf, type LoadingJob, type Request } from "./loadermessages.ts";
import { openSet } from "./prepared.ts";
import { sourceOf } from "./recipe.ts";
import type { BatchSource } from "./samples.ts";

const { dirs, recipes } = workerData as LoadingJob;
const port = parentPort!;
const opening = Promise.all(dirs.map(openSet));
opening.catch(() => undefined); // told to whoever asks for a batch
const sources = new Map<string, BatchSource>();
const working = new Set<Promise<void>>();

port.on("message", (request: Request) => {
  if (request === "close") void close();
  else {
    const work = answer(request);
    working.add(work);
    void work.finally(() => working.delete(work));
  }
});

async function answer({ id, recipe, epoch, index, spare }: Exclude<Request, "close">): Promise<void> {
  try {
    const sets = await opening;
    let source = sources.get(recipe);
    if (!source) sources.set(recipe, (source = sourceOf(recipes[recipe]!, sets)));
    const batch = await source.batchAt(epoch, index, spare);
    port.postMessage({ id, batch } satisfies Answer, buffersOf(batch));
  } catch (error) {
    port.postMessage({ id, failure: failureOf(error) } satisfies Answer);
  }
}

async function close(): Promise<void> {
  await Promise.all(working);
  for (const set of await opening.catch(() => [])) await set.close();
  port.close(); // nothing keeps the thread then
}
