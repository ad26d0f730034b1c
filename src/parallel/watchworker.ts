// The thread of a rank that watches over the others. It has nothing else to do, so it goes on while the main thread
// computes, writes or waits inside MPI; when the run has lost a rank, it says so and ends the process.
import { parentPort, workerData } from "node:worker_threads";
import { type Exit, prepareExit, sayLast } from "./lastexit.ts";
import type { Answer, Job, Order } from "./watch.ts";
import { openHub, type Station } from "./watchhub.ts";
import type { Limits, Member, Verdict } from "./watchmessages.ts";
import { openSpoke } from "./watchspoke.ts";
import { lastWords } from "./watchwords.ts";

const { rank, limits, told } = workerData as Job;
const port = parentPort!;

/** Between a verdict and the end of a process, ms: ended by its launcher, a rank would say nothing any more. */
const others = { hear: 1000 };
/** After its own last words a rank prints its error and ends by itself, ms. */
const ownEnd = 4000;
/** After SIGTERM the reason for it, the loss of another rank, may yet arrive, ms. Open MPI sends SIGKILL later still. */
const reason = 700;

let members: readonly Member[] = [];
let station: Station | undefined;
let exit: Exit | undefined;
/** This rank has spoken its last words itself: the main thread prints its error. */
let ending = false;
/** It was asked to end, and so were probably all. */
let terminated = false;

function onVerdict(verdict: Verdict): void {
  if (ending) return;
  exit?.begin();
  const known = terminated && verdict.losses.every(({ end }) => end.kind === "terminated");
  if (!known) sayLast(lastWords(verdict, members, members[rank]!, station?.kept));
  // All have been told when this is called; they print first.
  setTimeout(() => exit?.now(verdict.code), others.hear);
}

async function carryOut(order: Order): Promise<Answer["result"]> {
  switch (order.kind) {
    case "prepare":
      exit = prepareExit(order.library);
      return undefined;
    case "open": {
      members = order.members;
      const hub = await openHub(members, order.loopback, limits satisfies Limits, onVerdict);
      station = hub;
      return { address: hub.address, port: hub.port, token: hub.token };
    }
    case "join":
      members = order.members;
      station = await openSpoke(members, rank, order.rendezvous, limits, onVerdict);
      return undefined;
    case "keep":
      station?.keep(order.kept);
      return undefined;
    case "end":
      ending = true;
      exit?.begin();
      setTimeout(() => exit?.now(order.code), ownEnd);
      await station?.end(order.end);
      Atomics.store(told, 0, 1);
      Atomics.notify(told, 0);
      return undefined;
    case "terminated":
      station?.hasten();
      if (order.alone && !terminated) setTimeout(() => void terminate(), reason);
      terminated = true;
      return undefined;
    case "leave":
      await station?.leave();
      station?.close();
      return undefined;
  }
}

/** Nobody here has anything to finish, and no other rank is the reason. */
async function terminate(): Promise<void> {
  if (station?.verdict || ending) return;
  ending = true;
  exit?.begin();
  await station?.end({ kind: "terminated" });
  exit?.now(143);
}

port.on("message", (order: Order) => {
  carryOut(order).then(
    (result) => port.postMessage({ id: order.id, result } satisfies Answer),
    (error: unknown) =>
      port.postMessage({
        id: order.id,
        failure: error instanceof Error ? error.message : String(error),
      } satisfies Answer),
  );
});
