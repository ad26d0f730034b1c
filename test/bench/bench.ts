// Measures this program against others that do the same on the same machine: `npm run bench -- --help`.
import { writeFileSync } from "node:fs";
import { Command, InvalidArgumentError, Option } from "commander";
import { openGpu } from "../../src/engine/device.ts";
import { ClimaxError } from "../../src/errors.ts";
import type { Context, Section } from "./context.ts";
import { kernels, roofline } from "./kernels.ts";
import { models, processMemory } from "./models.ts";
import { products } from "./products.ts";
import { type Row, rowsTable } from "./rows.ts";
import { findTwins } from "./twin.ts";

const SECTIONS = {
  models,
  products,
  kernels,
  roofline,
  memory: processMemory,
} satisfies Record<string, Section>;

const names = Object.keys(SECTIONS) as (keyof typeof SECTIONS)[];

function list(text: string) {
  return text.split(",").map((name) => {
    const known = names.find((one) => one === name.trim());
    if (!known) throw new InvalidArgumentError(`it is none of ${names.join(", ")}.`);
    return known;
  });
}

const program = new Command("npm run bench --")
  .option("--only <sections>", `comma list of ${names.join(", ")}`, list)
  .option("--adapter <name>", "part of the name of the adapter; see climax doctor")
  .option("--json <file>", "write the rows: what, adapter, ours_ms, peer, peer_ms, ratio (ours / peer), note")
  .option("--rounds <n>", "timed rounds of each side; the best counts", Number, 3)
  .option("--python <file>", "interpreter that has torch")
  .addOption(new Option("--scale <size>", "tiny: only see that it runs").choices(["full", "tiny"]).default("full"));
program.parse();
const options = program.opts();
let twins: ReturnType<Context["twins"]> | undefined;
const first = await openGpu({ adapter: options.adapter });
const { name: adapter, kind } = first;
first.device.destroy();
const context: Context = {
  adapter, kind, adapterOption: options.adapter, rounds: options.rounds, tiny: options.scale === "tiny",
  open: () => openGpu({ adapter: options.adapter, timestamps: true }),
  twins: () => (twins ??= findTwins(options.python)),
  say: (text) => process.stderr.write(`${text}\n`),
};
const all: Row[] = [];
for (const name of options.only ?? names) {
  const rows: Row[] = [];
  for await (const row of SECTIONS[name as keyof typeof SECTIONS](context)) rows.push(row);
  console.log(rowsTable(rows));
  all.push(...rows);
}
