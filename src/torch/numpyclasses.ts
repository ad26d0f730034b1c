// Numbers that numpy pickled, as Lightning keeps scores: a type and some bytes. Arrays are left unbuilt.
import { fromHalf } from "../files/half.ts";
import { PickleGlobal, type PickleSpot } from "./pickleglobal.ts";
import { kindOf } from "./picklemachine.ts";
import { type TorchValue, Unbuilt } from "./torchvalue.ts";

/** numpy.dtype: "f8", "i4", "b1" and the like; its state says the order of bytes. */
class NumpyType extends Unbuilt {
  readonly code: string;
  littleEndian = true;

  constructor(code: string) {
    super(`numpy.dtype("${code}")`);
    this.code = code;
  }
}

type Read = (view: DataView, littleEndian: boolean) => TorchValue;

const READ: ReadonlyMap<string, Read> = new Map<string, Read>([
  ["f8", (view, little) => view.getFloat64(0, little)],
  ["f4", (view, little) => view.getFloat32(0, little)],
  ["f2", (view, little) => fromHalf(Uint16Array.of(view.getUint16(0, little)))[0]!],
  ["i8", (view, little) => exact(view.getBigInt64(0, little))],
  ["i4", (view, little) => view.getInt32(0, little)],
  ["i2", (view, little) => view.getInt16(0, little)],
  ["i1", (view) => view.getInt8(0)],
  ["u8", (view, little) => exact(view.getBigUint64(0, little))],
  ["u4", (view, little) => view.getUint32(0, little)],
  ["u2", (view, little) => view.getUint16(0, little)],
  ["u1", (view) => view.getUint8(0)],
  ["b1", (view) => view.getUint8(0) !== 0],
]);

/** By their whole names, before numpy 2 and since. */
export const numpyClasses: ReadonlyMap<string, PickleGlobal> = new Map(
  [
    new PickleGlobal("numpy.dtype", type, order),
    ...["core", "_core"].map((core) => new PickleGlobal(`numpy.${core}.multiarray.scalar`, scalar)),
  ].map((one) => [one.name, one]),
);

function type([code]: readonly TorchValue[], spot: PickleSpot): TorchValue {
  if (typeof code === "string") return new NumpyType(code.slice(0, 100));
  // The class of a scalar stands for its type as well.
  return code instanceof Unbuilt
    ? code
    : spot.refuse(`a numpy.dtype is to be made of ${kindOf(code ?? null)}`);
}

/** The state: (version, order of bytes, ...); "|" has no order, "=" is that of the machine that wrote it. */
function order(made: TorchValue, state: TorchValue): void {
  if (made instanceof NumpyType && Array.isArray(state)) made.littleEndian = state[1] !== ">";
}

/** A number, or what has no counterpart here (dates, texts, complex numbers) left unbuilt. */
function scalar([dtype, bytes]: readonly TorchValue[], spot: PickleSpot): TorchValue {
  const read = dtype instanceof NumpyType ? READ.get(dtype.code) : undefined;
  if (!read || !(dtype instanceof NumpyType)) return new Unbuilt("numpy.generic");
  if (!(bytes instanceof Uint8Array) || bytes.length !== Number(dtype.code.slice(1))) {
    spot.refuse(`a number of numpy's type ${dtype.code} is to be made of ${kindOf(bytes ?? null)}`);
  }
  return read(new DataView(bytes.buffer, bytes.byteOffset), dtype.littleEndian);
}

function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
