// One pass over a GRIB file: its fields with their keys and grids. Headers only; most messages of an archive differ
// from one before in nothing but the date, and then the library need not be asked again.
import type { FileHandle } from "node:fs/promises";
import type { GribKeys } from "./eccodes.ts";
import type { GribRecord } from "./gribcube.ts";
import { damaged, type GribField } from "./gribfield.ts";
import { type GribGrid, makeGrid } from "./gribgrid.ts";
import { GribFailure, gribKeys } from "./gribprocess.ts";
import { gribFields } from "./gribscan.ts";
import { gribWindow } from "./gribwindow.ts";

export interface GribIndex {
  /** In the order of the file. */
  fields: GribField[];
  records: GribRecord[];
  grids: GribGrid[];
}

/** Messages asked about at once. */
const together = 64;

/** @throws ClimaxError "data" for what is damaged, and where the library is missing. */
export async function readIndex(path: string, handle: FileHandle, size: number): Promise<GribIndex> {
  const result: GribIndex = { fields: [], records: [], grids: [] };
  const gridNumbers = new Map<string, number>();
  const keysOf = keyStore(path);
  const settle = async (waiting: GribField[]): Promise<void> => {
    const found = await keysOf(waiting);
    waiting.forEach((field, i) => {
      const { keys, reference } = found[i]!;
      let grid = gridNumbers.get(field.gridKey);
      if (grid === undefined) {
        grid = result.grids.length;
        gridNumbers.set(field.gridKey, grid);
        result.grids.push(makeGrid(path, field, keys));
      }
      const valid = reference + (keys.valid - keys.reference);
      if (Number.isNaN(valid)) throw damaged(path, field.message, field.at, "its date is none");
      result.records.push({ index: result.fields.length, keys, grid, reference, valid });
      result.fields.push({ ...field, bare: nothing, gridKey: "" }); // of a million messages these would fill memory
    });
  };
  let waiting: GribField[] = [];
  for await (const field of gribFields(gribWindow(path, handle, size))) {
    waiting.push(field);
    if (waiting.length < together) continue;
    await settle(waiting);
    waiting = [];
  }
  await settle(waiting);
  return result;
}

const nothing = Buffer.alloc(0);

/** Asks for keys, and remembers them for messages that differ in the reference time only. */
function keyStore(path: string) {
  const exact = new Map<string, GribKeys>();
  /** By the message without its date; null where the library reads the date otherwise than we do. */
  const dateless = new Map<string, GribKeys | null>();
  const look = (field: GribField): { keys: GribKeys; reference: number } | undefined => {
    const shared = field.fixedSteps ? dateless.get(withoutDate(field)) : null;
    if (shared) return { keys: shared, reference: field.reference };
    const own = exact.get(field.bare.toString("latin1"));
    return own && { keys: own, reference: own.reference };
  };
  return async (fields: readonly GribField[]) => {
    for (;;) {
      const unknown = fields.filter((field) => !look(field));
      if (unknown.length === 0) return fields.map((field) => look(field)!);
      const key = (field: GribField) =>
        field.fixedSteps && dateless.get(withoutDate(field)) !== null
          ? withoutDate(field)
          : field.bare.toString("latin1");
      const asked = [...new Map(unknown.map((field) => [key(field), field])).values()];
      const answers = await gribKeys(
        path,
        asked.map(({ bare }) => bare),
      );
      asked.forEach((field, i) => {
        const answer = answers[i]!;
        if (answer instanceof GribFailure) throw damaged(path, field.message, field.at, answer.message);
        if (field.fixedSteps) {
          dateless.set(withoutDate(field), answer.reference === field.reference ? answer : null);
        }
        if (!field.fixedSteps || answer.reference !== field.reference) {
          exact.set(field.bare.toString("latin1"), answer);
        }
      });
    }
  };
}

function withoutDate({ bare, dateBytes }: GribField): string {
  const copy = Buffer.from(bare);
  for (let i = 0; i < dateBytes.length; i += 2) copy.fill(0, dateBytes[i], dateBytes[i + 1]);
  return copy.toString("latin1");
}
