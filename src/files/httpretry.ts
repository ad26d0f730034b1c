// Patience with servers: tries again with growing pauses, and never asks one host too much at once.
import { setTimeout as sleep } from "node:timers/promises";
import { ClimaxError } from "../errors.ts";
import { HttpFailure } from "./httpfailure.ts";
import type { HttpOptions } from "./httprequest.ts";

/** Requests to one host at a time, over the whole process. */
const mostPerHost = 8;
/** milliseconds */
const longestWait = 60_000;
/** A server that asks for a longer pause than this has in effect refused, milliseconds. */
const longestRetryAfter = 120_000;

/** Those who wait for a host, and how many are being served. */
const hosts = new Map<string, { running: number; waiting: (() => void)[] }>();

async function inTurn<T>(host: string, work: () => Promise<T>): Promise<T> {
  const queue = hosts.get(host) ?? { running: 0, waiting: [] };
  hosts.set(host, queue);
  // The one who leaves hands its place on, so nobody can slip in between.
  if (queue.running < mostPerHost) queue.running++;
  else await new Promise<void>((resolve) => queue.waiting.push(resolve));
  try {
    return await work();
  } finally {
    const next = queue.waiting.shift();
    if (next) next();
    else if (--queue.running === 0) hosts.delete(host);
  }
}

/**
 * Does `attempt` until it does not throw an HttpFailure, `tries` times at most, with pauses that double, are spread
 * at random, and are no shorter than a server's Retry-After. `attempt` may say that it got further than ever
 * before: then the count begins anew.
 * @throws ClimaxError "data" with the last failure.
 */
export async function retrying<T>(
  url: URL,
  options: HttpOptions,
  attempt: (progressed: () => void) => Promise<T>,
): Promise<T> {
  const { tries = 5, backOff = 500, random = Math.random, signal } = options;
  const wait = options.wait ?? ((time: number) => sleep(time, undefined, signal ? { signal } : {}));
  for (let failures = 0; ; ) {
    let further = false;
    try {
      return await inTurn(url.host, async () => {
        signal?.throwIfAborted();
        return attempt(() => {
          further = true;
        });
      });
    } catch (error) {
      if (!(error instanceof HttpFailure)) throw error;
      failures = further ? 1 : failures + 1;
      const asked = error.retryAfter ?? 0;
      if (failures >= tries || asked > longestRetryAfter) {
        const often = failures > 1 ? ` (tried ${failures} times)` : "";
        const later = asked > 0 ? `; it asks to come back in ${Math.ceil(asked / 1000)} s` : "";
        throw new ClimaxError("data", `${error.message}${often}${later}`, error.hint, { cause: error });
      }
      const pause = Math.min(longestWait, backOff * 2 ** (failures - 1)) * (0.5 + random() / 2);
      await wait(Math.max(pause, asked), signal).catch((interrupted: unknown) => {
        signal?.throwIfAborted();
        throw interrupted;
      });
    }
  }
}
