// The JSON of Zarr arrays, of version 2 and 3, checked and brought to one form. Nothing in it is believed: shapes and
// chunks decide how much memory is asked for, and names and separators which files are read.
import { z } from "zod";
import type { AttributeValue, Dtype } from "./dataset.ts";
import { elements } from "./hyperslab.ts";
import { type ElementType, fillForZarrita, fillOf, notATime, typeOfV2, typeOfV3 } from "./zarrtypes.ts";

export interface ArrayMetadata {
  shape: number[];
  /** What is decoded at a time: a chunk, or with sharding a chunk of a shard. */
  chunks: number[];
  /** Bytes of it, decoded; for text the most it may have. */
  chunkBytes: number;
  type: ElementType;
  fill: number;
  /** Null for an axis without a name; undefined when no axis has one. */
  dimensions: (string | null)[] | undefined;
  attributes: Map<string, AttributeValue>;
  /** For packing.ts. */
  types: Map<string, Dtype>;
  /** Why its numbers cannot be read; undefined when they can. */
  unreadable: string | undefined;
  /** The file name and JSON from which zarrita opens it. */
  forZarrita: { version: 2 | 3; json: object };
  /** Whether the index of a shard comes first; zarrita looks for it at the end. */
  indexFirst: boolean;
}

/** No honest chunk is larger decoded; WebGPU's and wasm's memories end not far beyond. */
const largestChunk = 2 ** 30;
/** Of text, whose length is not known before it is decoded. */
const largestText = 2 ** 28;
/** Chunks of one shard: their index is read whole. */
const mostInShard = 2 ** 22;

const length = z.int().min(0);
const lengths = z.array(length).max(32);
const chunkLengths = z.array(length.min(1)).max(32);

const arrayV2 = z.object({
  zarr_format: z.literal(2),
  shape: lengths,
  chunks: chunkLengths,
  dtype: z.union([z.string(), z.array(z.unknown())]),
  compressor: z.looseObject({ id: z.string() }).nullish(),
  fill_value: z.unknown(),
  order: z.enum(["C", "F"]).default("C"),
  filters: z.array(z.looseObject({ id: z.string() })).nullish(),
  dimension_separator: z.enum([".", "/"]).default("."),
});

const named = z.union([
  z.string().transform((name) => ({ name, configuration: {} as Record<string, unknown> })),
  z.looseObject({ name: z.string(), configuration: z.record(z.string(), z.unknown()).default({}) }),
]);

const arrayV3 = z.looseObject({
  zarr_format: z.literal(3),
  node_type: z.literal("array"),
  shape: lengths,
  data_type: named,
  chunk_grid: named,
  chunk_key_encoding: named,
  fill_value: z.unknown(),
  codecs: z.array(named),
  attributes: z.record(z.string(), z.unknown()).default({}),
  dimension_names: z.array(z.string().nullable()).nullish(),
  storage_transformers: z.array(z.unknown()).max(0, "storage transformers are not known").optional(),
});

const sharding = z.looseObject({
  chunk_shape: chunkLengths,
  codecs: z.array(named),
  index_codecs: z.array(named),
  index_location: z.enum(["start", "end"]).default("end"),
});

/** What zod found wrong, in a line. */
function checked<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new Error(`${issue!.path.join(".") || "its JSON"}: ${issue!.message}`);
}

/**
 * Parses JSON as Zarr 2's own writer makes it: with bare NaN and Infinity.
 * @throws SyntaxError
 */
export function parseJson(bytes: Uint8Array): unknown {
  const text = new TextDecoder().decode(bytes);
  try {
    return JSON.parse(text);
  } catch (error) {
    const numbers: Record<string, number> = { NaN: Number.NaN, Infinity: Infinity, "-Infinity": -Infinity };
    const mark = "\0number ";
    const quoted = text.replace(/"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g, (token) =>
      token in numbers ? JSON.stringify(mark + token) : token,
    );
    if (quoted === text) throw error;
    return JSON.parse(quoted, (_, value: unknown) =>
      typeof value === "string" && value.startsWith(mark) ? numbers[value.slice(mark.length)] : value,
    );
  }
}

/** @throws Error that says what is wrong in the metadata. */
export function metadataV2(array: unknown, attributes: unknown): ArrayMetadata {
  const { shape, chunks, dtype, fill_value, ...rest } = checked(arrayV2, array);
  if (chunks.length !== shape.length) throw new Error(`its shape is [${shape}], its chunks [${chunks}]`);
  const given = checked(z.record(z.string(), z.unknown()), attributes ?? {});
  const filters = (rest.filters ?? []).map(({ id }) => id);
  const type = typeOfV2(typeof dtype === "string" ? dtype : "", filters);
  const fill = type.dtype === "string" || !type.readAs ? 0 : fillOf(fill_value, type);
  const json = { ...rest, shape, chunks, dtype: type.readAs, fill_value: fillForZarrita(fill, type) };
  const { _ARRAY_DIMENSIONS: names, ...others } = given;
  const dimensions = z.array(z.string()).safeParse(names).data;
  // What xarray and NetCDF-C write as _FillValue. A zero is what Zarr's own writer puts there when nobody thinks of
  // it: then a first hour, a level or dry ground would be missing.
  if (!("_FillValue" in others) && fill !== 0) others._FillValue = fill;
  return complete(type, {
    shape,
    chunks,
    fill,
    dimensions,
    json,
    version: 2,
    given: others,
    what: String(dtype),
  });
}

