// The pickle machine: reads what Python's pickle, torch.save and Lightning write, as plain values. Nothing of the file
// runs: a class is what the resolver of names lets stand for it (torchclasses.ts), and every other opcode is data.
import type { GlobalResolver, PickleSpot } from "./pickleglobal.ts";
import { checkGraph } from "./picklegraph.ts";
import { kindOf, PickleMachine } from "./picklemachine.ts";
import { type OpcodeName, opcodes } from "./pickleopcodes.ts";
import { PickleReader } from "./picklereader.ts";
import {
  asciiLine,
  decimalFloat,
  decimalInteger,
  escapedText,
  memoIndex,
  quotedBytes,
  signedInteger,
} from "./pickletext.ts";
import type { TorchValue } from "./torchvalue.ts";

export interface UnpickleOptions {
  /** For messages. */
  readonly path: string;
  readonly globals: GlobalResolver;
  /** What stands for a persistent id: torch's storages. Without it such ids are refused. */
  readonly persistent?: (id: TorchValue, spot: PickleSpot) => TorchValue;
}

/**
 * Reads the pickle that begins at the first byte. What follows its STOP is not looked at: files of PyTorch before 1.6
 * have several pickles in a row. Memory and time are bounded by the bytes read and by MOST_WORK, whatever they claim.
 * The value has no cycles and is at most 1000 deep, and walked without regard to sharing it has at most MOST_WORK
 * parts: consumers may recurse.
 *
 * @returns the value, and the first byte after STOP
 * @throws ClimaxError "checkpoint": damaged, cut off, hostile, or in need of what the resolver refuses
 */
export function unpickle(bytes: Uint8Array, options: UnpickleOptions): { value: TorchValue; end: number } {
  const reader: PickleReader = new PickleReader(bytes, options.path);
  const machine: PickleMachine = new PickleMachine(reader, options);
  do {
    reader.offset = reader.position;
    if (reader.position === bytes.length) reader.refuse("it breaks off before its STOP");
    const code = reader.u8();
    const name = names[code];
    if (name === undefined) reader.refuse(`there is no opcode 0x${code.toString(16).padStart(2, "0")}`);
    machine.opcode = name;
    reader.spend(1);
    steps[name](machine, reader);
  } while (machine.opcode !== "STOP");
  const value = machine.pop();
  checkGraph(value, reader);
  return { value, end: reader.position };
}

const names: readonly (OpcodeName | undefined)[] = Array.from({ length: 256 }, (_, code) =>
  (Object.keys(opcodes) as OpcodeName[]).find((name) => opcodes[name] === code),
);

type Step = (machine: PickleMachine, reader: PickleReader) => void;

