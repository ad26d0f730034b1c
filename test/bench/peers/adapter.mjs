// Puts the adapter that our side runs on, opened with the same switches of Dawn, behind `navigator.gpu`.
import { json } from "node:stream/consumers";
import { chooseAdapter } from "../../../src/engine/adapters.ts";
import { wait } from "../../../src/engine/wait.ts";
import { clock } from "../clock.ts";

/** What the bench wrote on standard input: the adapter's name and the number of rounds. */
const asked = await json(process.stdin);
const { instance } = await chooseAdapter({ name: asked.adapter });

let device;
const gpu = {
  wgslLanguageFeatures: instance.wgslLanguageFeatures,
  getPreferredCanvasFormat: () => "bgra8unorm",
  requestAdapter: async (options) => {
    const adapter = await instance.requestAdapter(options);
    const request = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = async (descriptor) => (device = await request(descriptor));
    return adapter;
  },
};
const value = { gpu, userAgent: "Node", hardwareConcurrency: 1, platform: "", language: "en" };
Object.defineProperty(globalThis, "navigator", { value, configurable: true });
for (const name of ["window", "self"]) globalThis[name] ??= globalThis;

/** Waits for the device that the library asked for. */
export const done = () => wait(device.queue.onSubmittedWorkDone());

/** Times each task and prints what the bench reads: `ms` by task, or `why` there is none. */
export async function report(name, tasks) {
  const measured = {};
  for (const [task, call] of Object.entries(tasks)) {
    try {
      measured[task] = { ms: await clock(call, done, asked.rounds) };
    } catch (error) {
      measured[task] = { why: error.message.split("\n")[0] };
    }
  }
  console.log(JSON.stringify({ name, tasks: measured }));
  process.exit(0); // the libraries keep devices open
}
