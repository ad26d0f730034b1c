// The state of the pickle machine between two opcodes: stack, marks, memo, and what each class made.
import type { UnpickleOptions } from "./pickle.ts";
import { PickleGlobal, type PickleSpot } from "./pickleglobal.ts";
import type { OpcodeName } from "./pickleopcodes.ts";
import { type PickleReader, shown } from "./picklereader.ts";
import { TorchTensor, type TorchValue, Unbuilt } from "./torchvalue.ts";

/** A container costs memory even when it is empty: what it is charged beside its opcode. */
const CONTAINER_WORK = 15;
/** What the memo keeps may be small, its place in it is not. */
const MEMO_WORK = 3;
const LONGEST_NAME = 500;
/** A tensor's subclass calls the function that makes the tensor; nothing of torch calls deeper. */
const DEEPEST_CALL = 4;

export class PickleMachine implements PickleSpot {
  /** The one being run, for messages. */
  opcode: OpcodeName = "PROTO";
  readonly #stack: TorchValue[] = [];
  /** Heights of the stack at open MARKs; nothing below the last may be taken. */
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, TorchValue>();
  /** Calls that are under way, one within the other. */
  #calls = 0;
  readonly #maker = new WeakMap<object, PickleGlobal>();
  readonly #reader: PickleReader;
  readonly #options: UnpickleOptions;

  constructor(reader: PickleReader, options: UnpickleOptions) {
    this.#reader = reader;
    this.#options = options;
  }

  refuse(found: string, hint?: string): never {
    return this.#reader.refuse(`${this.opcode} fails: ${found}`, hint);
  }

  spend(work: number): void {
    this.#reader.spend(work);
  }

  push(value: TorchValue): void {
    this.#stack.push(value);
  }

  /** A list, tuple, set or dictionary of the file. */
  pushNew(container: readonly TorchValue[] | ReadonlyMap<TorchValue, TorchValue>): void {
    this.spend(CONTAINER_WORK);
    this.#stack.push(container);
  }

  top(): TorchValue {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0))
      this.refuse("it takes a value, and the stack is empty");
    return this.#stack.at(-1)!;
  }

  pop(): TorchValue {
    const value = this.top();
    this.#stack.pop();
    return value;
  }

  popMany(count: number): TorchValue[] {
    const left = this.#stack.length - (this.#marks.at(-1) ?? 0);
    if (left < count) this.refuse(`it takes ${count} values, and the stack holds ${left}`);
    return this.#stack.splice(this.#stack.length - count);
  }

  mark(): void {
    this.#marks.push(this.#stack.length);
  }

  /** Everything above the last MARK, which is closed. */
  popMark(): TorchValue[] {
    const height = this.#marks.pop();
    if (height === undefined) this.refuse("no MARK is open");
    return this.#stack.splice(height);
  }

  /** POP takes a MARK where one is on top, as Python's does. */
  drop(): void {
    if (this.#marks.at(-1) === this.#stack.length) this.#marks.pop();
    else this.pop();
  }

  keep(index: number): void {
    this.spend(MEMO_WORK);
    this.#memo.set(index, this.top());
  }

  /** Under the next index, as MEMOIZE counts them. */
  keepNext(): void {
    this.keep(this.#memo.size);
  }

  recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) this.refuse(`nothing was kept under ${index}`);
    this.push(value);
  }

  /** What stands for a class that is named by two texts. */
  global(module: TorchValue, name: TorchValue): PickleGlobal {
    this.spend(CONTAINER_WORK);
    return this.#options.globals(this.#nameOf(module), this.#nameOf(name), this);
  }

  #nameOf(value: TorchValue): string {
    if (typeof value !== "string") this.refuse(`${kindOf(value)} stands where a class is to be named`);
    // Longer ones would only be there to be looked up again and again.
    if (value.length > LONGEST_NAME) this.refuse(`a class has a name of ${value.length} characters`);
    return value;
  }

  persistent(id: TorchValue): void {
    const { persistent } = this.#options;
    if (!persistent) this.refuse("it refers to data outside the pickle, where none is expected");
    this.push(persistent(id, this));
  }

  call(callable: TorchValue, args: TorchValue): TorchValue {
    this.spend(CONTAINER_WORK);
    if (!(callable instanceof Unbuilt)) this.refuse(`${kindOf(callable)} is called like a class`);
    if (!Array.isArray(args))
      this.refuse(`${kindOf(args)} stands for the arguments of "${shown(callable.name)}"`);
    if (!(callable instanceof PickleGlobal) || !callable.make) return new Unbuilt(callable.name);
    if (++this.#calls > DEEPEST_CALL)
      this.refuse(`"${shown(callable.name)}" is called by way of ${DEEPEST_CALL} others`);
    const object = callable.make(args, this);
    this.#calls--;
    // Who made it first knows its state: others hand on what they were given.
    if (typeof object === "object" && object !== null && !this.#maker.has(object)) {
      this.#maker.set(object, callable);
    }
    return object;
  }

  build(object: TorchValue, state: TorchValue): void {
    const maker = typeof object === "object" && object !== null ? this.#maker.get(object) : undefined;
    if (maker) maker.build?.(object, state, this);
    else if (!(object instanceof Unbuilt)) this.refuse(`${kindOf(object)} is given a state like an object`);
  }

  append(list: TorchValue, items: readonly TorchValue[]): void {
    if (list instanceof Unbuilt) return;
    if (!Array.isArray(list)) this.refuse(`items are added to ${kindOf(list)}`);
    for (const item of items) list.push(item);
  }

  setItems(map: TorchValue, pairs: readonly TorchValue[]): void {
    if (pairs.length % 2) this.refuse("the last key has no value");
    if (map instanceof Unbuilt) return;
    if (!(map instanceof Map)) this.refuse(`keys are set in ${kindOf(map)}`);
    for (let i = 0; i < pairs.length; i += 2) map.set(pairs[i], pairs[i + 1]);
  }
}

/** A value in Python's words, for messages. */
export function kindOf(value: TorchValue): string {
  if (value === null) return "None";
  if (typeof value === "string") return `the text "${shown(value)}"`;
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return `the number ${value}`;
  if (typeof value === "bigint") return "a long integer";
  if (value instanceof Uint8Array) return "a run of bytes";
  if (value instanceof TorchTensor) return "a tensor";
  if (value instanceof Unbuilt) return `"${shown(value.name)}"`;
  return value instanceof Map ? "a dictionary" : "a list";
}
