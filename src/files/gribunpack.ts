// Values of a field of a GRIB file: reads the bytes of its message, has ecCodes unpack them.
import type { FileHandle } from "node:fs/promises";
import { ClimaxError } from "../errors.ts";
import { withLength } from "./gribedition2.ts";
import type { GribField } from "./gribfield.ts";
import { GribFailure, gribValues } from "./gribprocess.ts";
import { readExactly } from "./gribwindow.ts";

type Values = Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;

/** The values of a field by its index, NaN where missing; `width` points make a row. Not to be changed by callers. */
export type ReadField = (index: number, double: boolean, width: number) => Promise<Values>;

/** Unpacks a field by its index; the last one is kept, for readers that take it in pieces. */
export function fieldReader(path: string, handle: FileHandle, fields: readonly GribField[]): ReadField {
  let last: { index: number; double: boolean; values: Promise<Values> } | undefined;
  return (index, double, width) => {
    if (last?.index === index && last.double === double) return last.values;
    const values = unpackField(path, handle, fields[index]!, double, width);
    last = { index, double, values };
    values.catch(() => {
      if (last?.values === values) last = undefined;
    });
    return values;
  };
}

async function unpackField(
  path: string,
  handle: FileHandle,
  field: GribField,
  double: boolean,
  width: number,
): Promise<Values> {
  const { message, at, points } = field;
  try {
    const values = await gribValues(path, await wholeMessage(path, handle, field), points, double);
    if (field.alternating) {
      for (let row = width; row < points; row += 2 * width) values.subarray(row, row + width).reverse();
    }
    return values;
  } catch (error) {
    if (!(error instanceof GribFailure)) throw error;
    const absent =
      unnamed.test(field.packing) || /not (yet )?(enabled|implemented)|not supported/i.test(error.message);
    throw new ClimaxError(
      "data",
      `${path}: GRIB message ${message} at byte ${at} (${field.packing}) cannot be unpacked: ${error.message}`,
      absent
        ? `this ecCodes was built without ${field.packing}: install one that has it (conda install -c conda-forge eccodes) and name it by CLIMAX_ECCODES_LIB`
        : "the message is damaged: fetch or write the file again; grib_copy -f IN OUT (ecCodes) drops bad messages",
      { cause: error },
    );
  }
}

/** Packings that this program has no name for are newer than it, and may be newer than the library. */
const unnamed = /^data representation/;

/** The bytes of a message that holds this field alone. */
async function wholeMessage(path: string, handle: FileHandle, field: GribField): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let part = 0; part * 2 < field.parts.length; part++) {
    const [at, length] = [field.parts[part * 2]!, field.parts[part * 2 + 1]!];
    pieces.push(
      part === field.replaced?.part ? field.replaced.section : await readExactly(path, handle, at, length),
    );
  }
  if (field.edition === 1) return pieces[0]!;
  // A bitmap that is used again is marked so where it stands; here it comes first.
  return withLength(Buffer.concat([...pieces, Buffer.from("7777")]));
}
