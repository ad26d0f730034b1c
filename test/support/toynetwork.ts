/** Untrained checkpoints of any network on the toy planet's variables, for tests of tasks other than global forecasts. */
import { parseName } from "../../src/data/variables.ts";
import { type CheckpointInfo, writeCheckpoint } from "../../src/model/checkpoint.ts";
import { NetworkConfig, networkOf } from "../../src/model/network.ts";
import { toyGrid, toyNames } from "./toyset.ts";

/** Weights are their starting values, tokens and head ten times as large, so that inputs matter. */
export async function writeToyNetwork(
  path: string,
  config: Record<string, unknown>,
  info: Partial<CheckpointInfo> = {},
): Promise<string> {
  const names = ["orography", ...toyNames];
  const model = NetworkConfig.parse({ variables: names, gridShape: [8, 16], ...config });
  const network = networkOf(model);
  const values = network.initialise(3);
  const whole: CheckpointInfo = {
    format: "climax-checkpoint",
    version: 1,
    model,
    task: { kind: "forecast" },
    variables: names.map((name) => ({ name, units: parseName(name).info.units, mean: 280, std: 10 })),
    outputs: toyNames,
    grid: { lat: [...toyGrid.lat], lon: [...toyGrid.lon] },
    leads: [24],
    synthetic: true,
    provenance: {},
    ...info,
  };
  await writeCheckpoint(path, whole, (name) => {
    const fresh = values.get(name)!;
    return /^(token_embeds|head).*weight$/.test(name) ? fresh.map((x) => 10 * x) : fresh;
  });
  return path;
}
