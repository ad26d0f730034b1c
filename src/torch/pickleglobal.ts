// What stands for the classes and functions that a pickle names: the border between the machine and the allow-list.
import { type TorchValue, Unbuilt } from "./torchvalue.ts";

/** Where the machine stands: what a resolver needs to refuse, to charge its work, and to make one object from another. */
export interface PickleSpot {
  /** Throws, with path and byte. `found` is a clause: `the class "os.system" is named`. */
  refuse(found: string, hint?: string): never;
  /** Charges elements that are about to be copied. */
  spend(work: number): void;
  /** What REDUCE would make of a callable and its arguments. */
  call(callable: TorchValue, args: readonly TorchValue[]): TorchValue;
}

/** A class or function that the file names, as this program stands for it. As a value it is only its name. */
export class PickleGlobal extends Unbuilt {
  /** What a call makes of its arguments; without it the result is left unbuilt, whatever is done to it. */
  readonly make: ((args: readonly TorchValue[], spot: PickleSpot) => TorchValue) | undefined;
  /** What BUILD does to an object made here; without it the state is let go. */
  readonly build: ((object: TorchValue, state: TorchValue, spot: PickleSpot) => void) | undefined;

  constructor(name: string, make?: PickleGlobal["make"], build?: PickleGlobal["build"]) {
    super(name);
    this.make = make;
    this.build = build;
  }
}

/** Says what stands for a name of the file, or refuses it at the spot. */
export type GlobalResolver = (module: string, name: string, spot: PickleSpot) => PickleGlobal;
