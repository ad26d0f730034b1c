/** What a verdict rests on: the definition and the forecasts, and what to keep in mind. */
import type { ScoreDocument } from "../scores/scoredocument.ts";
import type { Part, ScoreIndex } from "./scoreindex.ts";
import { counted, digits, leadWords, listed, partWords, percentWords } from "./words.ts";

/** By whose definition, and of which forecasts. */
export function definitionSentence(document: ScoreDocument, index: ScoreIndex, part: Part): string {
  const { definition } = document;
  const leads = index.leads.filter((lead) => lead > 0);
  const [begun, times] =
    leads.length > 0 ? ["begun", document.initial_times] : ["valid", document.valid_times];
  const samples = samplesOf(document, part);
  const [least, most] = [Math.min(...samples), Math.max(...samples)];
  const many =
    samples.length === 0
      ? "forecasts"
      : `${least === most ? "" : `${least} to `}${leads.length > 0 ? `${counted(most, "forecast")} a lead` : counted(most, "field")}`;
  const [from, to] = times.map((time) => time.slice(0, 10)) as [string, string];
  const ahead =
    leads.length === 0
      ? ""
      : `, ${leads.length === 1 ? "" : `${leads[0]} to `}${leadWords(leads.at(-1)!)} ahead`;
  return (
    `Scored by the definition “${definition.name}” (${definition.description}), over ${partWords(part)}: ` +
    `${many}, ${begun} ${from === to ? `on ${from}` : `from ${from} to ${to}`}${ahead}.`
  );
}

/** Fewer forecasts than these, and limits from resampling them are themselves unsure. */
const few = 30;

/** One sentence for each thing that a reader of the verdict could get wrong. */
export function caveatsOf(document: ScoreDocument, index: ScoreIndex, part: Part): string[] {
  const { intervals, systems, synthetic } = document;
  const least = Math.min(...samplesOf(document, part));
  const cases = new Set(
    document.rows.map(({ metric, variable, lead_hours }) => `${metric} ${variable} ${lead_hours}`),
  ).size;
  const compared = index.systems.length > 1;
  const leadless = index.leads.every((lead) => lead === 0);
  const published = listed(index.published.map((name) => name.replace(/ \(published\)$/, "")));
  return [
    ...(synthetic ? ["The weather is simulated: nothing here says how a system does on real weather."] : []),
    ...(intervals === null && compared
      ? ["No confidence intervals were made, so whether a difference is more than chance cannot be said."]
      : []),
    ...(intervals !== null && compared && cases > 1
      ? [
          `A case is one variable${leadless ? "" : " at one lead"}. Each is tested by itself at ${percentWords(intervals.level)}: where ` +
            `there is no difference, about one case in ${digits(1 / (1 - intervals.level), 2)} still comes out as won or lost.`,
        ]
      : []),
    ...(least < few
      ? [
          `Only ${leadless ? counted(least, "field") : `${counted(least, "forecast")} of a lead`} entered: take every number with care.`,
        ]
      : []),
    ...systems
      .filter(({ members }) => members > 1)
      .map(
        ({ name, members }) =>
          `${name} is an ensemble of ${members} members: but for the scores of ensembles, the mean of them is scored.`,
      ),
    ...(published === ""
      ? []
      : [
          `What is marked published (${published}) was scored by others, on other forecasts or dates. It stands beside ` +
            "for orientation and has no part in this verdict.",
        ]),
  ];
}

/** The numbers of forecasts that there are, each once. */
function samplesOf(document: ScoreDocument, part: Part): number[] {
  const found = new Set<number>();
  for (const { source, samples, region, season } of document.rows) {
    const own = region === part.region && season === part.season;
    if (source === "measured" && samples !== null && own) found.add(samples);
  }
  return [...found];
}
