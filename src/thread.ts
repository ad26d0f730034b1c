// Starts worker threads, from the built program and from source alike.
import { Worker, type WorkerOptions } from "node:worker_threads";

/**
 * A thread that runs the file beside `from` (an import.meta.url) of this name, without ending. The flags of this process
 * are not passed on: some, such as --input-type, are refused in threads.
 */
export function startThread(
  from: string,
  name: string,
  options: Pick<WorkerOptions, "workerData"> = {},
): Worker {
  const plain = { ...options, execArgv: [] };
  if (!from.endsWith(".ts")) return new Worker(new URL(`./${name}.js`, from), plain);
  // As the tests run: older versions of Node cannot take the types out of a thread's file by themselves.
  const entry = JSON.stringify(new URL(`./${name}.ts`, from));
  const code = `import("tsx/esm/api").then(({ register }) => (register(), import(${entry})))`;
  return new Worker(code, { ...plain, eval: true });
}
