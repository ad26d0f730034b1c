// Refuses a name of a variable that a model does not know.
import { knownName } from "../data/variables.ts";
import { ClimaxError, unknownName } from "../errors.ts";

/**
 * Short names are not taken for the model's: its own stand in what it returns too.
 *
 * @throws ClimaxError "config", always: with the model's own name where this is another one of it, else the nearest
 */
export function unknownVariable(what: string, name: string, known: readonly string[]): never {
  const own = knownName(name)?.name;
  if (own === undefined || !known.includes(own)) unknownName(what, name, known);
  throw new ClimaxError("config", `unknown ${what} "${name}"`, `write "${own}", the model's own name of it`);
}
