// npm run demo -- --all: every task of the paper on the simulated planet, each beside what it must beat.
// Small models, trained for minutes: what the numbers show is that each task learns, not how good ClimaX is.
import { writeFileSync } from "node:fs";
import { climax, clock, root, score, scoresOf } from "./steps.js";

const states = [
  "geopotential_250",
  "geopotential_500",
  "geopotential_850",
  "temperature_850",
  "2m_temperature",
];
const everything = [...states, "10m_u_component_of_wind"].join();
/** What is scored; the ratio of a row is the mean over these. */
const variables = ["geopotential_500", "temperature_850", "2m_temperature", "10m_u_component_of_wind"];

const size =
  "--model.patch-size 4 --model.embed-dim 64 --model.depth 2 --model.heads 4 --model.dropout 0 --model.drop-path 0 --model.residual";
const common =
  "--optimiser.beta2 0.95 --optimiser.warmup 50 --optimiser.clip 1 --training.batch-size 8 --training.validation-batches 24 --training.patience 1000 --quiet";
const pretrained = "--checkpoint demo/planet/best.safetensors";
/** Initial times: all of the test year, 60 h apart, or fewer where there are many passes. */
const dates = "--input demo/earth --time 2004-01..2004-12-27 --every 60h";
const fewer = "--input demo/earth --time 2004-01..2004-12-27 --every 240h";

const finetune = (name, steps, rate, rest) =>
  climax(
    `finetune --data.set demo/earth ${common} --training.max-steps ${steps} --training.validate-every ${Math.max(50, steps / 4)} --optimiser.lr ${rate} ${rest} -o demo/${name}`,
  );
const forecast = (name, rest) =>
  climax(`forecast --checkpoint demo/${name}/best.safetensors ${rest} --quiet -o demo/${name}.nc`);

/** RMSE rows of forecast files, by the names given. */
async function evaluate(name, systems, rest = "") {
  const files = systems.map((system) => `demo/${system}.nc`).join();
  await climax(
    `eval --forecast ${files} --name ${systems.join()} --truth demo/earth ${rest} --quiet --json demo/${name}.json`,
  );
  return scoresOf(`demo/${name}.json`);
}

/** Rows of the table: what is claimed, and the RMSE of one system over that of another, by variable. */
const table = [];

/** @param limit  the mean ratio that the claim allows */
function compare(claim, rows, ours, theirs, lead, { metric = "rmse", limit = 1, reason = "" } = {}) {
  const ratios = variables.map(
    (variable) => score(rows, ours, variable, lead, metric) / score(rows, theirs, variable, lead, metric),
  );
  const mean = ratios.reduce((a, b) => a + b) / ratios.length;
  table.push({ claim, lead, metric, ratios, mean, holds: mean < limit, reason });
}

