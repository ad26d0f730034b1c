// Checks that what a pickle made can be walked by plain recursion: no cycles, not deep, not huge once sharing is undone.
import { MOST_WORK, type PickleReader } from "./picklereader.ts";
import type { TorchValue } from "./torchvalue.ts";

/** Python itself pickles nothing deeper: its recursion limit is 1000. */
const DEEPEST = 1000;

interface Visit {
  readonly container: object;
  readonly parts: Iterator<TorchValue>;
  /** Parts seen so far, with theirs. */
  size: number;
}

/**
 * Walks depth first with a stack of its own; each container is entered once.
 *
 * @throws ClimaxError "checkpoint" if a container lies within itself, or the limits are passed
 */
export function checkGraph(root: TorchValue, reader: PickleReader): void {
  /** Parts of each container that is done; 0 while it is open. */
  const sizes = new Map<object, number>();
  const open: Visit[] = [];
  const enter = (value: TorchValue): number => {
    const parts = partsOf(value);
    if (!parts) return 1;
    const known = sizes.get(value as object);
    if (known === 0) reader.refuse("a list or dictionary of it lies within itself", HINT);
    if (known !== undefined) return known;
    if (open.length === DEEPEST)
      reader.refuse(`its lists and dictionaries are more than ${DEEPEST} deep`, HINT);
    sizes.set(value as object, 0);
    open.push({ container: value as object, parts, size: 1 });
    return 0;
  };
  enter(root);
  for (let visit = open.at(-1); visit; visit = open.at(-1)) {
    const { done, value } = visit.parts.next();
    if (!done) {
      visit.size += enter(value);
      continue;
    }
    if (visit.size > MOST_WORK) {
      reader.refuse(
        `shared parts counted as often as they are named, it has more than ${MOST_WORK} values`,
        HINT,
      );
    }
    sizes.set(visit.container, visit.size);
    open.pop();
    const parent = open.at(-1);
    if (parent) parent.size += visit.size;
  }
}

const HINT =
  "no checkpoint is made so; if the source is trusted, load it in Python and save its state_dict alone";

function partsOf(value: TorchValue): Iterator<TorchValue> | undefined {
  if (Array.isArray(value)) return value.values();
  return value instanceof Map ? flattened(value) : undefined;
}

function* flattened(map: ReadonlyMap<TorchValue, TorchValue>): Iterator<TorchValue> {
  for (const [key, value] of map) {
    yield key;
    yield value;
  }
}
