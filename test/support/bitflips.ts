// Files with one bit flipped: what a reader makes of them.
import { ClimaxError } from "../../src/errors.ts";

/**
 * Flips every `step`th bit of a file in turn and reads it. Anything but a value or a ClimaxError of kind "checkpoint" is a
 * bug, and thrown.
 *
 * @param bits  the first, and the one after the last
 * @returns     how many files were read, and how many refused
 */
export async function flipBits(
  whole: Uint8Array,
  bits: { readonly from: number; readonly to: number; readonly step: number },
  read: (bytes: Buffer) => unknown,
): Promise<{ read: number; refused: number }> {
  const outcomes = { read: 0, refused: 0 };
  for (let bit = bits.from; bit < bits.to; bit += bits.step) {
    const bytes = Buffer.from(whole);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    try {
      await read(bytes);
      outcomes.read++;
    } catch (error) {
      if (!(error instanceof ClimaxError && error.kind === "checkpoint")) throw error;
      outcomes.refused++;
    }
  }
  return outcomes;
}
