// Opens HDF5 and NetCDF-4 files (NetCDF-4 is HDF5 with dimension scales). Only the root group is read.
// How NetCDF-4 lies in HDF5: NetCDF-C documentation, "File Structure and Performance", "The NetCDF-4 file format".
import { closeSync, openSync } from "node:fs";
import { ClimaxError } from "../errors.ts";
import { texts } from "./chartext.ts";
import type { AttributeValue, Dataset, DatasetVariable, Dtype } from "./dataset.ts";
import { dimensionsOf } from "./hdf5dimensions.ts";
import { blame, Hdf5Failure, type Hdf5Library, hdf5Library } from "./hdf5library.ts";
import { hdf5Pieces } from "./hdf5pieces.ts";
import { forget, type Node, numbersOf, readNumbers, readStrings, stringsAt } from "./hdf5slab.ts";
import { hyperslab, type NumericArray } from "./hyperslab.ts";
import { packingOf, unpack } from "./packing.ts";

/** HDF5's type classes (H5Tpublic.h, H5T_class_t) and link kinds (H5Gpublic.h). */
const INTEGER = 0;
const FLOAT = 1;
const STRING = 3;
const ENUM = 8;
const GROUP = 0;
const DATASET = 1;

/** What HDF5 says of the type and the space of a dataset or an attribute; the shape of an empty space is null. */
interface Description {
  shape: number[] | null;
  maxshape: number[] | null;
  chunks: number[] | null;
  type: number;
  size: number;
  signed: boolean;
  vlen: boolean;
  total_size: number;
  enum_type?: { type: number };
}

/** An open file inside the library. */
export interface Hdf5File {
  path: string;
  absolute: string;
  /** bytes */
  size: number;
  id: bigint;
  library: Hdf5Library;
}

export interface Hdf5Attributes {
  values: Map<string, AttributeValue>;
  types: Map<string, Dtype>;
  /** Those in which the library keeps its books, not shown to the user. */
  internal: Map<string, AttributeValue>;
}

/** Attributes in which the library keeps its books. */
const internalNames = new Set([
  "CLASS",
  "NAME",
  "DIMENSION_LIST",
  "REFERENCE_LIST",
  "DIMENSION_LABELS",
  "_Netcdf4Dimid",
  "_Netcdf4Coordinates",
  "_nc3_strict",
  "_NCProperties",
]);

/** No honest attribute is longer, bytes. */
const longestAttribute = 2 ** 24;

/**
 * Opens a NetCDF-4 or HDF5 file.
 * @throws ClimaxError "data" if it is truncated, corrupt, or has its variables in groups only.
 */
export async function openHdf5(path: string, absolute: string, size: number): Promise<Dataset> {
  const library = await hdf5Library();
  let id: bigint;
  try {
    id = library.call((h5) => h5.open(absolute, h5.H5F_ACC_RDONLY, false, -1, -1));
  } catch (error) {
    return blame(path, size, "opening it", error);
  }
  const file: Hdf5File = { path, absolute, size, id, library };
  let open = true;
  const close = (): void => {
    if (!open) return;
    open = false;
    forget(file);
    if (library.alive) library.call((h5) => h5.close_file(id));
  };
  try {
    return describe(file, async () => close());
  } catch (error) {
    close();
    return blame(path, size, "reading its metadata", error);
  }
}

function describe(file: Hdf5File, close: () => Promise<void>): Dataset {
  const { library, id, path } = file;
  const nodes: Node[] = [];
  const groups: string[] = [];
  for (const link of library.call((h5) => h5.get_names(id, "/", false))) {
    // Wrapped, as -1 (nothing there: a link that leads nowhere) is no failure.
    const { kind } = library.call((h5) => ({ kind: h5.get_type(id, `/${link}`) }));
    if (kind === GROUP) groups.push(link);
    if (kind === DATASET) nodes.push(inspect(file, link));
  }
  if (nodes.length === 0 && groups.length > 0) {
    throw new ClimaxError(
      "data",
      `${path} has no variables in its root group, only the groups ${groups.join(", ")}`,
      `lift one to the root: ncks -g ${groups[0]} -G : ${path} flat.nc`,
    );
  }
  const root = readAttributes(file, "/");
  const { lengths, unlimited, dimensions } = dimensionsOf(nodes);
  const variables = new Map<string, DatasetVariable>();
  for (const [node, names] of dimensions) {
    // A variable with the name of a dimension that is not its coordinate is stored under this prefix.
    const name = node.link.replace(/^_nc4_non_coord_/, "");
    variables.set(
      name,
      makeVariable(
        node,
        name,
        names,
        names.map((dimension) => lengths.get(dimension)!),
      ),
    );
  }
  const isNetcdf =
    root.internal.has("_NCProperties") || nodes.some((node) => node.attributes.internal.has("CLASS"));
  return {
    path,
    format: isNetcdf ? "NetCDF-4" : "HDF5",
    dimensions: lengths,
    unlimited,
    attributes: root.values,
    variables,
    close,
  };
}

