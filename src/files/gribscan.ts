// The fields of a GRIB file, found and checked by our own reading of the messages' structure (WMO Manual on Codes
// 306, FM 92): nothing that is cut off, or whose lengths contradict one another, reaches the C library.
import { ClimaxError } from "../errors.ts";
import { fieldsOfEdition1 } from "./gribedition1.ts";
import { fieldsOfEdition2 } from "./gribedition2.ts";
import { damaged, type GribField } from "./gribfield.ts";
import type { GribWindow } from "./gribwindow.ts";

/** Bytes that may lie before, between and behind messages, such as the headings of bulletins. */
const longestJunk = 512;

/**
 * The fields of the file in its order; reads headers only.
 * @throws ClimaxError "data" with the number and byte of the message that is cut off or contradicts itself.
 */
export async function* gribFields(window: GribWindow): AsyncGenerator<GribField> {
  const { path, size } = window;
  let message = 0;
  for (let from = 0; ; ) {
    const at = await nextMessage(window, from, message);
    if (at === undefined) return;
    message++;
    if (size - at < 16)
      throw damaged(path, message, at, `the file ends ${size - at} bytes after its beginning`);
    const edition = (await window.bytes(at, 8))[7]!;
    if (edition !== 1 && edition !== 2) {
      throw damaged(path, message, at, `it says edition ${edition}; there are GRIB 1 and 2`);
    }
    const read = edition === 1 ? fieldsOfEdition1 : fieldsOfEdition2;
    from = yield* read(window, at, message);
  }
}

/** The byte of the next message at or after `from`; undefined at the end of the file. */
async function nextMessage(window: GribWindow, from: number, before: number): Promise<number | undefined> {
  const { path, size } = window;
  const step = 8192;
  let junk = "";
  for (let at = from; at < size; at += step) {
    // Three bytes more, for a signature that lies across the border of two stretches.
    const text = (await window.bytes(at, Math.min(step + 3, size - at))).toString("latin1");
    const found = text.indexOf("GRIB");
    // Files are padded with zeros to whole blocks; a bulletin's heading is short, and no message.
    if (junk.length <= longestJunk) junk += text.slice(0, found < 0 ? step : found).replaceAll("\0", "");
    if (junk.length > longestJunk || junk.includes("7777")) {
      throw new ClimaxError(
        "data",
        `${path}: from byte ${from}, ${before === 0 ? "at its beginning" : `behind GRIB message ${before}`}, there is something that is no GRIB message`,
        "the beginning of a message is damaged or missing: fetch or write the file again; grib_copy IN OUT (ecCodes) keeps the sound ones",
      );
    }
    if (found >= 0) return at + found;
  }
  return undefined;
}
