/** Spectra and rank histograms as small charts, for the first, the middle and the last lead. */
import { barChart } from "../plot/bars.ts";
import { lineChart, type Series } from "../plot/chart.ts";
import type { Profile } from "../scores/scoredocument.ts";
import type { Line } from "./curves.ts";
import { escaped, type Html, paragraph, tag, unbroken } from "./html.ts";
import { caseWords, digits, metricTitle, withUnit } from "./words.ts";

/** More charts than these of one metric are left out, and said. */
const mostCharts = 36;

/** First, middle and last. */
export function threeOf<T>(values: readonly T[]): T[] {
  return [...new Set([0, Math.floor((values.length - 1) / 2), values.length - 1])].flatMap(
    (i) => values[i] ?? [],
  );
}

/** Sections of figures, one for each metric. */
export function profileFigures(profiles: readonly Profile[], lines: readonly Line[], region: string): Html {
  const regional = profiles.filter((profile) => profile.region === region);
  const shown =
    regional.length > 0 ? regional : profiles.filter(({ region }) => region === profiles[0]!.region);
  return unique(shown.map(({ metric }) => metric))
    .map((metric) => {
      const own = shown.filter((profile) => profile.metric === metric);
      const places = unique(own.map(({ variable }) => variable)).flatMap((variable) => {
        const of = own.filter((profile) => profile.variable === variable);
        const leads = unique(of.map(({ lead_hours }) => lead_hours)).toSorted((a, b) => a - b);
        return threeOf(leads).map((lead) => of.filter(({ lead_hours }) => lead_hours === lead));
      });
      const several = new Set(own.map(({ system }) => system)).size > 1;
      const ranks = own.every(({ axis }) => axis.name === "rank");
      const charts = ranks
        ? places.flatMap((place) => place.map((profile) => histogram(profile, several)))
        : places.map((place) => spectrum(place, lines));
      const kept = charts.filter((chart) => chart !== "");
      if (kept.length === 0) return "";
      const left = kept.length - mostCharts;
      return tag(
        "section",
        {},
        tag("h3", {}, escaped(metricTitle(metric))),
        paragraph(ranks ? rankWords : spectrumWords),
        tag("div", { class: "charts" }, ...kept.slice(0, mostCharts).map((svg) => tag("figure", {}, svg))),
        left > 0
          ? paragraph(`${left} more of these charts have no room here; scores.json has their numbers.`)
          : "",
      );
    })
    .join("");
}

const rankWords =
  "How often the truth has that many members beneath it. Flat (the dashed line) is right; a U says that the members " +
  "are too much alike, a hill that they differ too much, a slope that they are too high or too low.";
const spectrumWords =
  "Energy by the number of waves around a circle of latitude, forecast and truth. A forecast that lies beneath the truth " +
  "at the right end is blurred: it lacks the small scales.";

function spectrum(place: readonly Profile[], lines: readonly Line[]): string {
  const [{ variable, lead_hours: lead, axis, units, metric }] = place as [Profile];
  // Neither nought waves nor nought energy has a place on an axis of logarithms.
  const points = (xs: readonly number[], ys: readonly number[]) =>
    xs.flatMap((x, i) => (x > 0 && ys[i]! > 0 && Number.isFinite(ys[i]) ? [{ x, y: ys[i]! }] : []));
  const truth: Series = {
    name: "truth",
    style: 6,
    marker: false,
    points: points(axis.values, place[0]!.truth),
  };
  const forecasts = place.map((profile): Series => {
    const style = lines.find(({ name }) => name === profile.system)?.style ?? 0;
    return {
      name: profile.system,
      style,
      marker: false,
      line: "dashed",
      points: points(profile.axis.values, profile.values),
    };
  });
  const series = [truth, ...forecasts].filter((one) => one.points.length > 1);
  if (series.length === 0) return "";
  const end = place.map(({ system, values, truth }) => {
    const [value, true_] = [values.at(-1)!, truth.at(-1)!];
    return `${system} has ${digits(value / true_)} of the truth's at the highest wavenumber`;
  });
  return lineChart({
    title: titleOf(variable, lead),
    x: { label: axis.name, log: true },
    y: { label: withUnit("energy", units), log: true },
    series,
    description: `${metricTitle(metric)} of ${titleOf(variable, lead)}: ${end.join("; ")}.`,
    width: 300,
    height: 280,
  });
}

function histogram(profile: Profile, named: boolean): string {
  const { system, variable, lead_hours: lead, axis, values, truth, metric } = profile;
  if (values.length === 0 || values.some((value) => !Number.isFinite(value))) return "";
  const every = Math.ceil(values.length / 12);
  const [first, last] = [values[0]!, values.at(-1)!];
  return barChart({
    title: `${named ? `${system}: ` : ""}${titleOf(variable, lead)}`,
    y: { label: "share of cells" },
    groups: axis.values.map((rank, i) => (i % every === 0 ? String(rank) : "")),
    series: [{ name: system, values }],
    digits: 2,
    reference: { value: truth[0]!, label: "flat" },
    description:
      `${metricTitle(metric)} of ${system}, ${titleOf(variable, lead)}: ${digits(first)} in the lowest rank, ` +
      `${digits(last)} in the highest, ${digits(truth[0]!)} would be flat.`,
    width: 300,
    height: 240,
  });
}

const titleOf = (variable: string, lead: number) => unbroken(caseWords(variable, lead));

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];
