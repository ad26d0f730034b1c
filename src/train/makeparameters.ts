// Room on the device for the parameters of a network: of those that are trained, with gradients, and of the rest.
import { type Arena, makeArena, makeLendingArena, makeStillArena } from "../engine/arena.ts";
import type { Gpu } from "../engine/device.ts";
import type { Tensor } from "../engine/tensor.ts";
import { variableIds } from "../model/climax.ts";
import { isState, type NetworkConfig, networkOf } from "../model/network.ts";
import { decays } from "../model/parameters.ts";

export interface ParameterRoom {
  /** Of those that are trained: those that decay in segments of their own, named "decayed". */
  readonly arena: Arena | ReturnType<typeof makeLendingArena>;
  /** Those that are not: frozen, of variables that never enter, or kept up by the forward pass itself. */
  readonly still: ReadonlyMap<string, Tensor>;
}

/**
 * @param variables  those that any sample will have
 * @param frozen     names of parameters that keep their values
 * @param early      gradients exist from their first use until they are released
 */
export function makeParameters(
  gpu: Gpu,
  config: NetworkConfig,
  {
    variables,
    frozen,
    early,
  }: {
    readonly variables: readonly string[];
    readonly frozen: ReadonlySet<string> | undefined;
    readonly early: boolean;
  },
): ParameterRoom {
  const network = networkOf(config);
  const used = network.usedParameters(variableIds(config, variables));
  const trained = (name: string): boolean => used.has(name) && !isState(name) && !frozen?.has(name);
  const specs = [...network.shapes].map(([name, shape]) => ({
    name,
    shape,
    group: !trained(name) ? "still" : decays(name) ? "decayed" : "plain",
  }));
  const moving = specs.filter(({ group }) => group !== "still");
  const staying = specs.filter(({ group }) => group === "still");
  const arena = early ? makeLendingArena(gpu, moving) : makeArena(gpu, moving);
  return { arena, still: makeStillArena(gpu, staying).parameters };
}
