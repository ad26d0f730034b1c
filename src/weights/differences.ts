// What of a network a file lacks, has too much of, or has in another shape, and what becomes of that.
import { ClimaxError } from "../errors.ts";
import { type NetworkConfig, networkOf } from "../model/network.ts";
import { shortened } from "./describe.ts";
import type { ShapeDifferences } from "./networkfrom.ts";

/**
 * Parameters that the file does not have as the network wants them, and that therefore begin anew.
 *
 * @param foreign  names in the file that are no weights of ClimaX
 * @throws         ClimaxError "checkpoint" with `strict` for any difference, else when most of the network is missing
 */
export function newParts(
  path: string,
  config: NetworkConfig,
  differences: ShapeDifferences,
  foreign: readonly string[],
  strict: boolean,
): ReadonlySet<string> {
  const { missing, misshapen } = differences;
  const problems = differenceLines(differences, foreign);
  if (strict && problems.length > 0) {
    throw new ClimaxError(
      "checkpoint",
      `${path} is not exactly the network that it seems to be: ${problems.join("; ")}`,
      "leave --strict out to import it all the same: what is missing begins anew, what is too much is left out",
    );
  }
  const anew = new Set([...missing, ...misshapen.map(({ name }) => name)]);
  const { shapes } = networkOf(config);
  const sizeOf = (names: Iterable<string>) =>
    [...names].reduce((sum, name) => sum + shapes.get(name)!.reduce((a, b) => a * b, 1), 0);
  // Also bounds what is made anew by what the file has.
  if (2 * anew.size > shapes.size || 2 * sizeOf(anew) > sizeOf(shapes.keys())) {
    throw new ClimaxError(
      "checkpoint",
      `${path} is no whole ClimaX: of ${shapes.size} parameters ${anew.size} are not in it as wanted: ${problems.join("; ")}`,
      "give the file with all the weights of one network",
    );
  }
  return anew;
}

/** What is missing, too much or of another shape; nothing when all is as wanted. */
export function differenceLines(
  { missing, extra, misshapen }: ShapeDifferences,
  foreign: readonly string[],
): string[] {
  const strange = [...extra, ...foreign];
  const shapes = misshapen.map(({ name, found, wanted }) => `${name} [${found}] for [${wanted}]`);
  return [
    ...(missing.length > 0 ? [`missing ${missing.length}: ${shortened(missing)}`] : []),
    ...(strange.length > 0 ? [`too much ${strange.length}: ${shortened(strange)}`] : []),
    ...(shapes.length > 0 ? [`of another shape ${shapes.length}: ${shortened(shapes)}`] : []),
  ];
}
