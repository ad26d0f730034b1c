// Centres of HEALPix pixels (Gorski et al. 2005, ApJ 622, 759, section 5), for libraries that do not know the grid.

const degrees = 180 / Math.PI;

/** Latitude and longitude of each of 12 nside^2 pixels, degrees; longitudes in [0, 360). */
export function healpixCentres(
  nside: number,
  nested: boolean,
): { latitude: Float64Array<ArrayBuffer>; longitude: Float64Array<ArrayBuffer> } {
  const pixels = 12 * nside * nside;
  const latitude = new Float64Array(pixels);
  const longitude = new Float64Array(pixels);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const { ring, along } = nested ? placeOfNested(nside, pixel) : placeInRings(nside, pixel);
    latitude[pixel] = latitudeOfRing(nside, ring);
    longitude[pixel] = longitudeOnRing(nside, ring, along);
  }
  return { latitude, longitude };
}

/** Ring from 1 in the north to 4 nside - 1, and place on it from 0 at Greenwich eastward. */
interface Place {
  ring: number;
  along: number;
}

/** Pixels on a ring: 4, 8, ... up to 4 nside on the equatorial rings. */
const lengthOfRing = (nside: number, ring: number) => 4 * Math.min(ring, nside, 4 * nside - ring);

function latitudeOfRing(nside: number, ring: number): number {
  const fromPole = Math.min(ring, 4 * nside - ring);
  // In the caps z = 1 - i^2 / (3 nside^2); asin would lose digits near the pole, where z is close to 1.
  if (fromPole < nside) {
    const colatitude = 2 * Math.asin(fromPole / (Math.sqrt(6) * nside)) * degrees;
    return ring < 2 * nside ? 90 - colatitude : colatitude - 90;
  }
  return Math.asin((2 * (2 * nside - ring)) / (3 * nside)) * degrees;
}

function longitudeOnRing(nside: number, ring: number, along: number): number {
  const length = lengthOfRing(nside, ring);
  const inCap = Math.min(ring, 4 * nside - ring) < nside;
  // Every second equatorial ring begins at Greenwich itself; all others half a pixel from it.
  const shift = inCap || (ring - nside) % 2 === 0 ? 0.5 : 0;
  return (360 * (along + shift)) / length;
}

function placeInRings(nside: number, pixel: number): Place {
  const cap = 2 * nside * (nside - 1); // pixels north of the equatorial rings
  const pixels = 12 * nside * nside;
  if (pixel < cap) {
    const ring = ringOfCap(pixel);
    return { ring, along: pixel - 2 * ring * (ring - 1) };
  }
  if (pixel < pixels - cap) {
    const rest = pixel - cap;
    return { ring: nside + Math.floor(rest / (4 * nside)), along: rest % (4 * nside) };
  }
  const mirrored = pixels - 1 - pixel;
  const ring = ringOfCap(mirrored);
  return { ring: 4 * nside - ring, along: 4 * ring - 1 - (mirrored - 2 * ring * (ring - 1)) };
}

/** The ring i of which 2 i (i - 1) <= pixel < 2 i (i + 1). */
function ringOfCap(pixel: number): number {
  const guess = Math.floor((1 + Math.sqrt(1 + 2 * pixel)) / 2);
  if (2 * guess * (guess - 1) > pixel) return guess - 1;
  return 2 * guess * (guess + 1) <= pixel ? guess + 1 : guess;
}

/** Row of the southernmost corner of each base pixel, and its place round the globe, both in units of nside. */
const baseRow = [2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4];
const baseColumn = [1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7];

/** In the nested order x and y of a pixel within its base pixel are the even and odd bits of the index. */
function placeOfNested(nside: number, pixel: number): Place {
  const base = Math.floor(pixel / (nside * nside));
  let rest = pixel % (nside * nside);
  let [x, y] = [0, 0];
  for (let bit = 1; rest > 0; bit *= 2) {
    x += (rest % 2) * bit;
    y += (Math.floor(rest / 2) % 2) * bit;
    rest = Math.floor(rest / 4);
  }
  const ring = baseRow[base]! * nside - x - y - 1;
  const quarter = lengthOfRing(nside, ring) / 4;
  const shift = quarter < nside || (ring - nside) % 2 === 0 ? 0 : 1;
  const along = (baseColumn[base]! * quarter + x - y + shift - 1) / 2;
  return { ring, along: along < 0 ? along + 4 * quarter : along };
}
