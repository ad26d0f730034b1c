// zarrita with codecs that know how much they may give: each compressor is told the decoded size of its chunk, and
// claims beyond it are refused before memory is asked for.
import { promisify } from "node:util";
import { gunzip, inflate, inflateSync } from "node:zlib";
import * as zarr from "zarrita";
import { elements } from "./hyperslab.ts";
import { decodeBlosc, type InnerDecoder } from "./zarrblosc.ts";
import { decodeBloscLz } from "./zarrblosclz.ts";

/** Codecs of bytes between the compressor and the elements add checksums: some bytes each. */
const checksums = 64;
/** Of text, whose length is not known before. */
const longestText = 2 ** 28;
/** zstd's blocks decode to no more (RFC 8878, 3.1.1.2.3). */
const zstdBlock = 2 ** 17;

/** A codec of zarrita's own, loaded when it is first needed. */
interface WasmCodec {
  decode(data: Uint8Array): Promise<Uint8Array>;
}

// The registry's type is that of zarrita's own codecs, which are not exported.
const registry = zarr.registry as unknown as Map<string, () => unknown>;
const lz4 = ofZarrita("lz4");
const zstd = ofZarrita("zstd");

function ofZarrita(name: string): () => Promise<WasmCodec> {
  const load = registry.get(name)! as () => Promise<{ fromConfig(config: object): WasmCodec }>;
  let codec: Promise<WasmCodec> | undefined;
  return () => (codec ??= load().then((made) => made.fromConfig({})));
}

interface ChunkType {
  dataType: string;
  shape: number[];
}

/** The most bytes a chunk of this type has when it is decoded. */
function limitOf({ dataType, shape }: ChunkType): number {
  const [, kind, characters] = /^v2:([US])(\d+)$/.exec(dataType) ?? [];
  const [, bits] = /(\d+)$/.exec(dataType) ?? [];
  const bytes = kind ? Number(characters) * (kind === "U" ? 4 : 1) : Number(bits ?? Number.NaN) / 8;
  return (Number.isFinite(bytes) ? elements(shape) * bytes : longestText) + checksums;
}

/** Makes a codec as zarrita's registry wants them, of a function from bytes to bytes. */
function compressor(decode: (data: Uint8Array, limit: number) => Promise<Uint8Array>) {
  return () => ({
    fromConfig(_: unknown, meta: ChunkType) {
      const limit = limitOf(meta);
      return {
        kind: "bytes_to_bytes",
        decode: (data: Uint8Array) => decode(data, limit),
        encode: () => {
          throw new Error("only reading is known");
        },
      };
    },
  });
}

const unzip = promisify(gunzip) as (data: Uint8Array, options: object) => Promise<Buffer>;
const inflated = promisify(inflate) as (data: Uint8Array, options: object) => Promise<Buffer>;
const innerDecoders: Record<string, InnerDecoder> = {
  lz4(data, size) {
    const sized = new Uint8Array(4 + data.length);
    new DataView(sized.buffer).setUint32(0, size, true);
    sized.set(data, 4);
    return decodeLz4(sized, size).then((bytes) => exactly(bytes, size));
  },
  blosclz: decodeBloscLz,
  zlib: (data, size) => exactly(inflateSync(data, { maxOutputLength: size }), size),
  zstd: (data, size) => decodeZstd(data, size).then((bytes) => exactly(bytes, size)),
};

/** numcodecs' own form of LZ4: the decoded size, 32 bits, and one block. */
async function decodeLz4(data: Uint8Array, limit: number): Promise<Uint8Array> {
  if (data.length < 4) throw new Error(`it has ${data.length} bytes, too few for LZ4`);
  const size = new DataView(data.buffer, data.byteOffset).getUint32(0, true);
  if (size > limit) throw new Error(`it claims ${size} bytes; at most ${limit} were expected`);
  if (size === 0) return new Uint8Array(0);
  return exactly(await (await lz4()).decode(data).catch(damaged("LZ4")), size);
}

async function decodeZstd(data: Uint8Array, limit: number): Promise<Uint8Array> {
  const most = zstdSize(data);
  if (most > limit) throw new Error(`it claims ${most} bytes; at most ${limit} were expected`);
  return (await zstd()).decode(data).catch(damaged("zstd"));
}

