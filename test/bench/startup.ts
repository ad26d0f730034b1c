// Time from the start of a process to the first result of a kernel, with caches empty and filled.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { softwareMissing } from "../../src/engine/software.ts";
import type { Context } from "./context.ts";
import { absent, type Row, timed } from "./rows.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PROGRAM = fileURLToPath(new URL("startup.mjs", import.meta.url));

/** The chosen adapter, and the SwiftShader of npm, which a machine without drivers gets. */
export async function* startup({ adapter, adapterOption, rounds, say }: Context): AsyncGenerator<Row> {
  if (newest(join(ROOT, "src"), ".ts") > newest(join(ROOT, "dist"), ".js")) {
    say("startup: npm run build, as src is newer than dist");
    const { status } = spawnSync("npm", ["run", "build"], { cwd: ROOT, stdio: "ignore", shell: true });
    if (status !== 0) {
      yield absent("startup", adapter, "src is newer than dist, and npm run build fails");
      return;
    }
  }
  const missing = softwareMissing();
  if (missing) yield absent("startup of SwiftShader", adapter, missing);
  const chosen = { name: adapter, option: adapterOption };
  const software = { name: "SwiftShader", option: "swiftshader" };
  for (const { name, option } of missing || /swiftshader/i.test(adapter) ? [chosen] : [chosen, software]) {
    say(`startup: ${name}`);
    const caches = mkdtempSync(join(tmpdir(), "climax-bench-"));
    try {
      const cold = [await firstResult(option, caches)];
      const warm: number[] = [];
      for (let round = 0; round < rounds; round++) warm.push(await firstResult(option, caches));
      const what = "process start to first kernel result";
      yield timed({ what: `${what}, caches empty`, adapter: name, ours: cold, note: name });
      yield timed({ what: `${what}, caches filled`, adapter: name, ours: warm, note: name });
    } finally {
      rmSync(caches, { recursive: true, force: true });
    }
  }
}

/** Milliseconds; all that Mesa, NVIDIA's driver and this program cache goes to and comes from `caches`. */
async function firstResult(adapter: string | undefined, caches: string): Promise<number> {
  const env = {
    ...process.env,
    XDG_CACHE_HOME: caches,
    MESA_SHADER_CACHE_DIR: join(caches, "mesa"),
    __GL_SHADER_DISK_CACHE_PATH: join(caches, "nvidia"),
  };
  const start = performance.now();
  const args = adapter === undefined ? [PROGRAM] : [PROGRAM, adapter];
  const running = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "ignore"] });
  const ended = once(running, "close");
  const printed = await Promise.race([once(running.stdout, "data"), ended.then(() => undefined)]);
  const ms = performance.now() - start;
  await ended;
  if (!printed) throw new Error(`test/bench/startup.mjs fails on ${adapter ?? "the default adapter"}`);
  return ms;
}

/** When the newest file of this kind was written; 0 without any. */
function newest(folder: string, extension: string): number {
  try {
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
    const own = files.filter((file) => file.endsWith(extension));
    return Math.max(0, ...own.map((file) => statSync(join(folder, file)).mtimeMs));
  } catch {
    return 0;
  }
}
