/** The error of a wind as a vector, and how a wind is called. */
import { rootOf } from "./deterministic.ts";
import type { MetricInfo } from "./metric.ts";
import type { AddCells } from "./perforecast.ts";

/** `u_component_of_wind_500`, `10m_u_component_of_wind`. */
const eastward = /^(10m_)?u_component_of_wind(_\d+)?$/;

/** The v of a wind whose u it is. */
export const northward = (eastward: string): string => eastward.replace("u_component", "v_component");

/**
 * Root-mean-square length of the error vector, in the order of root and mean that RMSE has: as in WeatherBench 2, of the
 * mean over cells of w ((f_u - y_u)^2 + (f_v - y_v)^2). A cell is scored where both components of the truth are known.
 * Rows go by the name of the wind: `wind_500`, `10m_wind`.
 */
export const windVectorRmse: MetricInfo = {
  title: "Wind vector RMSE",
  unit: "variable",
  better: "low",
  needs: ["other"],
  applies: (variable) => eastward.test(variable),
  rowVariable: (variable) => variable.replace("u_component_of_", ""),
  make: ({ definition }) => rootOf(definition.rmse, squaredLength),
};

const squaredLength: AddCells = ({ forecast, truth, other }, { weights, inside }, from, to, sums) => {
  if (other === undefined) throw new TypeError("the error of a wind vector needs the v component");
  const forecastV = other.forecast;
  const truthV = other.truth;
  const all = inside.length === weights.length;
  let total = 0;
  let sum = 0;
  for (let k = from; k < to; k++) {
    const i = all ? k : inside[k]!;
    const u = truth[i]!;
    const v = truthV[i]!;
    if (Number.isNaN(u) || Number.isNaN(v)) continue;
    const du = forecast[i]! - u;
    const dv = forecastV[i]! - v;
    const w = weights[i]!;
    total += w;
    sum += w * (du * du + dv * dv);
  }
  sums[0]! += total;
  sums[1]! += sum;
};