/** Trains, forecasts and scores everything, and leaves demo/table.md and demo/table.svg. */
export async function all() {
  // A planet with all variables, and a longer pretraining than the demo's.
  await climax(
    `prepare demo/warm.nc --train 2001..2002 --variables land_sea_mask,orography,${everything} --quiet -o demo/warm-all`,
  );
  await climax(
    `pretrain --data.sources demo/warm-all ${size} ${common} --optimiser.lr 3e-3 --training.max-steps 800 -o demo/planet`,
  );

  // Little data: the first 46 days of the target planet. From nothing the best of four validations is kept.
  await finetune("little", 150, 3e-4, `${pretrained} --data.leads 72 --data.fraction 0.05`);
  await finetune("scratch", 600, 3e-3, `${size} --data.leads 72 --data.fraction 0.05`);
  for (const name of ["little", "scratch"]) await forecast(name, `${dates} --lead 72h`);
  const little = await evaluate("little-data", ["little", "scratch"]);
  compare("pretraining, then finetuning on 46 days / from nothing on them", little, "little", "scratch", 72);

  // One model for each lead, and one for all of them, which also predicts all that it reads.
  await finetune("day1", 1200, 2e-3, `${pretrained} --data.leads 24 --training.ema 0.998`);
  await finetune("day3", 1600, 2e-3, `${pretrained} --data.leads 72 --training.ema 0.998`);
  await finetune(
    "every",
    1600,
    2e-3,
    `${pretrained} --data.leads.min 12 --data.leads.max 72 --data.leads.step 12 --training.ema 0.998`,
  );
  await forecast("day1", `${dates} --lead 24h`);
  await forecast("day3", `${dates} --lead 72h`);
  await forecast("every", `${dates} --lead 24h,72h`);
  const three = await evaluate("day3", ["day3", "every"], "--leads 72h");
  const one = await evaluate("day1", ["day1", "every"], "--leads 24h");
  for (const [rows, name, lead] of [
    [one, "day1", 24],
    [three, "day3", 72],
  ]) {
    compare("global forecast / persistence", rows, name, "persistence", lead);
    compare("global forecast / climatology", rows, name, "climatology", lead);
    compare("one model for every lead / one for this lead", rows, "every", name, lead, { limit: 1.1 });
  }

  await finetune(
    "region",
    3000,
    1.5e-3,
    `--task regional --region 15..65,220..300 ${pretrained} --data.leads 24 --training.ema 0.998`,
  );
  await forecast("region", `${dates} --lead 24h`);
  const region = await evaluate("regional", ["region", "day1"], "--baselines none");
  compare("regional / global, cut to the region", region, "region", "day1", 24, {
    reason: "weather flows in through the edges of the box, which only the global model sees",
  });

  await finetune("fine", 600, 2e-3, `--task downscaling --data.coarsen 4 ${pretrained} --training.ema 0.99`);
  const coarse = "--input demo/earth --coarsen 4 --time 2004-01..2004-12-27 --quiet";
  await climax(`downscale --checkpoint demo/fine/best.safetensors ${coarse} -o demo/fine.nc`);
  for (const method of ["bilinear", "bicubic"]) {
    await climax(`downscale --model ${method} ${coarse} -o demo/${method}.nc`);
  }
  const fine = await evaluate("downscaling", ["fine", "bilinear", "bicubic"], "--bench downscaling");
  compare("downscaling / bilinear", fine, "fine", "bilinear", 0);
  compare("downscaling / bicubic", fine, "fine", "bicubic", 0);

  // The baselines of the paper, for one day.
  await finetune("vit", 800, 2e-3, `--model vit ${size} --data.leads 24 --training.ema 0.998`);
  await finetune("linear", 600, 1e-3, "--model linear --model.rank 128 --model.residual --data.leads 24");
  await finetune(
    "unet",
    200,
    1e-3,
    "--model unet --model.hidden 8 --model.blocks 1 --model.residual --data.leads 24",
  );
  const resnet = "--model resnet --model.hidden 24 --model.blocks 4 --model.residual --data.leads 24";
  for (const seed of [1, 2, 3])
    await finetune(`resnet${seed}`, 150, 2e-3, `${resnet} --training.seed ${seed}`);
  const others = ["vit", "linear", "unet", "resnet1"];
  for (const name of others) await forecast(name, `${dates} --lead 24h`);
  const baselines = await evaluate("baselines", ["day1", ...others]);
  for (const name of others) {
    compare(`ClimaX / ${name.replace("1", "")}`, baselines, "day1", name, 24, {
      reason:
        "as in the paper at 24 h (Z500 86.6 against 96.2); a convolution, alike at every place, likely learns from less",
    });
  }

  // Ensembles: several checkpoints, and perturbed initial states through a roll-out.
  await climax(
    `forecast --checkpoint ${[1, 2, 3].map((seed) => `demo/resnet${seed}/best.safetensors`).join()} ${dates} --lead 24h --quiet -o demo/three.nc`,
  );
  const metrics = "--metrics rmse,crps,spread_skill --baselines none --control";
  const members = await evaluate("ensemble", ["three"], metrics);
  compare("mean of three checkpoints / the first of them", members, "three", "three control", 24);

  await finetune(
    "step",
    1000,
    2e-3,
    `${pretrained} --data.outputs ${everything} --data.leads 24 --training.ema 0.998`,
  );
  await finetune(
    "steps",
    150,
    5e-4,
    `--checkpoint demo/step/best.safetensors --data.outputs ${everything} --data.leads 24 --data.rollout 3 --training.ema 0.99`,
  );
  for (const name of ["step", "steps"]) await forecast(name, `${fewer} --rollout 24h --lead 24h,72h`);
  await climax(
    `forecast --checkpoint demo/steps/best.safetensors ${fewer} --rollout 24h --lead 24h,72h --ensemble.members 8 --ensemble.noise 0.1 --ensemble.length 2000 --quiet -o demo/noise.nc`,
  );
  const rolled = await evaluate("rollout", ["step", "steps"], "--baselines none");
  compare("roll-out trained through three steps / through one", rolled, "steps", "step", 72);
  const noise = await evaluate("noise", ["noise"], metrics);
  compare("mean of 8 perturbed roll-outs / their control", noise, "noise", "noise control", 72, {
    reason: "the initial states are exact: perturbing them only adds an error, and the network damps it",
  });
  compare("CRPS of the 8 / of their control", noise, "noise", "noise control", 72, { metric: "crps" });

  const spread = variables
    .map((variable) => `${variable} ${score(noise, "noise", variable, 72, "spread_skill").toFixed(2)}`)
    .join(", ");
  const pictures = await import(`${root}dist/plot/bars.js`);
  const note = `Ensemble spread over the error of its mean at 72 h (1 is right): ${spread}.`;
  writeFileSync(`${root}demo/table.md`, markdown(note));
  writeFileSync(
    `${root}demo/table.svg`,
    pictures.barChart({
      title: "Error over that of what must be beaten",
      subtitle: "SYNTHETIC weather of a simulated planet, held-out year; mean over four variables",
      y: { label: "ratio" },
      groups: table.map(({ claim, lead }) => (lead > 0 ? `${claim}, ${lead}\u00a0h` : claim)),
      series: [{ name: "ratio", values: table.map(({ mean }) => mean) }],
      reference: { value: 1, label: "1: as good" },
      width: 1600,
      height: 620,
    }),
  );
  console.log(`\n[${clock()}] demo/table.md and demo/table.svg:\n\n${markdown(note)}`);
}

function markdown(note) {
  const head = ["what / beside what", "lead", ...variables, "mean", "holds"];
  const lines = table.map(({ claim, lead, metric, ratios, mean, holds, reason }) => [
    claim,
    `${lead} h`,
    ...ratios.map((ratio) => ratio.toFixed(3)),
    `${mean.toFixed(3)}${metric === "rmse" ? "" : ` (${metric})`}`,
    holds ? "yes" : `no: ${reason || "see the numbers"}`,
  ]);
  const row = (cells) => `| ${cells.join(" | ")} |`;
  return [
    "RMSE over RMSE; SYNTHETIC weather, the year 2004, which no model saw.",
    "",
    row(head),
    row(head.map(() => "---")),
    ...lines.map(row),
    "",
    note,
    "",
  ].join("\n");
}