/** @throws Error that says what is wrong in the metadata. */
export function metadataV3(array: unknown): ArrayMetadata {
  const found = checked(arrayV3, array);
  const { shape, data_type, chunk_grid, chunk_key_encoding, codecs, attributes, dimension_names } = found;
  for (const [key, value] of Object.entries(found)) {
    const optional = (value as { must_understand?: boolean } | null)?.must_understand === false;
    if (!(key in arrayV3.shape) && !optional) throw new Error(`its extension "${key}" is not known`);
  }
  const type = typeOfV3(data_type.name, data_type.configuration);
  const fill = type.dtype === "string" || !type.readAs ? 0 : fillOf(found.fill_value, type);
  const separator = z.enum([".", "/"]).optional().safeParse(chunk_key_encoding.configuration.separator);
  if (!["default", "v2"].includes(chunk_key_encoding.name) || !separator.success) {
    throw new Error(`its chunk_key_encoding ${JSON.stringify(chunk_key_encoding)} is not known`);
  }
  if (chunk_grid.name !== "regular") throw new Error(`its chunk_grid "${chunk_grid.name}" is not known`);
  const outer = checked(chunkLengths, chunk_grid.configuration.chunk_shape);
  if (outer.length !== shape.length) throw new Error(`its shape is [${shape}], its chunks [${outer}]`);
  const sharded = codecs.find(({ name }) => name === "sharding_indexed");
  const inner = sharded && checked(sharding, sharded.configuration);
  const chunks = inner?.chunk_shape ?? outer;
  if (inner) {
    const parts = outer.map((n, i) => n / (chunks[i] ?? Number.NaN));
    if (chunks.length !== outer.length || !parts.every(Number.isInteger) || elements(parts) > mostInShard) {
      throw new Error(`its shards of [${outer}] do not divide into chunks of [${chunks}]`);
    }
  }
  const given = { ...attributes };
  // xarray keeps the fill value of floats as the base64 of a float64, little-endian.
  if (typeof given._FillValue === "string" && type.dtype.startsWith("float")) {
    const bytes = Buffer.from(given._FillValue, "base64");
    if (bytes.length === 8) given._FillValue = bytes.readDoubleLE();
  }
  const { attributes: _, dimension_names: __, consolidated_metadata: ___, ...rest } = found;
  const json = { ...rest, data_type: type.readAs, fill_value: fillForZarrita(fill, type) };
  const dimensions = dimension_names ?? undefined;
  const what = data_type.name;
  const made = complete(type, { shape, chunks, fill, dimensions, json, version: 3, given, what });
  return { ...made, indexFirst: inner?.index_location === "start" };
}

interface Parts {
  shape: number[];
  chunks: number[];
  fill: number;
  dimensions: (string | null)[] | undefined;
  json: object;
  version: 2 | 3;
  given: Record<string, unknown>;
  /** The type as the store names it. */
  what: string;
}

function complete(type: ElementType, { given, json, version, what, ...rest }: Parts): ArrayMetadata {
  const chunkBytes = type.bytes === undefined ? largestText : elements(rest.chunks) * type.bytes;
  const unreadable = !type.readAs
    ? `its type ${what} is neither a number nor text that can be read`
    : chunkBytes > largestChunk || elements(rest.chunks) > largestChunk
      ? `its chunks of [${rest.chunks}] ${type.dtype} are larger than ${largestChunk / 2 ** 30} GiB`
      : undefined;
  const { dimensions } = rest;
  if (dimensions && dimensions.length !== rest.shape.length) {
    throw new Error(`its shape is [${rest.shape}], its dimensions are [${dimensions}]`);
  }
  const forZarrita = { version, json };
  return {
    ...rest,
    ...attributesOf(given, type),
    chunkBytes,
    type,
    unreadable,
    forZarrita,
    indexFirst: false,
  };
}

/** Attributes in our form, and the types that JSON leaves open: numbers are doubles, except bounds of integers. */
export function attributesOf(
  given: Record<string, unknown>,
  type?: ElementType,
): { attributes: Map<string, AttributeValue>; types: Map<string, Dtype> } {
  const attributes = new Map<string, AttributeValue>();
  const types = new Map<string, Dtype>();
  for (const [name, value] of Object.entries(given)) {
    const converted = attributeOf(value);
    // NetCDF-C keeps its books among the attributes.
    if (converted === undefined || /^_nczarr_|^_NCProperties$/i.test(name)) continue;
    attributes.set(name, converted);
    if (typeof converted === "string") continue;
    const whole = [converted].flat().every(Number.isInteger);
    types.set(name, whole && name.startsWith("valid_") ? (type?.dtype ?? "float64") : "float64");
  }
  for (const [name, value] of Object.entries(type?.implied ?? {})) {
    attributes.set(name, value);
    attributes.set("_FillValue", notATime);
  }
  return { attributes, types };
}

function attributeOf(value: unknown): AttributeValue | undefined {
  if (value === null) return undefined;
  if (typeof value === "string" || typeof value === "number") return value;
  if (typeof value === "boolean") return String(value);
  if (Array.isArray(value) && value.length > 0) {
    if (value.every((item) => typeof item === "number")) return value.length === 1 ? value[0] : value;
    if (value.every((item) => typeof item === "string")) return value.join(", ");
  }
  return JSON.stringify(value);
}
