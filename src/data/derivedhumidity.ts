// Relative from specific humidity and back, as the IFS and so ERA5 define it: saturation over water above 0 °C, over ice
// below -23 °C, and between them a blend of both (IFS documentation Cy41r2, part IV, section 7.4.2). CMIP6's hur takes ice
// up to 0 °C instead: by up to 3.5 % of its value higher between.

/** Gas constants of dry air over water vapour: 287.0597 and 461.5250 J kg-1 K-1, the IFS's. */
const epsilon = 287.0597 / 461.525;
/** Triple point, K, and where all cloud is ice, 23 K below it. */
const [triple, allIce] = [273.16, 250.16];

/**
 * Tetens' formula with Buck's (1981) coefficients, Pa at `temperature` K. Within 0.3 % of the Smithsonian tables where
 * the blend takes them: water from -23 to 40 °C, ice from -40 to 0 °C.
 */
const overWater = (temperature: number) =>
  611.21 * Math.exp((17.502 * (temperature - triple)) / (temperature - 32.19));
const overIce = (temperature: number) =>
  611.21 * Math.exp((22.587 * (temperature - triple)) / (temperature + 0.7));

/** Saturation vapour pressure, Pa, at a temperature in K, over water, ice or the IFS's blend of both. */
export function saturationPressure(
  temperature: number,
  over: "water" | "ice" | "mixed phase" = "mixed phase",
): number {
  if (over === "water") return overWater(temperature);
  if (over === "ice") return overIce(temperature);
  const above = Math.min(Math.max(temperature - allIce, 0), triple - allIce) / (triple - allIce);
  const liquid = above ** 2;
  if (liquid === 0) return overIce(temperature);
  return liquid * overWater(temperature) + (1 - liquid) * overIce(temperature);
}

/** %, from kg kg-1, K and Pa. Neither cut at 0 nor at 100: ERA5's is not. */
export function relativeHumidity(specific: number, temperature: number, pressure: number): number {
  const vapour = (pressure * specific) / (epsilon + (1 - epsilon) * specific);
  return (100 * vapour) / saturationPressure(temperature);
}

/** kg kg-1, from %, K and Pa; NaN where that much vapour would exceed the pressure. */
export function specificHumidity(relative: number, temperature: number, pressure: number): number {
  const vapour = (relative / 100) * saturationPressure(temperature);
  return vapour < pressure ? (epsilon * vapour) / (pressure - (1 - epsilon) * vapour) : Number.NaN;
}
