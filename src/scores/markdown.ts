/** Scores as Markdown for a paper: pipe tables, which GitHub and pandoc read alike, each with a caption that stands alone. */
import type { ScoreDocument } from "./scoredocument.ts";
import { type GroupVariable, type ScoreGroup, type ShownScore, scoreGroups } from "./scoregroups.ts";
import { percent } from "./tables.ts";

/** More leads than this stand one below another, and systems side by side. */
const leadsAcross = 7;

/** A table for each metric, region and season, and where the scores come from. */
export function toMarkdown(document: ScoreDocument): string {
  const { provenance, notes } = document;
  const tables = scoreGroups(document).flatMap((group) => [
    `## ${escaped(group.title)}`,
    caption(document, group),
    pipes(group.leads.length > leadsAcross ? systemsAcross(group) : byLead(group)),
  ]);
  const files = provenance.files.map(
    ({ path, sha256 }) => `- ${escaped(path)}${sha256 === null ? "" : ` (SHA-256 ${sha256})`}`,
  );
  const parts = [
    `# Scores of ${escaped(document.bench)}`,
    ...tables,
    "## Where these scores come from",
    `climax ${provenance.version}, ${provenance.created}, ${provenance.machine || "machine unknown"}; grid: ${escaped(document.grid)}.`,
    `    ${provenance.command}`,
    ...(files.length > 0 ? [files.join("\n")] : []),
    ...(notes.length > 0 ? [notes.map((note) => `- ${escaped(note)}`).join("\n")] : []),
  ];
  return `${parts.join("\n\n")}\n`;
}

/** What a reader must know of a table without the text around it. */
function caption(document: ScoreDocument, group: ScoreGroup): string {
  const { definition, intervals, versus } = document;
  const shown = group.variables.flatMap((variable) =>
    variable.systems.flatMap(({ name }) => group.leads.flatMap((lead) => variable.score(name, lead) ?? [])),
  );
  const counts = new Set(group.leads.map((lead) => group.samples(lead)).filter((count) => count !== ""));
  const published = new Map<string, Set<string>>(); // systems by source
  for (const { row } of shown) {
    if (row.source === "measured") continue;
    const systems = published.get(row.source) ?? new Set();
    published.set(row.source, systems.add(row.system.replace(/ \(published\)$/, "")));
  }
  const sentences = [
    `**${escaped(group.title)}** by the definition *${group.definition}* (${escaped(definition.description)})`,
    `Initial times ${days(document.initial_times)}, valid times ${days(document.valid_times)}${counts.size === 1 ? `, ${[...counts][0]} forecasts` : ""}`,
    ...(document.average_hours === null
      ? []
      : [`Means over ${document.average_hours} h from the valid time on`]),
    ...(document.anomalies !== null && group.metric === "acc"
      ? [`Anomalies from ${escaped(document.anomalies)}`]
      : []),
    ...(shown.some(({ best }) => best) ? ["**Bold**: the best of what was measured"] : []),
    ...(intervals && shown.some(({ limits }) => limits)
      ? [`Behind a score its ${percent(intervals.level)} confidence limits: ${escaped(intervals.method)}`]
      : []),
    ...(shown.some(({ verdict }) => verdict)
      ? [
          `${signs.better} better, ${signs.worse} worse than ${escaped(versus!)}: the ${percent(intervals?.level)} limits ` +
            "of the difference on the same forecasts exclude zero",
        ]
      : []),
    ...[...published].map(
      ([source, systems]) =>
        `Published: ${[...systems].map(escaped).join(", ")} (${escaped(source.replace(/^published: /, ""))})`,
    ),
    ...(document.synthetic ? ["**Simulated weather**: these scores say nothing of the real atmosphere"] : []),
  ];
  return `${sentences.join(". ")}.`;
}

const signs = { better: "†", worse: "‡" } as const;

type Row = readonly string[];

/** A row for each variable and system, a column for each lead. */
function byLead(group: ScoreGroup): Row[] {
  const cell = cellText(group);
  const counts = group.leads.map((lead) => group.samples(lead));
  return [
    ["variable", "system", ...group.leads.map((lead) => `${lead} h`)],
    ...group.variables.flatMap((variable) =>
      variable.systems.map(({ name, label }, line) => [
        line > 0 ? "" : escaped(variable.label),
        escaped(label),
        ...group.leads.map((lead) => cell(variable, name, lead)),
      ]),
    ),
    ...(new Set(counts).size > 1 ? [["forecasts", "", ...counts]] : []),
  ];
}

/** A row for each variable and lead, a column for each system. */
function systemsAcross(group: ScoreGroup): Row[] {
  const cell = cellText(group);
  const systems = new Map(
    group.variables.flatMap((variable) => variable.systems.map(({ name, label }) => [name, label])),
  );
  const counts = group.leads.map((lead) => group.samples(lead));
  const counted = new Set(counts).size > 1;
  return [
    ["variable", "lead", ...[...systems.values()].map(escaped), ...(counted ? ["forecasts"] : [])],
    ...group.variables.flatMap((variable) =>
      group.leads.map((lead, line) => [
        line > 0 ? "" : escaped(variable.label),
        `${lead} h`,
        ...[...systems.keys()].map((system) => cell(variable, system, lead)),
        ...(counted ? [counts[line]!] : []),
      ]),
    ),
  ];
}

/** Limits are written as ± where those of the whole table lie about as far below a score as above it, else as a range. */
function cellText(group: ScoreGroup) {
  const all = group.variables.flatMap((variable) =>
    variable.systems.flatMap(({ name }) => group.leads.flatMap((lead) => variable.score(name, lead) ?? [])),
  );
  const even = all.every(({ row }) => {
    if (row.value === null || row.low === null || row.high === null) return true;
    const [below, above] = [row.value - row.low, row.high - row.value];
    return Math.abs(above - below) <= 0.25 * Math.max(above, below);
  });
  return (variable: GroupVariable, system: string, lead: number): string => {
    const shown = variable.score(system, lead);
    if (shown === undefined) return "";
    const score = shown.best ? `**${shown.text}**` : shown.text;
    const limits = limitsText(shown, even);
    return [score, ...(limits ? [limits] : []), ...(shown.verdict ? [signs[shown.verdict]] : [])].join(" ");
  };
}

function limitsText({ row, text, limits }: ShownScore, even: boolean): string | undefined {
  if (limits === undefined || row.value === null) return undefined;
  if (!even) return `(${limits[0]} to ${limits[1]})`;
  const distance = Math.max(row.value - row.low!, row.high! - row.value);
  const places = text.split(".")[1]?.length ?? 0;
  // One digit at least: "± 0.000" would say that nothing is uncertain.
  const digits = distance > 0 ? Math.max(places, Math.ceil(-Math.log10(distance))) : places;
  return `± ${distance.toFixed(Math.min(digits, 20))}`;
}

/** The first two columns are names, the others numbers. */
function pipes([head, ...rows]: readonly Row[]): string {
  const rule = head!.map((_, column) => (column < 2 ? ":--" : "--:"));
  return [head!, rule, ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

/** What Markdown would take for its own, as it is. */
const escaped = (text: string) => text.replace(/[\\`*|<>~^$]/g, "\\$&");

const days = (times: readonly string[]) => times.map((time) => time.replace(/:00$/, "")).join(" to ");
