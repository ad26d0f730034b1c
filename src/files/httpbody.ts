// The body of an answer: taken off the network as it comes, and checked against the length that was announced.
import { HttpFailure, networkFailure, shown } from "./httpfailure.ts";

/** Bytes a body must bring within one stall time. */
const leastProgress = 1024;
/** Bytes that wait for their reader before the network is made to wait. */
const mostWaiting = 2 ** 22;

/**
 * The pieces of a body. Reading begins at once, and what came before a failure is given before it is thrown: a web
 * stream would drop it, and a download that is cut off again and again would get nowhere.
 * @param control of the request, which is aborted when the body stalls.
 * @param length announced, bytes.
 * @param stallTime milliseconds in which at least 1 kB must come, unless the reader is slower.
 */
export function readBody(
  url: URL,
  response: Response,
  control: AbortController,
  length: number | undefined,
  stallTime: number,
): AsyncIterable<Uint8Array> {
  const waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  let got = 0;
  let failure: HttpFailure | undefined;
  let ended = false;
  /** Wakes whoever waits: the reader for a piece, or the network for room. */
  let wake = () => {};
  const woken = () =>
    new Promise<void>((resolve) => {
      wake = resolve;
    });
  const wanted = length === undefined ? "" : ` of ${length}`;

  async function fill(): Promise<void> {
    let before = 0;
    let stalled = false;
    const timer = setInterval(() => {
      stalled = got - before < leastProgress && waitingBytes <= mostWaiting;
      if (stalled) control.abort();
      before = got;
    }, stallTime);
    try {
      // The web's and Node's types of the same stream differ.
      for await (const piece of (response.body ?? []) as AsyncIterable<Uint8Array>) {
        got += piece.length;
        waitingBytes += piece.length;
        waiting.push(piece);
        wake();
        while (waitingBytes > mostWaiting && !control.signal.aborted) await woken();
      }
      if (length !== undefined && got !== length) {
        failure = new HttpFailure(
          `${shown(url)}: ended after ${got}${wanted} bytes`,
          "the connection was cut off, or the server is mistaken: try again later",
        );
      }
    } catch (error) {
      failure = stalled
        ? new HttpFailure(
            `${shown(url)}: stalled after ${got}${wanted} bytes, for ${stallTime / 1000} s`,
            "the connection is too slow or was lost: try again later",
          )
        : networkFailure(url, error, ` after ${got}${wanted} bytes`);
    } finally {
      clearInterval(timer);
      ended = true;
      wake();
    }
  }

  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const piece = waiting.shift();
      if (piece) {
        waitingBytes -= piece.length;
        wake();
        yield piece;
      } else if (ended) {
        if (failure) throw failure;
        return;
      } else await woken();
    }
  }

  control.signal.addEventListener("abort", () => wake(), { once: true });
  void fill(); // its failure is thrown by the reader
  return pieces();
}
