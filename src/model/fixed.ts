// Networks whose inputs and outputs are fixed when they are made, unlike ClimaX's: what their configs and inputs must obey.
import type { z } from "zod";
import { ClimaxError } from "../errors.ts";
import { modelFields } from "./config.ts";

const names = modelFields.variables;

/** Variables, and which of them enter and leave, for the config of such a network. */
export const fixedFields = {
  variables: names.describe("names of all variables it knows, those that enter and those that leave"),
  inputs: names.describe("the variables that enter, in order"),
  outputs: names.describe("the variables it predicts, in order"),
  gridShape: modelFields.gridShape,
};

/** What such a network reads and writes. */
export interface Fixed {
  readonly variables: readonly string[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** Names each rule about variables that a config breaks. */
export function checkFixed(config: Fixed, ctx: z.RefinementCtx): void {
  for (const path of ["variables", "inputs", "outputs"] as const) {
    const issue = (message: string) => ctx.addIssue({ code: "custom", path: [path], message });
    const list = config[path];
    const twice = list.find((name, i) => list.indexOf(name) !== i);
    if (twice !== undefined) issue(`"${twice}" is listed twice`);
    const strange = list.find((name) => !config.variables.includes(name));
    if (strange !== undefined) issue(`"${strange}" is not among the variables`);
  }
}

/**
 * Refuses input of other variables than the network was made for.
 *
 * @param variables  places in `config.variables`
 * @throws           ClimaxError "config"
 */
export function expectInputs({ variables: known, inputs }: Fixed, variables: readonly number[]): void {
  const given = variables.map((id) => known[id] ?? `variable ${id}`);
  if (given.join("\n") === inputs.join("\n")) return;
  throw new ClimaxError(
    "config",
    `this network reads ${inputs.join(", ")}, all of them in that order; given: ${given.join(", ") || "nothing"}`,
    "give it those variables, or use a climax network, which reads any of those it knows",
  );
}

/**
 * Places of the given variables among the network's inputs, for one that can do with some of them.
 *
 * @param variables  places in `config.variables`
 * @throws           ClimaxError "config" for one that it does not read
 */
export function inputPlaces({ variables: known, inputs }: Fixed, variables: readonly number[]): number[] {
  return placesAmong(inputs, known, variables, "reads", "leave it out, or train a network with that input");
}

/**
 * Places of wanted variables among the outputs of the network.
 *
 * @param outputs  places in `config.variables`
 * @throws         ClimaxError "config" for one that it does not predict
 */
export function outputPlaces({ variables, outputs: known }: Fixed, outputs: readonly number[]): number[] {
  return placesAmong(
    known,
    variables,
    outputs,
    "predicts",
    "leave it out, or train a network with that output",
  );
}

function placesAmong(
  list: readonly string[],
  variables: readonly string[],
  ids: readonly number[],
  verb: string,
  hint: string,
): number[] {
  return ids.map((id) => {
    const name = variables[id] ?? `variable ${id}`;
    const place = list.indexOf(name);
    if (place >= 0) return place;
    throw new ClimaxError("config", `this network ${verb} ${list.join(", ")}, not ${name}`, hint);
  });
}
