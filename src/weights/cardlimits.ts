// What a model may be used for and what it cannot do, as far as its own facts tell: no sentence that fits every model.
import { formatLead } from "../data/leadtime.ts";
import { listed } from "../errors.ts";
import { describeGrid, latitudeWeights, makeGrid } from "../grid/grid.ts";
import type { CheckpointInfo } from "../model/checkpoint.ts";
import { networkOf } from "../model/network.ts";
import type { CardScores } from "./cardschema.ts";
import type { TrainingStage } from "./provenance.ts";

/** What it was made for. */
export function intendedUse(info: CheckpointInfo): string[] {
  const { model, task, outputs } = info;
  const grid = describeGrid(makeGrid(info.grid.lat, info.grid.lon));
  const what = some(outputs);
  const adapts = model.type === "climax" || model.type === "projection" || model.type === "vit";
  const uses = {
    forecast: () => `Forecasts ${leadsIn(info)} ahead of ${what}, on a grid of ${grid}.`,
    mean: () =>
      `Forecasts of the mean of ${what} over ${formatLead((task as { hours: number }).hours)} that begin ${leadsIn(info)} ahead, on a grid of ${grid}.`,
    downscaling: () =>
      `${capital(what)} on a grid of ${grid}, from coarser fields of ${some(info.inputs ?? info.variables.map(({ name }) => name))}.`,
    projection: () => `Projections of ${what} on a grid of ${grid}, from ${some(info.inputs ?? [])}.`,
  };
  return [
    uses[task.kind](),
    ...(adapts
      ? [
          "A start to train on from: climax finetune fits it to another grid, other variables and other tasks, and says what begins anew.",
        ]
      : []),
  ];
}

/** What it cannot do, the gravest first. */
export function limitsOf(
  info: CheckpointInfo,
  training: readonly TrainingStage[],
  scores: readonly CardScores[],
): string[] {
  return [
    ...syntheticLimits(info, training),
    ...trainingLimits(info, training),
    ...scoreLimits(info, scores),
    ...leadLimits(info),
    ...placeLimits(info),
    ...variableLimits(info),
    "One value for each point and no word of its uncertainty: trained to the least mean squared error, it smooths what it cannot foresee.",
    "Not an operational forecast: it is a network fitted to past states, and no forecaster has looked at what it says.",
  ];
}

function syntheticLimits(info: CheckpointInfo, training: readonly TrainingStage[]): string[] {
  if (!info.synthetic) return [];
  const sources = [
    ...new Set(
      training.flatMap(({ data }) =>
        data.flatMap(({ source, synthetic }) => (synthetic && source ? [source] : [])),
      ),
    ),
  ];
  return [
    `SYNTHETIC: trained on simulated weather${sources.length > 0 ? ` (${sources.join("; ")})` : ""}. What it predicts is no statement about the real atmosphere.`,
  ];
}

function trainingLimits(info: CheckpointInfo, training: readonly TrainingStage[]): string[] {
  const last = training.at(-1);
  const sources = last?.data.length ?? 0;
  const periods = (last?.data ?? []).flatMap(({ first, last: end }) =>
    first && end ? [`${first.slice(0, 10)} to ${end.slice(0, 10)}`] : [],
  );
  return [
    ...(last === undefined || (last.steps === null && last.samples === null)
      ? ["How long it was trained is not recorded."]
      : []),
    ...training
      .filter(({ stage }) => stage === "import")
      .flatMap((stage) => importLimits(stage, stage === last)),
    ...(last?.stage === "pretrain"
      ? ["Pretrained for all of its lead times at once, and not finetuned for one task."]
      : []),
    ...(periods.length > 0
      ? [
          `Trained on ${[...new Set(periods)].join(" and ")}: a climate unlike that is beyond what it has seen.`,
        ]
      : []),
    ...(sources > 1
      ? [
          `Trained on ${sources} sources, each normalised by its own statistics; a forecast takes those of the first that has the variable, which stand in the table.`,
        ]
      : []),
    ...(last && last.bestValidationLoss === null && last.stage !== "import"
      ? ["No validation loss is recorded: nothing says how it does on states that it was not trained on."]
      : []),
    ...(!networkOf(info.model).knowsLead && hasLeads(info)
      ? ["The network is not told the lead time: it has one only."]
      : []),
  ];
}

/** What was assumed of weights limits a model of them; what they were a start for says itself what it is. */
function importLimits({ from, notes, anew }: TrainingStage, last: boolean): string[] {
  const assumed = notes.filter((note) => /^assumed: (?!dropout)/.test(note));
  const begun = `Begun with weights of another program${from?.path ? ` (${from.path})` : ""}: what they were trained on is not stated here`;
  const random =
    anew.length === 0
      ? []
      : [
          `Parts that its file lacked are random numbers until it is finetuned, and so is what it predicts: ${some(anew)}.`,
        ];
  if (last) return [...random, `${begun}.`, ...assumed.map((note) => `${capital(note)}.`)];
  return [`${begun}${assumed.length > 0 ? "; what was assumed of them stands under Training" : ""}.`];
}

