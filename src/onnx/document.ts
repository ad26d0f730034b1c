// What an exported model says about itself, for people (doc_string) and for programs (metadata_props).
import type { CheckpointInfo } from "../model/checkpoint.ts";
import type { Scale } from "./scale.ts";

export interface OnnxDocument {
  readonly model: string;
  readonly x: string;
  readonly leadHours: string;
  readonly forecast: string;
  /** `climax` is the CheckpointInfo; `inputs` and `outputs` the variables in order, with units and statistics. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** @param entering, leaving  how the inputs and the outputs are normalised, in their order */
export function documentModel(
  info: CheckpointInfo,
  {
    entering,
    leaving,
    normalised,
  }: { entering: readonly Scale[]; leaving: readonly Scale[]; normalised: boolean },
): OnnxDocument {
  const { model, task, grid, region, leads, synthetic } = info;
  const axis = (values: readonly number[]) => `${values.length} from ${values[0]} to ${values.at(-1)}`;
  const places =
    `rows at latitudes ${axis(grid.lat)} degrees north, columns at longitudes ${axis(grid.lon)} degrees east` +
    (region === undefined ? "" : ` (${region})`);
  const axes =
    model.type === "projection" ? "[batch, years, variable, row, column]" : "[batch, variable, row, column]";
  const scaling = normalised
    ? "Values are normalised, (value - mean) / std, by the statistics in the metadata"
    : "Values are in the units given here, which the graph itself normalises";
  const list = (scales: readonly Scale[]) => scales.map(({ name, units }) => `${name} [${units}]`).join(", ");
  const leadText = Array.isArray(leads) ? leads.join(", ") : `${leads.min} to ${leads.max} by ${leads.step}`;
  return {
    model:
      `${synthetic ? "Trained on SYNTHETIC weather. " : ""}The forward pass of a ${model.type} network ` +
      `(Nguyen et al. 2023, arXiv:2301.10343): x and lead_hours to forecast. ${taskText(task)} What the checkpoint ` +
      "says about itself is in the metadata, under climax.",
    x: `${axes}: ${places}. ${scaling}. Variables in order: ${list(entering)}`,
    leadHours: `[batch], how far ahead, hours. Trained with ${leadText}.`,
    forecast: `[batch, variable, row, column]: ${places}. ${scaling}. Variables in order: ${list(leaving)}`,
    metadata: {
      climax: JSON.stringify(info),
      inputs: JSON.stringify(entering),
      outputs: JSON.stringify(leaving),
      normalised: String(normalised),
    },
  };
}

function taskText(task: CheckpointInfo["task"]): string {
  switch (task.kind) {
    case "forecast":
      return "The forecast is the state so many hours after that of x.";
    case "mean":
      return `The forecast is a mean over ${task.hours} hours, which begin so many hours after the state of x.`;
    case "downscaling":
      return (
        `The forecast has the detail that x lacks: fields of ${task.from.lat.length} x ${task.from.lon.length} points, ` +
        `interpolated (${task.method}) to the grid of the model.`
      );
    case "projection":
      return `The forecast is the climate of the last of ${task.history} years of x.`;
  }
}
