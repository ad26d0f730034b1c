// What a scaling study shows: its points and power laws as tables, CSV and figures.
import { panels } from "../plot/chart.ts";
import { powerLawAt } from "../scores/powerlaw.ts";
import type { Over, Quantity, ScalingFit, ScalingPoint } from "./studyscaling.ts";
import { table } from "./table.ts";

/** One line for a point: its size and its errors. */
export function describePoint(parameters: number, states: number, values: readonly string[]): string {
  return `${millions(parameters)}, ${states} states: ${values.join(", ")}`;
}

function millions(count: number): string {
  return `${count < 1e5 ? count : `${(count / 1e6).toPrecision(3)} M`} parameters`;
}

/** Points, one a line. */
export function pointTable(
  points: readonly ScalingPoint[],
  quantities: readonly Quantity[],
  baselines: readonly {
    readonly name: string;
    readonly values: Readonly<Record<string, number | undefined>>;
  }[],
): string {
  const heading = quantities.map(({ name, units }) => (name === "loss" ? "loss" : `${name} [${units}]`));
  const cells = (values: ScalingPoint["values"]) => quantities.map(({ name }) => digits(values[name]));
  return table(
    [
      ["width", "parameters", "data", "states", ...heading],
      ...points.map(({ width, parameters, fraction, states, values }) => [
        ...[String(width), String(parameters), `${100 * fraction} %`, String(states)],
        ...cells(values),
      ]),
      ...baselines.map(({ name, values }) => [name, "", "", "", ...cells(values)]),
    ],
    { align: ["left", "right", "right", "right", ...quantities.map(() => "right" as const)] },
  );
}

/** Laws, one a line. */
export function fitTable(fits: readonly ScalingFit[]): string {
  return table(
    [
      ["quantity", "over", "of", "exponent b", "std. error", "a", "c", "points"],
      ...fits.map(({ quantity, over, at, a, b, c, standardError, points }) => [
        ...[quantity, over, held(over, at), b.toFixed(4)],
        standardError === null ? "-" : standardError.toFixed(4),
        ...[digits(a), c === 0 ? "-" : digits(c), String(points)],
      ]),
    ],
    { align: ["left", "left", "left", "right", "right", "right", "right", "right"] },
  );
}

function held(over: Over, at: number): string {
  return over === "parameters" ? `${100 * at} % of the data` : `width ${at}`;
}

export function digits(value: number | undefined): string {
  return value === undefined ? "-" : value.toPrecision(4);
}

/** One line for each point and quantity. */
export function pointsCsv(
  points: readonly ScalingPoint[],
  quantities: readonly Quantity[],
  lead: number,
): string {
  const rows = points.flatMap(({ width, fraction, parameters, states, values }) =>
    quantities.map(({ name, units }) =>
      [
        ...[width, fraction, parameters, states, lead, name === "loss" ? "loss" : "rmse"],
        ...[name === "loss" ? "" : name, values[name] ?? "", units],
      ].join(","),
    ),
  );
  return `${["width,fraction,parameters,states,lead_hours,metric,variable,value,units", ...rows].join("\n")}\n`;
}

/** The errors over parameters or states, with the fitted laws, on logarithmic axes: a panel for each quantity. */
export function scalingFigure(
  over: Over,
  points: readonly ScalingPoint[],
  fits: readonly ScalingFit[],
  quantities: readonly Quantity[],
  { lead, synthetic, pretrained }: { lead: number; synthetic: boolean; pretrained: boolean },
): string | undefined {
  const own = fits.filter((fit) => fit.over === over);
  if (own.length === 0) return undefined;
  const same = over === "parameters" ? "fraction" : "width";
  const lines = [...new Set(own.map(({ at }) => at))];
  const charts = quantities.map(({ name, units }) => {
    const laws = lines.map((at) => own.find((fit) => fit.quantity === name && fit.at === at));
    return {
      title: name === "loss" ? "loss, normalised" : name,
      subtitle: `b = ${laws.map((law) => (law ? exponent(law) : "-")).join(", ")}`,
      x: { label: over === "parameters" ? "parameters" : "training states", log: true },
      y: { label: name === "loss" ? "mean squared error [1]" : `RMSE [${units}]`, log: true },
      series: lines.map((at, i) => {
        const drawn = points.flatMap((point) => {
          const y = point.values[name];
          return point[same] === at && y !== undefined ? [{ x: point[over], y }] : [];
        });
        const law = laws[i];
        return {
          name: held(over, at),
          points: drawn,
          line: law ? ("dashed" as const) : ("none" as const),
          ...(law ? { curve: curveOf(law, drawn) } : {}),
        };
      }),
    };
  });
  const offset = own.some(({ c }) => c > 0);
  return panels({
    title: `Error ${lead} h ahead by ${over === "parameters" ? "size of the model" : "amount of data"}${synthetic ? ", SYNTHETIC weather" : ""}`,
    subtitle:
      `held-out test period; ${pretrained ? "pretrained, then finetuned" : "trained from nothing"}; dashed: ` +
      `a N^-b${offset ? " + c" : ""} by least squares of the logarithm, b below each title with its standard error`,
    charts: charts.filter(({ series }) => series.some(({ points: drawn }) => drawn.length > 0)),
    columns: 3,
  });
}

function exponent({ b, standardError }: ScalingFit): string {
  return standardError === null ? b.toFixed(3) : `${b.toFixed(3)} ± ${standardError.toFixed(3)}`;
}

/** Straight on logarithmic axes but for an offset. */
function curveOf(law: ScalingFit, drawn: readonly { readonly x: number }[]) {
  const xs = drawn.map(({ x }) => Math.log(x));
  const [low, high] = [Math.min(...xs), Math.max(...xs)];
  const parts = law.c > 0 ? 24 : 1;
  return Array.from({ length: parts + 1 }, (_, i) => {
    const x = Math.exp(low + (i / parts) * (high - low));
    return { x, y: powerLawAt(law, x) };
  });
}