/** What it loses against, by the tests of the scores: the gravest that scores can say. */
function beaten(rows: readonly CardScores["rows"][number][]): string[] {
  const besides = rows.flatMap((row) => row.beside.map((beside) => ({ ...beside, variable: row.variable })));
  return [...new Set(besides.map((one) => one.with))].flatMap((other) => {
    const tested = besides.filter((one) => one.with === other && one.verdict !== "not tested");
    const worse = tested.filter(({ verdict }) => verdict === "worse");
    if (worse.length === 0) return [];
    const how = `${worse.length} of ${tested.length} tested ${tested.length === 1 ? "score" : "scores"}`;
    return [`Worse than ${other} in ${how}: ${some([...new Set(worse.map((one) => one.variable))])}.`];
  });
}

function scoreLimits(info: CheckpointInfo, scores: readonly CardScores[]): string[] {
  if (scores.length === 0)
    return ["Not scored: this card was made without scores, so it says nothing of its skill."];
  const rows = scores.flatMap((one) => one.rows);
  const variables = info.outputs.filter((name) => !rows.some((row) => row.variable === name));
  const { leads } = info;
  const hours = Array.isArray(leads) && hasLeads(info) ? leads : [];
  const unscored = hours.filter((lead) => !rows.some((row) => row.leadHours === lead));
  const strange = [...new Set(rows.map(({ variable }) => variable))].filter(
    (name) => !info.outputs.includes(name),
  );
  return [
    ...beaten(rows),
    ...(variables.length > 0 ? [`Not scored: ${some(variables)}.`] : []),
    ...(unscored.length > 0 ? [`Not scored at ${unscored.map((lead) => `${lead} h`).join(", ")}.`] : []),
    ...(strange.length > 0
      ? [
          `The scores name ${some(strange)}, which this model does not predict: derived fields, or scores of another model.`,
        ]
      : []),
  ];
}

function leadLimits(info: CheckpointInfo): string[] {
  if (!hasLeads(info)) return [];
  const refused = Array.isArray(info.leads) ? "all others" : "those beyond";
  return [
    `Trained for lead times of ${leadsIn(info)}; climax forecast refuses ${refused}, or reaches multiples of them by --rollout.`,
  ];
}

function placeLimits(info: CheckpointInfo): string[] {
  const grid = makeGrid(info.grid.lat, info.grid.lon);
  const weights = latitudeWeights(grid);
  const most = Math.max(...weights);
  const polar = [grid.lat[0]!, grid.lat.at(-1)!].filter((lat) => Math.abs(lat) > 80);
  const least = Math.min(weights[0]!, weights.at(-1)!) / most;
  return [
    `Fields on its grid of ${describeGrid(grid)} only: others are regridded first (climax regrid).`,
    ...(info.region === undefined
      ? []
      : [
          `It sees nothing but ${info.region}: weather that enters from outside within the lead time is unknown to it.`,
        ]),
    ...(polar.length > 0 && info.task.kind !== "projection"
      ? [
          `Near the poles it is least trained: a point of the row at ${polar.map((lat) => `${degrees(lat)}°`).join(" and ")} weighs ${least.toPrecision(2)} times one at the equator in the loss.`,
        ]
      : []),
  ];
}

function variableLimits(info: CheckpointInfo): string[] {
  const { model } = info;
  const inputs = info.inputs ?? info.variables.map(({ name }) => name);
  const flexible = model.type === "climax" || model.type === "projection";
  return [
    `It wants all of its ${inputs.length} ${inputs.length === 1 ? "input" : "inputs"}: where one is lacking and cannot be derived, climax stops unless --missing mean${
      flexible ? " or drop" : ""
    } is given, which makes a forecast possible, not good.`,
  ];
}

const hasLeads = ({ task }: CheckpointInfo) => task.kind === "forecast" || task.kind === "mean";

function leadsIn({ leads }: CheckpointInfo): string {
  if (Array.isArray(leads)) return leads.map((hours) => `${hours} h`).join(", ");
  return leads.min === leads.max
    ? `${leads.min} h`
    : `${leads.min} to ${leads.max} h in steps of ${leads.step} h`;
}

const some = (names: readonly string[]) => listed(names, 8);

const capital = (text: string) => `${text[0]?.toUpperCase() ?? ""}${text.slice(1)}`;

const degrees = (lat: number) => Number(lat.toFixed(4));
