/** Pictures one after the other as an animated GIF. */
import type { Picture } from "./map.ts";
import { canvasLibrary } from "./scenecanvas.ts";

/**
 * A GIF that repeats for ever, of as many colours as GIF has (256 in each frame). Frames are drawn when their turn
 * comes, so that one at a time is in memory.
 *
 * @param size     px; a frame that is less high, because its title has fewer lines, has white beneath
 * @param seconds  each frame is shown for; GIF counts hundredths
 */
export async function encodeGif(
  frames: AsyncIterable<Picture>,
  { width, height }: { readonly width: number; readonly height: number },
  seconds: number,
): Promise<Buffer> {
  const { GifEncoder } = canvasLibrary();
  // Of all pixels: of a sample, colours that only the bar has get lost.
  const encoder = new GifEncoder(width, height, { repeat: 0, quality: 1 });
  for await (const frame of frames) {
    if (frame.width !== width) throw new RangeError(`a frame of ${frame.width} px in a GIF of ${width}`);
    const pixels = new Uint8Array(4 * width * height).fill(255);
    pixels.set(frame.rgba().subarray(0, pixels.length));
    encoder.addFrame(pixels, width, height, { delay: Math.round(1000 * seconds) });
  }
  return encoder.finish();
}
