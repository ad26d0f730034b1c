// NetCDF classic files of one float variable, made by hand: also ones of many GB, whose data are holes on the disk.
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";

export interface ClassicLayout {
  steps: number;
  height: number;
  width: number;
  /** Hours between steps. */
  every?: number;
  /** Writes no data but the times: all else reads as 0. */
  sparse?: boolean;
}

/** CDF-2 with t(time, lat, lon), lat from north to south, pole to pole; values by `fieldValue`. Returns where its latitudes and fields are. */
export function classicFile(
  path: string,
  { steps, height, width, every = 6, sparse = false }: ClassicLayout,
): { lat: number; records: { first: number; bytes: number } } {
  const words: Buffer[] = [];
  const int = (...list: number[]) => {
    for (const n of list) {
      const word = Buffer.alloc(4);
      word.writeInt32BE(n);
      words.push(word);
    }
  };
  const text = (value: string) => {
    int(value.length);
    words.push(Buffer.from(value.padEnd(Math.ceil(value.length / 4) * 4, "\0"), "latin1"));
  };
  const units = (value: string) => {
    int(12, 1);
    text("units");
    int(2);
    text(value);
  };
  const begins: number[] = [];
  const variable = (
    name: string,
    dimensions: number[],
    unit: string,
    type: 5 | 6,
    bytes: number,
    at: number,
  ) => {
    text(name);
    int(dimensions.length, ...dimensions);
    units(unit);
    int(type, bytes, 0, at);
    begins.push(at);
  };
  const field = height * width * 4;
  const record = 8 + field;
  const data = 1024;
  const records = data + 8 * height + 8 * width;
  words.push(Buffer.from("CDF\x02", "latin1"));
  int(steps, 10, 3);
  for (const [name, length] of [
    ["time", 0],
    ["lat", height],
    ["lon", width],
  ] as const) {
    text(name);
    int(length);
  }
  int(0, 0, 11, 4);
  variable("lat", [1], "degrees_north", 6, 8 * height, data);
  variable("lon", [2], "degrees_east", 6, 8 * width, data + 8 * height);
  variable("time", [0], "hours since 2000-01-01", 6, 8, records);
  variable("t", [0, 1, 2], "K", 5, field, records + 8);
  const descriptor = openSync(path, "w");
  const doubles = (list: number[]) => {
    const out = Buffer.alloc(8 * list.length);
    for (const [i, x] of list.entries()) out.writeDoubleBE(x, 8 * i);
    return out;
  };
  const put = (bytes: Buffer, position: number) => writeSync(descriptor, bytes, 0, bytes.length, position);
  put(Buffer.concat(words), 0);
  put(doubles(Array.from({ length: height }, (_, r) => 90 - (180 * r) / (height - 1))), data);
  put(doubles(Array.from({ length: width }, (_, c) => (360 * c) / width)), data + 8 * height);
  ftruncateSync(descriptor, records + steps * record);
  for (let step = 0; step < steps; step++) {
    put(doubles([step * every]), records + step * record);
    if (sparse) continue;
    const values = Buffer.alloc(field);
    for (let i = 0; i < height * width; i++) values.writeFloatBE(fieldValue(step, i), 4 * i);
    put(values, records + step * record + 8);
  }
  closeSync(descriptor);
  return { lat: data, records: { first: records + 8, bytes: record } };
}

/** Of step and place in the field; all different and not smooth. */
export function fieldValue(step: number, i: number): number {
  return Math.fround(250 + ((i * 7919 + step * 104_729) % 6007) / 100);
}
