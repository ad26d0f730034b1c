// The network a run trains: of the sizes asked for, or as a checkpoint has it, for the data at hand.
import { z } from "zod";
import { ClimaxError } from "../errors.ts";
import { NetworkConfig, type NetworkType } from "../model/network.ts";
import { networkFields, networkKeys, networkTypes, settingsOf } from "../model/networkfields.ts";

/** Sizes and rates of any network, none of them required; which of them a network has depends on its type. */
export const modelSettings = z
  .strictObject({
    type: z
      .enum(networkTypes)
      .optional()
      .meta({ flag: "model" })
      .describe(
        "which network: climax, or a baseline of the paper; that of the checkpoint, or climax without one",
      ),
    ...networkFields,
  })
  .prefault({})
  .describe("sizes of a network from nothing; noise of any");
export type ModelSettings = z.output<typeof modelSettings>;

/** What the data say about a network. */
export interface NetworkFacts {
  /** All that enter or leave. */
  readonly variables: readonly string[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Of the whole grid. */
  readonly gridShape: readonly [number, number];
  /** What enters of it, in points, and whether that is every longitude. */
  readonly fieldShape: readonly [number, number];
  readonly circle: boolean;
  /** Rows and columns of patches that enter, where not all do. */
  readonly region?: { readonly rows: readonly number[]; readonly columns: readonly number[] } | undefined;
  readonly history?: number | undefined;
}

/**
 * A network from nothing.
 *
 * @throws ClimaxError "config" for settings that networks of this type do not have, or that do not go together
 */
export function newNetwork(
  { type = "climax", ...settings }: ModelSettings,
  facts: NetworkFacts,
): NetworkConfig {
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
  const known = settingsOf(type);
  const strange = Object.keys(given).filter((key) => !known.includes(key));
  if (strange.length > 0) {
    throw new ClimaxError(
      "config",
      `a ${type} network has no ${strange.join(", ")}`,
      `it has ${known.join(", ")}`,
    );
  }
  return checkedNetwork(type, { ...given, ...factsFor(type, facts) });
}

/** What the data say, under the keys that networks of this type have. */
function factsFor(type: NetworkType, facts: NetworkFacts): Record<string, unknown> {
  const keys = networkKeys(type);
  const { region, fieldShape, gridShape, circle, history, ...names } = facts;
  const whole = keys.has("region") || region === undefined;
  const all: Record<string, unknown> = {
    ...names,
    // A network that does not know where it is is made for the region alone.
    gridShape: whole ? gridShape : fieldShape,
    ...(region ? { region } : {}),
    ...(history ? { history } : {}),
    periodic: circle,
  };
  return Object.fromEntries(Object.entries(all).filter(([key]) => keys.has(key)));
}

/** @throws ClimaxError "config" that says which settings do not go together */
export function checkedNetwork(type: NetworkType, fields: Record<string, unknown>): NetworkConfig {
  const { data, error } = NetworkConfig.safeParse({ type, ...fields });
  if (data) return data;
  throw new ClimaxError(
    "config",
    error.issues
      .map(({ path, message }) => `model.${path.join(".")}: ${message}`.replace("model.: ", "model: "))
      .join("; "),
    networkKeys(type).has("heads")
      ? "sizes must go together, and with the grid of the sets: heads divide embedDim, which is a multiple of 4, and " +
          "patchSize divides both sides of the grid"
      : `the settings of a ${type} network are ${settingsOf(type).join(", ")}; they must fit the grid of the sets`,
    { cause: error },
  );
}
