// The files that the section regrid regrids: synthetic temperatures, smooth with noise, in the forms that archives have.
import { closeSync, openSync, writeSync } from "node:fs";
import { packChunk } from "../../src/files/hdf5append.ts";
import { createNetcdf } from "../../src/files/netcdf4writer.ts";
import { gaussianLatitudes } from "../../src/grid/grid.ts";
import { classicFile } from "../support/regridclassic.ts";

export interface SourceFile {
  name: string;
  what: string;
  height: number;
  width: number;
  gaussian: boolean;
  form: "plain" | "deflated" | "blocks" | "classic";
}

const sizes = [
  { key: "era", height: 721, width: 1440, gaussian: false },
  { key: "gauss", height: 192, width: 384, gaussian: true },
];
const forms = [
  ["plain", "NetCDF-4 as it is"],
  ["deflated", "NetCDF-4 shuffle + deflate"],
  ["blocks", "NetCDF-4 deflate, blocks of 20 steps"],
  ["classic", "NetCDF 64-bit offset"],
] as const;

export const sources: readonly SourceFile[] = sizes.flatMap(({ key, ...size }) =>
  forms.map(([form, words]) => ({
    ...size,
    form,
    name: `${key}-${form}`,
    what: `${size.height} x ${size.width}, ${words}`,
  })),
);

/** Latitudes from north to south. */
export function latitudes({ height, gaussian }: SourceFile): Float64Array {
  return gaussian
    ? gaussianLatitudes(height).toReversed()
    : Float64Array.from({ length: height }, (_, r) => 90 - (180 * r) / (height - 1));
}

/** Fields in turn: the noise drifts, so that no two are alike. */
function fieldMaker(file: SourceFile): (step: number) => Float32Array<ArrayBuffer> {
  const { height, width } = file;
  const n = height * width;
  let seed = 1;
  const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  const noise = Float32Array.from({ length: n }, () => random() + random() + random() - 1.5);
  const lat = latitudes(file);
  const base = Float32Array.from({ length: n }, (_, i) => {
    const [row, column] = [Math.floor(i / width), i % width];
    return 250 + 40 * Math.cos((lat[row]! * Math.PI) / 180) + 10 * Math.sin((6 * Math.PI * column) / width);
  });
  return (step) => {
    const shift = (step * 7919) % n;
    const out = new Float32Array(n);
    for (let i = 0; i < n; i++) out[i] = base[i]! + noise[i + shift < n ? i + shift : i + shift - n]!;
    return out;
  };
}

export async function makeSource(file: SourceFile, path: string, steps: number): Promise<void> {
  const { height, width, form } = file;
  const field = fieldMaker(file);
  if (form === "classic") {
    const { records, lat } = classicFile(path, { steps, height, width, sparse: true });
    const descriptor = openSync(path, "r+");
    const rows = Buffer.from(latitudes(file).buffer).swap64();
    writeSync(descriptor, rows, 0, rows.length, lat);
    for (let step = 0; step < steps; step++) {
      const bytes = Buffer.from(field(step).buffer).swap32();
      writeSync(descriptor, bytes, 0, bytes.length, records.first + step * records.bytes);
    }
    closeSync(descriptor);
    return;
  }
  const level = form === "plain" ? 0 : 1;
  const chunk = form === "blocks" ? [Math.min(20, steps), 91, 180] : [1, height, width];
  const axis = (name: string, units: string, data: ArrayLike<number>) => ({
    name,
    dimensions: [name],
    dtype: "float64" as const,
    data,
    attributes: { units },
  });
  const writer = await createNetcdf(path, {
    dimensions: { time: null, lat: height, lon: width },
    variables: [
      axis(
        "time",
        "hours since 2000-01-01",
        Float64Array.from({ length: steps }, (_, i) => 6 * i),
      ),
      axis("lat", "degrees_north", latitudes(file)),
      axis(
        "lon",
        "degrees_east",
        Float64Array.from({ length: width }, (_, i) => (360 * i) / width),
      ),
      {
        name: "t",
        dimensions: ["time", "lat", "lon"],
        dtype: "float32",
        attributes: { units: "K" },
        chunk,
        deflate: level,
        packed: [steps, height, width],
      },
    ],
  });
  const [depth, rows, columns] = chunk as [number, number, number];
  for (let step = 0; step < steps; step += depth) {
    const fields = Array.from({ length: Math.min(depth, steps - step) }, (_, k) => field(step + k));
    for (let r = 0; r < height; r += rows) {
      for (let c = 0; c < width; c += columns) {
        const block = new Float32Array(depth * rows * columns);
        for (const [k, values] of fields.entries())
          for (let i = 0; i < Math.min(rows, height - r); i++) {
            const from = (r + i) * width + c;
            const count = Math.min(columns, width - c);
            block.set(values.subarray(from, from + count), (k * rows + i) * columns);
          }
        await writer.writePacked("t", [[step, r, c]], [packChunk(block, level)]);
      }
    }
  }
  await writer.close();
}
