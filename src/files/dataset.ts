// The raw, lazy face of one file of gridded data, whatever its format: names, shapes, attributes, and
// hyperslabs read when asked for. What the names mean is the archive's business, not this file's.
import type { NumericArray } from "./hyperslab.ts";
import type { Pieces } from "./pieces.ts";

/** Attributes of one element are scalars; 64-bit integers become numbers; several strings are joined by ", ". */
export type AttributeValue = string | number | number[];

/** Type of the numbers as stored. "other": compound, opaque, reference...: listed, but cannot be read. */
export type Dtype =
  | "int8"
  | "uint8"
  | "int16"
  | "uint16"
  | "int32"
  | "uint32"
  | "int64"
  | "uint64"
  | "float16"
  | "float32"
  | "float64"
  | "char"
  | "string"
  | "other";

export interface DatasetVariable {
  name: string;
  /** Names of the dimensions, slowest first. */
  dimensions: string[];
  /** Lengths of those dimensions. */
  shape: number[];
  dtype: Dtype;
  attributes: Map<string, AttributeValue>;
  /** Lengths of a chunk on disk, which is read whole; absent when it lies in one piece or the format does not say. */
  chunks?: readonly number[];
  /**
   * Numbers of a hyperslab as they are stored (packed), row-major; whole variable by default.
   * @throws RangeError outside the shape; ClimaxError "data" when the file cannot give them.
   */
  read(start?: readonly number[], count?: readonly number[]): Promise<NumericArray>;
  /** The same, unpacked by the CF rules of packing.ts; missing values are NaN. */
  readUnpacked(start?: readonly number[], count?: readonly number[]): Promise<Float32Array | Float64Array>;
  /** Of formats of single fields (GRIB): whether the file has the one that begins at these indices; absent where all are there. */
  holds?(start: readonly number[]): boolean;
  /** Where the numbers lie in a file, for those who read them on threads of their own; undefined if only the reader can. */
  pieces?(): Promise<Pieces | undefined>;
  /** Strings of a "string" variable, or of a "char" variable along its last dimension; row-major. */
  readText(): Promise<string[]>;
}

export interface Dataset {
  path: string;
  /**
   * "NetCDF-4", "HDF5", "NetCDF classic (CDF-1)", "NetCDF 64-bit offset (CDF-2)", "NetCDF 64-bit data (CDF-5)", "Zarr 2",
   * "Zarr 3", "GRIB 2", "CSV, a row a year".
   */
  format: string;
  dimensions: Map<string, number>;
  /** Names of the dimensions that can grow. */
  unlimited: Set<string>;
  attributes: Map<string, AttributeValue>;
  variables: Map<string, DatasetVariable>;
  /** What the reader had to assume, for the user; absent where the file says all. */
  notes?: readonly string[];
  close(): Promise<void>;
}
