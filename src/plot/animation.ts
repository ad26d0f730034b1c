/** Pictures one after the other as an animated GIF. */
import type { Picture } from "./map.ts";
import { canvasLibrary } from "./scenecanvas.ts";

/**
 * A GIF that repeats for ever, of as many colours as GIF has (256 in each frame). Frames are drawn when their turn
 * comes, so that one at a time is in memory.
 *
 * @param frames  all of one size
 * @param seconds each frame is shown for; GIF counts hundredths
 */
export async function encodeGif(frames: AsyncIterable<Picture>, seconds: number): Promise<Buffer> {
  const { GifEncoder } = canvasLibrary();
  let encoder: InstanceType<typeof GifEncoder> | undefined;
  for await (const frame of frames) {
    const { width, height } = frame;
    encoder ??= new GifEncoder(width, height, { repeat: 0, quality: 1 });
    const pixels = frame.rgba();
    const bytes = new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength);
    encoder.addFrame(bytes, width, height, { delay: Math.round(1000 * seconds) });
  }
  if (!encoder) throw new RangeError("an animation of no frames");
  return encoder.finish();
}