/** What a zstd frame says it decodes to, or, where it does not, what its blocks may at most. RFC 8878, 3.1.1. */
function zstdSize(data: Uint8Array): number {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  try {
    if (view.getUint32(0, true) !== 0xfd2fb528) throw new Error("it is not zstd data");
    const descriptor = view.getUint8(4);
    const single = (descriptor & 32) !== 0;
    const sizeBytes = [single ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
    const at = 5 + (single ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!;
    if (sizeBytes === 1) return view.getUint8(at);
    if (sizeBytes === 2) return view.getUint16(at, true) + 256;
    if (sizeBytes === 4) return view.getUint32(at, true);
    if (sizeBytes === 8) return Number(view.getBigUint64(at, true));
    // The last block may be short, so a bound is one block above the truth.
    let most = -zstdBlock;
    for (let block = at, last = false; !last; ) {
      const header = view.getUint16(block, true) | (view.getUint8(block + 2) << 16);
      last = (header & 1) === 1;
      const size = header >> 3;
      const kind = (header >> 1) & 3; // 0 stored, 1 one byte repeated, 2 compressed
      most += kind === 2 ? zstdBlock : Math.min(size, zstdBlock);
      block += 3 + (kind === 1 ? 1 : size);
    }
    return most;
  } catch (error) {
    if (error instanceof RangeError) throw new Error("its zstd data are cut off");
    throw error;
  }
}

function exactly(bytes: Uint8Array, size: number): Uint8Array {
  if (bytes.length !== size) throw new Error(`it decodes to ${bytes.length} bytes; ${size} were expected`);
  return bytes;
}

function damaged(name: string): (error: Error) => never {
  return (error) => {
    throw new Error(`its ${name} data are damaged`, { cause: error });
  };
}

/** CRC-32C, the polynomial of Castagnoli, one byte at a time. */
const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  return crc;
});

function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = (crc >>> 8) ^ crcTable[(crc ^ byte) & 255]!;
  return ~crc >>> 0;
}

/** Data with their CRC-32C behind them, which zarrita's own codec cuts off without a look. */
const checked = () => ({
  fromConfig: () => ({
    kind: "bytes_to_bytes",
    computeEncodedSize: (size: number) => size + 4,
    decode(bytes: Uint8Array) {
      const data = bytes.subarray(0, -4);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      if (bytes.length < 4 || view.getUint32(data.length, true) !== crc32c(data)) {
        throw new Error("it does not agree with its checksum (CRC-32C)");
      }
      return data;
    },
  }),
});

/** Texts, each after its length, 32 bits; their number first. numcodecs, vlen.pyx. */
const texts = () => ({
  fromConfig(_: unknown, { shape }: ChunkType) {
    return {
      kind: "array_to_bytes",
      decode(bytes: Uint8Array) {
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        const data: string[] = [];
        const count = bytes.length < 4 ? -1 : view.getUint32(0, true);
        if (count !== elements(shape)) throw new Error(`it holds ${count} texts; wanted ${elements(shape)}`);
        let at = 4;
        while (data.length < count) {
          const length = at + 4 <= bytes.length ? view.getUint32(at, true) : Infinity;
          if (length > bytes.length - at - 4) throw new Error("its texts are cut off");
          data.push(new TextDecoder().decode(bytes.subarray(at + 4, at + 4 + length)));
          at += 4 + length;
        }
        const stride = shape.map((__, axis) => elements(shape.slice(axis + 1)));
        return { data, shape, stride };
      },
    };
  },
});

const gzip = compressor((data, limit) => unzip(data, { maxOutputLength: limit }).catch(outOf("gzip", limit)));
const zlib = compressor((data, limit) =>
  inflated(data, { maxOutputLength: limit }).catch(outOf("zlib", limit)),
);

function outOf(name: string, limit: number): (error: NodeJS.ErrnoException) => never {
  return (error) => {
    if (error.code === "ERR_BUFFER_TOO_LARGE") {
      throw new Error(`it decodes to more than the ${limit} bytes expected`, { cause: error });
    }
    return damaged(name)(error);
  };
}

const own: Record<string, () => unknown> = {
  blosc: compressor((data, limit) => decodeBlosc(data, limit, innerDecoders)),
  lz4: compressor(decodeLz4),
  zstd: compressor(decodeZstd),
  gzip,
  zlib,
  crc32c: checked,
  "vlen-utf8": texts,
};
for (const [name, codec] of Object.entries(own)) registry.set(name, codec).set(`numcodecs.${name}`, codec);

/** Compressors that are read, for messages. */
export const knownCompressors = ["blosc (all but snappy)", "zstd", "lz4", "gzip", "zlib", "none"];

/** zarrita, its codecs replaced. */
export { zarr };
