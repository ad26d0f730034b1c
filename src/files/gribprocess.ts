// Talks to the process in which ecCodes runs: one question at a time, a time limit for each, a new process after one
// has died. All files of a thread share it; it does not keep the program running, and ends with it.
import { type ChildProcess, fork } from "node:child_process";
import { createRequire } from "node:module";
import type { Socket } from "node:net";
import { fileURLToPath, pathToFileURL } from "node:url";
import { ClimaxError } from "../errors.ts";
import type { GribKeys } from "./eccodes.ts";
import type { GribAnswer, GribQuestion } from "./gribchild.ts";

/** ecCodes refused a message, or died of it; callers turn it into a ClimaxError that names the message. */
export class GribFailure extends Error {}

/** A field of a million points is unpacked in some 50 ms, on a machine that has nothing else to do. */
const patience = { seconds: 60, perMillionPoints: 2 };

interface Decoder {
  child: ChildProcess;
  /** What CLIMAX_ECCODES_LIB said when it was started. */
  library: string | undefined;
  /** The end of what it wrote to standard error. */
  printed: string;
}

let decoder: Decoder | undefined;
let last: Promise<unknown> = Promise.resolve();

/** The keys of messages, in their order; a failure in place of those that the library refuses. */
export async function gribKeys(path: string, messages: Uint8Array[]): Promise<(GribKeys | GribFailure)[]> {
  try {
    const { keys } = await put<{ keys: (GribKeys | { failure: string })[] }>(
      path,
      { ask: "keys", messages },
      0,
    );
    return keys.map((each) => ("failure" in each ? new GribFailure(each.failure) : each));
  } catch (error) {
    if (!(error instanceof GribFailure)) throw error;
    if (messages.length === 1) return [error];
    // It died of one of them: which one, shows when they are asked for one by one.
    const found: (GribKeys | GribFailure)[] = [];
    for (const message of messages) found.push(...(await gribKeys(path, [message])));
    return found;
  }
}

/** Latitude and longitude of each point of a message's grid, degrees. @throws GribFailure */
export function gribCoordinates(
  path: string,
  message: Uint8Array,
  points: number,
): Promise<{ latitude: Float64Array<ArrayBuffer>; longitude: Float64Array<ArrayBuffer> }> {
  return put(path, { ask: "coordinates", message, points }, points);
}

/** Values of a message, NaN where missing; float64 where asked for. @throws GribFailure */
export async function gribValues(
  path: string,
  message: Uint8Array,
  points: number,
  double: boolean,
): Promise<Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>> {
  const { values } = await put<{ values: Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer> }>(
    path,
    { ask: "values", message, points, double },
    points,
  );
  return values;
}

/** Waits for its turn, then asks. */
function put<T>(path: string, question: GribQuestion, points: number): Promise<T> {
  const turn = last.then(() => ask(path, question, points) as Promise<T>);
  last = turn.catch(() => {});
  return turn;
}

async function ask(path: string, question: GribQuestion, points: number): Promise<GribAnswer> {
  if (decoder?.library !== process.env.CLIMAX_ECCODES_LIB) stop();
  const current = (decoder ??= start());
  const seconds = patience.seconds + (points / 1e6) * patience.perMillionPoints;
  const answer = await exchange(current, question, seconds);
  if ("missing" in answer) {
    stop();
    throw missingLibrary(path, answer.missing);
  }
  if ("failure" in answer) throw new GribFailure(`ecCodes ${answer.version}: ${answer.failure}`);
  return answer;
}

function stop(): void {
  decoder?.child.disconnect();
  decoder = undefined;
}

function start(): Decoder {
  // The sources themselves run in development, and Node 20 knows no TypeScript.
  const own = import.meta.url.endsWith(".ts");
  const child = fork(fileURLToPath(new URL(own ? "gribchild.ts" : "gribchild.js", import.meta.url)), [], {
    serialization: "advanced",
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    execArgv: own ? ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href] : [],
  });
  const started: Decoder = { child, library: process.env.CLIMAX_ECCODES_LIB, printed: "" };
  child.stderr!.on("data", (text: Buffer) => {
    started.printed = (started.printed + text.toString()).slice(-2000);
  });
  child.on("error", () => {}); // "exit" or the failed send says it
  rest(child);
  return started;
}

/** Lets the program end though the process waits for questions. */
function rest(child: ChildProcess): void {
  child.unref();
  child.channel?.unref();
  (child.stderr as Socket | null)?.unref();
}

function exchange(current: Decoder, question: GribQuestion, seconds: number): Promise<GribAnswer> {
  const { child } = current;
  child.ref();
  child.channel?.ref();
  return new Promise<GribAnswer>((resolve, reject) => {
    const finish = (settle: () => void, alive: boolean): void => {
      clearTimeout(timer);
      child.off("message", answered).off("exit", died);
      rest(child);
      if (!alive && decoder === current) decoder = undefined;
      settle();
    };
    const answered = (answer: GribAnswer): void => finish(() => resolve(answer), true);
    const died = (code: number | null, signal: string | null): void => {
      const said = current.printed.trim().split("\n").at(-1);
      const how = signal ? `by ${signal}` : `with code ${code}`;
      finish(() => reject(new GribFailure(`ecCodes crashed ${how}${said ? ` (${said})` : ""}`)), false);
    };
    const timer = setTimeout(() => {
      child.off("exit", died);
      child.kill("SIGKILL");
      finish(() => reject(new GribFailure(`ecCodes gave no answer in ${Math.round(seconds)} s`)), false);
    }, seconds * 1000);
    child.on("message", answered).on("exit", died);
    child.send(question, (error) => {
      if (error) finish(() => reject(new GribFailure(`ecCodes cannot be asked: ${error.message}`)), false);
    });
  });
}

/** What to install, by system, and the way without it. */
function missingLibrary(path: string, why: string): ClimaxError {
  const chosen = process.env.CLIMAX_ECCODES_LIB;
  const from = chosen ? `CLIMAX_ECCODES_LIB is ${chosen}` : "it is not on this machine";
  const out = path.replace(/^.*[/\\]/, "").replace(/\.[^.]*$/, "");
  return new ClimaxError(
    "data",
    `${path} is a GRIB file, which is read through ECMWF's library ecCodes, and that cannot be loaded: ${from} (${why})`,
    "install it: apt install libeccodes0 (Debian, Ubuntu), dnf install eccodes (Fedora, RHEL with EPEL), " +
      "conda install -c conda-forge eccodes, brew install eccodes (macOS), or module load eccodes on a cluster; " +
      "CLIMAX_ECCODES_LIB=/path/to/libeccodes.so names one elsewhere. " +
      `Or convert the file where cdo is: cdo -f nc4 copy ${path} ${out}.nc`,
  );
}
