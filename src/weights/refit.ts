// A model changed before it is written: other positions, other variables, the other form of patch embeddings.
import { ClimaxError } from "../errors.ts";
import type { Grid } from "../grid/grid.ts";
import { adaptParameters } from "../model/adapt.ts";
import type { CheckpointInfo } from "../model/checkpoint.ts";
import { NetworkConfig } from "../model/network.ts";
import { networkKeys } from "../model/networkfields.ts";
import { shortened, spelled } from "./describe.ts";
import type { ModelSource } from "./source.ts";

/** What should become of a model; what is left out stays. */
export interface Refit {
  /** All that the network shall know, in order, under any known name. */
  readonly variables?: readonly string[] | undefined;
  /** Of the whole globe. */
  readonly grid?: Grid | undefined;
  /** Only the network's own is possible. */
  readonly patchSize?: number | undefined;
  readonly parallelPatchEmbed?: boolean | undefined;
}

/** Values of positions that are made at once; attention among so many patches is out of reach long before. */
const mostPositions = 2 ** 30;

/** Of what begins anew: the same command gives the same file. */
const SEED = 0;

/**
 * The same model with positions for another grid (bicubic, as the reference), with other variables (by name; new ones
 * begin anew), or with patch embeddings in the other form (exact). Without any change it is returned as it is.
 *
 * New variables are known to the network, but neither enter nor leave until a training has taught it what they are.
 *
 * @throws ClimaxError "config" for what the network cannot be fitted to
 */
export function refit(model: ModelSource, wanted: Refit): ModelSource {
  const { info } = model;
  const config = wantedConfig(model, wanted);
  if (JSON.stringify(config) === JSON.stringify(info.model)) return model;
  const { parameter, report } = adaptParameters(
    { config: info.model, parameter: model.parameter },
    config,
    SEED,
  );
  const changed = changedInfo(model, config, wanted);
  const warnings = [...model.warnings];
  if (wanted.grid && changed.grid.lat.length !== info.grid.lat.length)
    warnings.push(
      "resized positions are a start for finetuning on that grid; forecasts without it are worse",
    );
  if (report.length > 0) {
    changed.provenance = { ...info.provenance, refitted: report };
  }
  return { ...model, info: changed, parameter, notes: [...model.notes, ...report], warnings };
}

function refuse(message: string, hint: string): never {
  throw new ClimaxError("config", message, hint);
}

function wantedConfig({ path, info }: ModelSource, wanted: Refit): NetworkConfig {
  const { variables, grid, patchSize, parallelPatchEmbed } = wanted;
  const old = info.model;
  const keys = networkKeys(old.type);
  const cannot = (flag: string, why: string) =>
    refuse(`${path} is a ${old.type} network, ${why}: ${flag} cannot change it`, `leave out ${flag}`);
  if (patchSize !== undefined && (!("patchSize" in old) || old.patchSize !== patchSize)) {
    const own = "patchSize" in old ? old.patchSize : undefined;
    refuse(
      `${path} has ${own === undefined ? "no patches" : `patches of ${own} x ${own} points`}, --patch-size asks for ${patchSize}: ` +
        "the weights of patch embeddings and head are one for each point of a patch, and no others follow from them",
      own === undefined
        ? "leave out --patch-size"
        : `keep --patch-size ${own}, or train a network of the other patch size from nothing`,
    );
  }
  if (variables && old.type !== "climax")
    cannot("--variables", "whose inputs and outputs are fixed when it is trained");
  if (grid && old.type !== "climax" && old.type !== "vit")
    cannot("--res", "whose weights are made for its grid");
  if (grid && info.region)
    refuse(
      `${path} is for ${info.region}, a part of the globe: --res would leave no region`,
      "leave out --res, and choose the region when finetuning: climax finetune --region",
    );
  if (parallelPatchEmbed !== undefined && !keys.has("parallelPatchEmbed"))
    cannot("--parallel-patch-embed", "which has no patch embedding of each variable");
  if (grid && "patchSize" in old) {
    const patches = Math.floor((grid.lat.length * grid.lon.length) / old.patchSize ** 2);
    if (patches * old.embedDim > mostPositions) {
      refuse(
        `--res asks ${path} for ${grid.lat.length} x ${grid.lon.length} points, ${patches.toLocaleString("en")} patches with positions of ${old.embedDim} values each: no attention spans so many`,
        "choose a coarser grid, such as --res 1.40625",
      );
    }
  }
  const parsed = NetworkConfig.safeParse({
    ...old,
    ...(variables ? { variables: spelled(variables) } : {}),
    ...(grid ? { gridShape: [grid.lat.length, grid.lon.length] } : {}),
    ...(parallelPatchEmbed === undefined ? {} : { parallelPatchEmbed }),
  });
  if (parsed.success) return parsed.data;
  return refuse(
    `${path} cannot be fitted: ${parsed.error.issues.map(({ message }) => message).join("; ")}`,
    "choose a grid whose rows and columns its patches divide, and name each variable once",
  );
}

/** What the file says of the model: variables that it has learnt, and whose statistics are known. */
function changedInfo({ path, info }: ModelSource, model: NetworkConfig, { grid }: Refit): CheckpointInfo {
  const known = new Set(model.variables);
  const variables = info.variables.filter(({ name }) => known.has(name));
  const kept = (names: readonly string[]) => names.filter((name) => known.has(name));
  const outputs = kept(info.outputs);
  const inputs = info.inputs && kept(info.inputs);
  if (outputs.length === 0 || inputs?.length === 0) {
    const which = outputs.length === 0 ? "outputs" : "inputs";
    refuse(
      `of the ${which} of ${path} (${shortened(which === "outputs" ? info.outputs : info.inputs!)}) --variables keeps none`,
      `keep at least one of its ${which}`,
    );
  }
  const { targets } = info;
  return {
    ...info,
    model,
    variables,
    outputs,
    ...(inputs ? { inputs } : {}),
    ...(targets ? { targets: targets.filter(({ name }) => known.has(name)) } : {}),
    grid: grid ? { lat: [...grid.lat], lon: [...grid.lon] } : info.grid,
  };
}