function makeVariable(node: Node, name: string, dimensions: string[], shape: number[]): DatasetVariable {
  const { path, size } = node.file;
  const packing = packingOf(node.dtype, node.attributes.values, node.attributes.types);
  const isText = node.dtype === "string" || node.dtype === "char";
  const guarded = <T>(read: () => T): T => {
    try {
      return read();
    } catch (error) {
      return blame(path, size, `reading variable "${name}"`, error);
    }
  };
  const read = async (start?: readonly number[], count?: readonly number[]): Promise<NumericArray> => {
    const slab = hyperslab(name, shape, start, count);
    if (node.dtype === "string" || node.dtype === "other") {
      const what = node.dtype === "string" ? "text" : "a type that is not a number (compound, opaque...)";
      throw new ClimaxError("data", `${path}: variable "${name}" holds ${what}`, "choose another variable");
    }
    return guarded(() => readNumbers(node, slab));
  };
  return {
    name,
    dimensions,
    shape,
    dtype: node.dtype,
    attributes: node.attributes.values,
    ...(node.chunks && { chunks: node.chunks }),
    read,
    async readUnpacked(start, count) {
      if (isText) {
        throw new ClimaxError("data", `${path}: variable "${name}" holds text`, "choose another variable");
      }
      return unpack(await read(start, count), packing);
    },
    async pieces() {
      const descriptor = openSync(node.file.absolute, "r");
      try {
        return guarded(() => hdf5Pieces(node, shape, packing, descriptor));
      } finally {
        closeSync(descriptor);
      }
    },
    async readText() {
      if (!isText) {
        throw new ClimaxError(
          "data",
          `${path}: variable "${name}" holds numbers, not text`,
          "read it as numbers",
        );
      }
      if (node.dtype === "string") return guarded(() => readStrings(node));
      return texts((await read()) as Uint8Array, shape.at(-1) ?? 1);
    },
  };
}

function inspect(file: Hdf5File, link: string): Node {
  const about = file.library.call((h5) => h5.get_dataset_metadata(file.id, `/${link}`)) as Description;
  return {
    file,
    link,
    dtype: dtypeOf(about),
    itemBytes: about.size,
    vlen: about.vlen,
    stored: about.shape ?? [0],
    growing: (about.maxshape ?? [0]).map((n) => n > 2 ** 63), // H5S_UNLIMITED is 2^64 - 1
    chunks: about.chunks,
    attributes: readAttributes(file, `/${link}`),
  };
}

function dtypeOf(about: Description): Dtype {
  const bits = about.size * 8;
  const type = about.type === ENUM ? (about.enum_type?.type ?? ENUM) : about.type;
  if (type === INTEGER && [8, 16, 32, 64].includes(bits)) {
    return `${about.signed ? "int" : "uint"}${bits}` as Dtype;
  }
  if (type === FLOAT && [16, 32, 64].includes(bits)) return `float${bits}` as Dtype;
  if (type === STRING) return !about.vlen && about.size === 1 ? "char" : "string";
  return "other";
}

function readAttributes(file: Hdf5File, owner: string): Hdf5Attributes {
  const { library, id } = file;
  const result: Hdf5Attributes = { values: new Map(), types: new Map(), internal: new Map() };
  for (const name of library.call((h5) => h5.get_attribute_names(id, owner))) {
    const about = library.call((h5) => h5.get_attribute_metadata(id, owner, name)) as Description;
    const value = readAttribute(file, owner, name, about);
    if (internalNames.has(name)) result.internal.set(name, value ?? "");
    else if (value !== undefined) {
      result.values.set(name, value);
      result.types.set(name, dtypeOf(about));
    }
  }
  return result;
}

/** The value of an attribute; undefined for types that are neither numbers nor text (references, compounds). */
function readAttribute(
  { library, id }: Hdf5File,
  owner: string,
  name: string,
  about: Description,
): AttributeValue | undefined {
  const dtype = dtypeOf(about);
  if (dtype === "other") return undefined;
  if (about.shape === null) return about.type === STRING ? "" : [];
  const bytes = about.size * about.total_size;
  if (!(bytes <= longestAttribute)) throw new Hdf5Failure(`attribute "${name}" claims ${bytes} bytes`);
  return library.withMemory(bytes, (pointer) => {
    library.call((h5) => h5.get_attribute_data(id, owner, name, BigInt(pointer)));
    const raw = library.call((h5) => new Uint8Array(h5.HEAPU8.slice(pointer, pointer + bytes).buffer));
    if (about.vlen) {
      const strings = stringsAt(library, raw);
      library.call((h5) => h5.reclaim_vlen_memory(id, owner, name, BigInt(pointer)));
      return strings.join(", ");
    }
    if (about.type === STRING) return texts(raw, about.size).join(", ");
    const numbers = Array.from(numbersOf(raw, dtype));
    return numbers.length === 1 ? numbers[0]! : numbers;
  });
}
