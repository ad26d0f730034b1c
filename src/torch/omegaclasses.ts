// Hyper-parameters that OmegaConf kept: its containers become dictionaries and lists of the plain values in them.
// References to other parts ("${model.width}") stay texts.
import { PickleGlobal, type PickleSpot } from "./pickleglobal.ts";
import { type TorchValue, Unbuilt } from "./torchvalue.ts";

/** A leaf: one value with what was declared of it. */
class OmegaNode extends Unbuilt {
  value: TorchValue = null;
}

const NODES = ["Any", "Integer", "Float", "String", "Boolean", "Bytes", "Path", "Enum", "Union"];

/** By their whole names. */
export const omegaClasses: ReadonlyMap<string, PickleGlobal> = new Map(
  [
    new PickleGlobal("omegaconf.dictconfig.DictConfig", () => new Map(), fillMap),
    new PickleGlobal("omegaconf.listconfig.ListConfig", () => [], fillList),
    ...NODES.map((kind) => {
      const name = `omegaconf.nodes.${kind}Node`;
      return new PickleGlobal(name, () => new OmegaNode(name), fillNode);
    }),
  ].map((one) => [one.name, one]),
);

function attribute(state: TorchValue, name: string): TorchValue | undefined {
  return state instanceof Map ? state.get(name) : undefined;
}

function plain(value: TorchValue): TorchValue {
  return value instanceof OmegaNode ? value.value : value;
}

function fillNode(node: TorchValue, state: TorchValue): void {
  (node as OmegaNode).value = attribute(state, "_val") ?? null;
}

/** A container that is missing or a reference has no dictionary or list for its content, and stays empty. */
function fillMap(map: TorchValue, state: TorchValue, spot: PickleSpot): void {
  const content = attribute(state, "_content");
  if (!(content instanceof Map)) return;
  spot.spend(2 * content.size);
  for (const [key, value] of content) (map as Map<TorchValue, TorchValue>).set(key, plain(value));
}

function fillList(list: TorchValue, state: TorchValue, spot: PickleSpot): void {
  const content = attribute(state, "_content");
  if (!Array.isArray(content)) return;
  spot.spend(content.length);
  for (const value of content) (list as TorchValue[]).push(plain(value));
}
