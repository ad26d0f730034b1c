#!/usr/bin/env node
// npm run demo: from nothing to a scored forecast, by the commands a user would type. Everything lands in demo/.
// npm run demo -- --all: then every task of the paper beside its baselines, in a table and a figure.
import { mkdirSync, rmSync } from "node:fs";
import { climax, clock, root, score, scoresOf } from "./steps.js";

const [flag, ...more] = process.argv.slice(2);
if (more.length > 0 || (flag !== undefined && flag !== "--all")) {
  console.error(`found ${process.argv.slice(2).join(" ")}; npm run demo takes no flag, or -- --all`);
  process.exit(2);
}

rmSync(`${root}demo`, { recursive: true, force: true });
mkdirSync(`${root}demo`);

// Two planets, as ClimaX is pretrained on several climate models; they need no download.
const fields =
  "--variables land_sea_mask,orography,geopotential,temperature,2m_temperature,10m_u_component_of_wind";
await Promise.all([
  climax(`simulate --years 4 --seed 1 ${fields} -o demo/earth.nc`),
  climax(`simulate --years 2 --seed 2 --planet warm --quiet ${fields} -o demo/warm.nc`),
]);
const names = "geopotential_250,geopotential_500,geopotential_850,temperature_850,2m_temperature";
await climax(
  `prepare demo/warm.nc --train 2001..2002 --variables land_sea_mask,orography,${names} -o demo/warm`,
);
await climax(
  `prepare demo/earth.nc --train 2001..2003-06 --val 2003-07..2003-12 --test 2004 --variables land_sea_mask,orography,${names},10m_u_component_of_wind -o demo/earth`,
);
await climax("pretrain --config bin/demo/pretrain.yaml -o demo/pretrain");
await climax(
  "finetune --config bin/demo/finetune.yaml --checkpoint demo/pretrain/best.safetensors -o demo/finetune",
);
await climax(
  "forecast --checkpoint demo/finetune/best.safetensors --input demo/earth --time 2004-01..2004-12-27 --every 60h --lead 24h,72h -o demo/forecast.nc",
);
await climax(
  "eval --bench weatherbench --forecast demo/forecast.nc --truth demo/earth --json demo/scores.json --csv demo/scores.csv --region global,tropics,northern-hemisphere --report demo/report",
);
await climax(
  "plot demo/forecast.nc --variable z_500 --time 2004-07-01T12 --lead 72h --truth demo/earth -o demo/z500.png",
);

const rows = scoresOf("demo/scores.json");
console.log(`\n[${clock()}] RMSE at 24 h on dates the model never saw:`);
for (const variable of new Set(rows.map((row) => row.variable))) {
  const [model, persistence, climatology] = ["climax", "persistence", "climatology"].map((system) =>
    score(rows, system, variable, 24),
  );
  const best = Math.min(persistence, climatology);
  const change = `${Math.abs(100 * (1 - model / best)).toFixed(0)} % ${model < best ? "better" : "WORSE"}`;
  console.log(`  ${variable.padEnd(24)} ${change} than the better of persistence and climatology`);
}
if (flag === "--all") await (await import("./all.js")).all();
