// Options as they come from callers without types.
import { ClimaxError, unknownName } from "../errors.ts";

/** @throws ClimaxError "config" for an option that is not known, with the nearest that is */
export function checkOptions(of: string, options: object, known: readonly string[]): void {
  if (typeof options !== "object" || options === null) {
    throw new ClimaxError(
      "config",
      `${of} takes an object of options, and was given ${options === null ? "null" : `a ${typeof options}`}`,
      `its options are ${known.join(", ")}`,
    );
  }
  for (const name of Object.keys(options))
    if (!known.includes(name)) unknownName(`option of ${of}`, name, known);
}

/** @throws ClimaxError "config" for a value that is none of these */
export function checkChoice(name: string, value: unknown, choices: readonly string[]): void {
  if (choices.includes(value as string)) return;
  throw new ClimaxError(
    "config",
    `${name} is ${JSON.stringify(value)}; wanted ${choices.map((choice) => `"${choice}"`).join(" or ")}`,
    `leave it out for "${choices[0]}"`,
  );
}
