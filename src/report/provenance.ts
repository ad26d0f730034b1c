/** Where the scores of a report come from: definition, dates, files, versions, machine, how limits were made. */
import type { ScoreDocument } from "../scores/scoredocument.ts";
import { escaped, type Html, paragraph, scrolling, tag } from "./html.ts";
import { counted, percentWords } from "./words.ts";

/** A list of facts, a table of files, and what is quoted. */
export function provenanceSection(document: ScoreDocument): Html {
  const { definition, intervals, provenance } = document;
  const [[initialFrom, initialTo], [validFrom, validTo]] = [document.initial_times, document.valid_times];
  const facts: [string, Html | undefined][] = [
    ["Definition", escaped(`${definition.name}: ${definition.description}`)],
    ["Its source", linked(definition.source)],
    ["Bench", escaped(document.bench)],
    ["Forecasts begun", escaped(`${initialFrom} to ${initialTo}`)],
    ["Valid", escaped(`${validFrom} to ${validTo}`)],
    ["Means over", document.average_hours === null ? undefined : escaped(`${document.average_hours} h`)],
    ["Grid", escaped(document.grid)],
    ["Anomalies from", document.anomalies === null ? undefined : escaped(document.anomalies)],
    ["Climatology", document.climatology === null ? undefined : escaped(document.climatology)],
    ["Truth", paths(document.truth)],
    ...document.systems.map(({ name, files, members, made }): [string, Html] => [
      `System ${name}`,
      files.length === 0
        ? "baseline"
        : `${members > 1 ? escaped(`${counted(members, "member")}: `) : ""}${paths(files)}${made.length === 0 ? "" : escaped(`, made by ${made.slice(0, mostMakers).join("; ")}`)}`,
    ]),
    ["Compared with", document.versus === null ? undefined : escaped(document.versus)],
    [
      "Confidence intervals",
      intervals === null
        ? "none were made"
        : escaped(
            `${percentWords(intervals.level)}, ${intervals.method}; ${counted(intervals.resamples, "resample")}, seed ` +
              `${intervals.seed}, ${intervals.block === null ? "block length chosen for each lead" : `blocks of ${intervals.block} initial times`}`,
          ),
    ],
    ["Weather", document.synthetic ? "SIMULATED" : undefined],
    ["Command", tag("code", {}, escaped(provenance.command))],
    ["Made", escaped(`${provenance.created} by climax ${provenance.version} on ${provenance.machine}`)],
  ];
  const list = facts.flatMap(([name, value]) =>
    value === undefined ? [] : [tag("dt", {}, escaped(name)), tag("dd", {}, value)],
  );
  return [tag("dl", {}, ...list), filesTable(document), citations(document)].join("");
}

const paths = (names: readonly string[]): Html =>
  names.map((name) => tag("code", {}, escaped(name))).join(", ");

/** Of a system that many made, the first. */
const mostMakers = 3;

/** More files than these are named in the JSON alone. */
const mostFiles = 200;

function filesTable({ provenance: { files } }: ScoreDocument): Html {
  if (files.length === 0) return "";
  const rows = files
    .slice(0, mostFiles)
    .map(({ path, bytes, sha256 }) =>
      tag(
        "tr",
        {},
        tag("th", { scope: "row" }, tag("code", {}, escaped(path))),
        tag("td", {}, bytes === null ? "–" : String(bytes)),
        tag("td", { class: "word" }, sha256 === null ? "–" : tag("code", {}, escaped(sha256))),
      ),
    );
  const heads = ["file", "bytes", "SHA-256"].map((head) => tag("th", { scope: "col" }, head));
  const left = files.length - mostFiles;
  return (
    tag("h3", {}, "Files") +
    scrolling(
      "Files",
      tag(
        "table",
        { class: "files" },
        tag("caption", {}, "What was read, and how to tell whether it is the same"),
        tag("thead", {}, tag("tr", {}, ...heads)),
        tag("tbody", {}, ...rows),
      ),
    ) +
    (left > 0 ? paragraph(`${counted(left, "more file")} are in scores.json.`) : "")
  );
}

/** Where quoted rows stand, for who wants to quote them too. */
function citations({ rows }: ScoreDocument): Html {
  const sources = new Map<string, Set<string>>();
  for (const { system, source } of rows) {
    if (source === "measured") continue;
    const where = source.replace(/^published: /, "");
    sources.set(where, (sources.get(where) ?? new Set()).add(system));
  }
  if (sources.size === 0) return "";
  const items = [...sources].map(([where, systems]) =>
    tag("li", {}, escaped(`${[...systems].join(", ")}: `), linked(where)),
  );
  return (
    tag("h3", {}, "Published scores") +
    paragraph("Quoted from the places below; cite these, not this page, for them.") +
    tag("ul", {}, ...items)
  );
}

/** Text in which a preprint's number leads to it. */
function linked(text: string): Html {
  return text
    .split(/(arXiv[: ]\d{4}\.\d{4,5})/)
    .map((part, i) =>
      i % 2 === 1
        ? tag("a", { href: `https://arxiv.org/abs/${part.slice(6)}`, rel: "noreferrer" }, escaped(part))
        : escaped(part),
    )
    .join("");
}