const steps: Readonly<Record<OpcodeName, Step>> = {
  PROTO(machine, reader) {
    const version = reader.u8();
    if (version > 5) machine.refuse(`the pickle's protocol is ${version}, and 0 to 5 are known`);
  },
  // Of use to readers of streams; that the frame is whole is all it tells us.
  FRAME(machine, reader) {
    const [length, left] = [reader.u64(), reader.bytes.length - reader.position];
    if (length > left) machine.refuse(`it announces ${length} bytes, and ${left} are left`);
  },
  STOP: () => {},
  MARK: (machine) => machine.mark(),
  POP: (machine) => machine.drop(),
  POP_MARK: (machine) => void machine.popMark(),
  DUP: (machine) => machine.push(machine.top()),

  PUT: (machine, reader) => machine.keep(memoIndex(reader, asciiLine(reader))),
  BINPUT: (machine, reader) => machine.keep(reader.u8()),
  LONG_BINPUT: (machine, reader) => machine.keep(reader.u32()),
  MEMOIZE: (machine) => machine.keepNext(),
  GET: (machine, reader) => machine.recall(memoIndex(reader, asciiLine(reader))),
  BINGET: (machine, reader) => machine.recall(reader.u8()),
  LONG_BINGET: (machine, reader) => machine.recall(reader.u32()),

  NONE: (machine) => machine.push(null),
  NEWTRUE: (machine) => machine.push(true),
  NEWFALSE: (machine) => machine.push(false),
  // Protocols 0 and 1 write True and False as these two.
  INT(machine, reader) {
    const text = asciiLine(reader);
    machine.push(text === "01" || text === "00" ? text === "01" : decimalInteger(reader, text));
  },
  BININT: (machine, reader) => machine.push(reader.i32()),
  BININT1: (machine, reader) => machine.push(reader.u8()),
  BININT2: (machine, reader) => machine.push(reader.u16()),
  LONG: (machine, reader) => machine.push(decimalInteger(reader, asciiLine(reader).replace(/L$/, ""))),
  LONG1: (machine, reader) => machine.push(signedInteger(reader, reader.u8())),
  LONG4: (machine, reader) => machine.push(signedInteger(reader, reader.u32())),
  FLOAT: (machine, reader) => machine.push(decimalFloat(reader, asciiLine(reader))),
  BINFLOAT: (machine, reader) => machine.push(reader.f64()),

  // Python 2's strings; torch.load takes them for UTF-8 as well.
  STRING: (machine, reader) => machine.push(reader.text(quotedBytes(reader))),
  BINSTRING: (machine, reader) => machine.push(reader.text(reader.take(reader.u32()))),
  SHORT_BINSTRING: (machine, reader) => machine.push(reader.text(reader.take(reader.u8()))),
  UNICODE: (machine, reader) => machine.push(escapedText(reader)),
  BINUNICODE: (machine, reader) => machine.push(reader.text(reader.take(reader.u32()))),
  SHORT_BINUNICODE: (machine, reader) => machine.push(reader.text(reader.take(reader.u8()))),
  BINUNICODE8: (machine, reader) => machine.push(reader.text(reader.take(reader.u64()))),
  // Copies: a view would keep the whole file in memory.
  BINBYTES: (machine, reader) => machine.push(reader.take(reader.u32()).slice()),
  SHORT_BINBYTES: (machine, reader) => machine.push(reader.take(reader.u8()).slice()),
  BINBYTES8: (machine, reader) => machine.push(reader.take(reader.u64()).slice()),
  BYTEARRAY8: (machine, reader) => machine.push(reader.take(reader.u64()).slice()),

  EMPTY_TUPLE: (machine) => machine.pushNew([]),
  TUPLE: (machine) => machine.pushNew(machine.popMark()),
  TUPLE1: (machine) => machine.pushNew(machine.popMany(1)),
  TUPLE2: (machine) => machine.pushNew(machine.popMany(2)),
  TUPLE3: (machine) => machine.pushNew(machine.popMany(3)),
  EMPTY_LIST: (machine) => machine.pushNew([]),
  LIST: (machine) => machine.pushNew(machine.popMark()),
  APPEND: (machine) => appendTo(machine, machine.popMany(1)),
  APPENDS: (machine) => appendTo(machine, machine.popMark()),
  EMPTY_DICT: (machine) => machine.pushNew(new Map()),
  DICT(machine) {
    const pairs = machine.popMark();
    machine.pushNew(new Map());
    machine.setItems(machine.top(), pairs);
  },
  SETITEM: (machine) => setIn(machine, machine.popMany(2)),
  SETITEMS: (machine) => setIn(machine, machine.popMark()),
  EMPTY_SET: (machine) => machine.pushNew([]),
  ADDITEMS: (machine) => appendTo(machine, machine.popMark()),
  FROZENSET: (machine) => machine.pushNew(machine.popMark()),

  GLOBAL(machine, reader) {
    const module = asciiLine(reader);
    machine.push(machine.global(module, asciiLine(reader)));
  },
  STACK_GLOBAL(machine) {
    const [module, name] = machine.popMany(2);
    machine.push(machine.global(module!, name!));
  },
  REDUCE: callTop,
  NEWOBJ: callTop,
  // Keyword arguments only reach classes that are left unbuilt: none that is built is pickled with them.
  NEWOBJ_EX(machine) {
    const keywords = machine.pop();
    if (!(keywords instanceof Map)) machine.refuse(`${kindOf(keywords)} stands for keyword arguments`);
    callTop(machine);
  },
  BUILD(machine) {
    const state = machine.pop();
    machine.build(machine.top(), state);
  },
  INST(machine, reader) {
    const module = asciiLine(reader);
    const name = asciiLine(reader);
    const args = machine.popMark();
    machine.push(machine.call(machine.global(module, name), args));
  },
  OBJ(machine) {
    const [callable, ...args] = machine.popMark();
    machine.push(machine.call(callable ?? null, args));
  },
  PERSID: (machine, reader) => machine.persistent(asciiLine(reader)),
  BINPERSID: (machine) => machine.persistent(machine.pop()),

  ...{ EXT1: elsewhere, EXT2: elsewhere, EXT4: elsewhere },
  ...{ NEXT_BUFFER: elsewhere, READONLY_BUFFER: elsewhere },
};

function appendTo(machine: PickleMachine, items: readonly TorchValue[]): void {
  machine.append(machine.top(), items);
}

function setIn(machine: PickleMachine, pairs: readonly TorchValue[]): void {
  machine.setItems(machine.top(), pairs);
}

function callTop(machine: PickleMachine): void {
  const [callable, args] = machine.popMany(2);
  machine.push(machine.call(callable!, args!));
}

/** Numbers of copyreg's registry, and buffers handed over beside the pickle: torch.save uses neither. */
function elsewhere(machine: PickleMachine): never {
  return machine.refuse(
    "what it stands for is not in the file, but was known to the process that wrote it",
    "save the file again with torch.save and its standard pickle module",
  );
}
