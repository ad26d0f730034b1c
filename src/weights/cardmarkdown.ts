// A model card as Markdown, as model hubs take it: YAML front matter, then sections. Whatever comes from a file stands
// in it as text, never as markup.
import { basename } from "node:path";
import { stringify } from "yaml";
import { numberText } from "../data/numbertext.ts";
import { bytesText } from "../files/bytes.ts";
import type { CardScores, ModelCard } from "./cardschema.ts";
import { trainingText } from "./cardtraining.ts";
import { escaped, list, pipes } from "./markdowntext.ts";

/** Rows of scores that stand in the Markdown; all of them are in the JSON. */
const rowsShown = 80;

/** The Markdown of a card. Ends in a newline. */
export function cardMarkdown(card: ModelCard): string {
  const parts = [
    frontMatter(card),
    `# ${escaped(card.name)}`,
    ...(card.synthetic
      ? ["> **SYNTHETIC**: trained on simulated weather. Nothing it predicts is about the real atmosphere."]
      : []),
    overview(card),
    "## Intended use",
    list(card.intendedUse),
    "## Limits",
    list(card.limits),
    "## Variables",
    ...variablesText(card),
    "## Training",
    ...trainingText(card),
    "## Scores",
    ...scoresText(card),
    "## The file",
    fileText(card),
    "## How to load it",
    ...card.loading.flatMap(({ with: tool, language, code }) => [
      `${escaped(tool)}:`,
      fenced(language, code),
    ]),
    ...(card.notes.length > 0 ? ["## What was done in exporting it", list(card.notes)] : []),
    "## Citation",
    "Whoever uses these weights cites the paper that the network comes from:",
    fenced("bibtex", card.citation),
    `Written by climax ${escaped(card.madeBy.version)} on ${escaped(card.created)}:`,
    fenced("sh", card.madeBy.command),
  ];
  return `${parts.join("\n\n")}\n`;
}

/** Licences that model hubs know by these names. */
const knownLicenses = new Set([
  ...[
    "mit",
    "apache-2.0",
    "bsd",
    "bsd-2-clause",
    "bsd-3-clause",
    "bsd-3-clause-clear",
    "isc",
    "zlib",
    "unlicense",
  ],
  ...["cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"],
  ...["cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"],
  ...[
    "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0",
    "gpl",
    "gpl-2.0",
    "gpl-3.0",
    "lgpl",
    "lgpl-2.1",
  ],
  ...[
    "lgpl-3.0",
    "agpl-3.0",
    "mpl-2.0",
    "epl-1.0",
    "epl-2.0",
    "eupl-1.1",
    "eupl-1.2",
    "openrail",
    "etalab-2.0",
  ],
]);

function frontMatter({ license, synthetic, model, file }: ModelCard): string {
  const known = license?.toLowerCase() ?? "";
  const licensed =
    license === null
      ? { license: "unknown" }
      : knownLicenses.has(known)
        ? { license: known }
        : { license: "other", license_name: license };
  const tags = [
    ...["weather", "climate", "climax", "arxiv:2301.10343"],
    ...(file.format === "onnx" ? ["onnx"] : []),
    ...(model.network === "ClimaX" ? [] : ["baseline"]),
    ...(synthetic ? ["synthetic"] : []),
  ];
  const library = file.format === "onnx" ? "onnx" : "climax";
  return `---\n${stringify({ ...licensed, library_name: library, tags })}---`;
}

function overview(card: ModelCard): string {
  const { model, grid, leads, license, authors } = card;
  return pipes(
    ["", ""],
    [
      [
        "network",
        `${escaped(model.network)}: ${escaped(model.sizes)}; ${millions(model.parameters)} parameters`,
      ],
      ["task", escaped(model.task)],
      ["inputs", card.inputs.map(escaped).join(", ")],
      ["outputs", card.outputs.map(escaped).join(", ")],
      ["lead times", escaped(leads.description)],
      [
        "grid",
        `${escaped(grid.description)}${grid.region === null ? "" : `; region ${escaped(grid.region)}`}`,
      ],
      ["licence", license === null ? "**not stated**: ask whoever gave you the file" : escaped(license)],
      ...(authors === null ? [] : [["authors", escaped(authors)]]),
      ["data", card.synthetic ? "**SYNTHETIC**" : dataWords(card)],
    ],
  );
}

function dataWords({ training }: ModelCard): string {
  const sources = [...new Set(training.flatMap(({ data }) => data.flatMap(({ source }) => source ?? [])))];
  return sources.length === 0 ? "not stated" : sources.map(escaped).join("; ");
}

function variablesText({ variables, unused }: ModelCard): string[] {
  const changed = variables.some(({ target }) => target !== null);
  const rows = variables.map(({ name, units, mean, std, input, output, target }) => [
    escaped(name),
    [...(input ? ["in"] : []), ...(output ? ["out"] : [])].join(", "),
    escaped(units),
    numberText(mean),
    numberText(std),
    ...(changed
      ? target === null
        ? ["", ""]
        : [`${numberText(target.mean)} ${escaped(target.units)}`, numberText(target.std)]
      : []),
  ]);
  return [
    "The network sees (x - mean) / std of each field in these units, and gives its outputs likewise.",
    pipes(
      ["variable", "", "units", "mean", "std", ...(changed ? ["mean as output", "std as output"] : [])],
      rows,
      3,
    ),
    ...(unused.length > 0
      ? [
          `The network knows ${unused.length} more, which neither enter nor leave: ${unused.map(escaped).join(", ")}.`,
        ]
      : []),
  ];
}

function scoresText({ scores }: ModelCard): string[] {
  if (scores.length === 0) {
    return [
      "None were given. `climax evaluate --json scores.json`, then `climax convert --scores scores.json`, puts them here.",
    ];
  }
  return scores.flatMap(scoreText);
}

function scoreText(scores: CardScores): string[] {
  const { definition, intervals, rows, bench } = scores;
  const others = [...new Set(rows.flatMap(({ beside }) => beside.map((one) => one.with)))];
  const shown = rows.slice(0, rowsShown);
  const cells = shown.map((row) => [
    escaped(row.variable),
    `${row.leadHours} h`,
    escaped(row.metric),
    [row.region, ...(row.season === "all" ? [] : [row.season])].map(escaped).join(", "),
    `${row.value === null ? "none" : numberText(row.value)}${
      row.low === null || row.high === null ? "" : ` (${numberText(row.low)} to ${numberText(row.high)})`
    }`,
    row.units === "1" ? "" : escaped(row.units),
    ...others.map((name) => {
      const one = row.beside.find((beside) => beside.with === name);
      return one ? `${one.value === null ? "" : `${numberText(one.value)}: `}${one.verdict}` : "";
    }),
  ]);
  const heading = [
    "variable",
    "lead",
    "score",
    "where",
    "this model",
    "units",
    ...others.map((name) => escaped(name)),
  ];
  const [from, to] = scores.initialTimes;
  const said = [
    `Bench ${escaped(bench)}, definition *${escaped(definition.name)}*: ${escaped(definition.description)} (${escaped(definition.source)})`,
    `Initial times ${escaped(from)} to ${escaped(to)}, on ${escaped(scores.grid)}`,
    ...(scores.truth.length > 0 ? [`Truth: ${scores.truth.map(escaped).join(", ")}`] : []),
    ...(scores.climatology === null ? [] : [`Climatology: ${escaped(scores.climatology)}`]),
    ...(intervals === null ? ["No confidence limits"] : [`In brackets limits: ${escaped(intervals)}`]),
    ...(others.length > 0
      ? [
          '"better" and "worse" are this model beside another by a paired test; numbers without a test decide nothing',
        ]
      : []),
  ];
  return [
    `### ${escaped(basename(scores.path))}`,
    `${said.join(". ")}.`,
    ...(scores.synthetic
      ? ["> **SYNTHETIC**: scores on simulated weather say nothing of the real atmosphere."]
      : []),
    pipes(heading, cells, 4),
    ...(rows.length > shown.length
      ? [`${rows.length - shown.length} further scores are in the JSON beside this card.`]
      : []),
    ...(scores.made.length > 0
      ? [
          `The forecasts were made by: ${scores.made.map(escaped).join("; ")}. That this is the model of this card is said by whoever gave the scores.`,
        ]
      : []),
    ...(scores.notes.length > 0 ? [list(scores.notes)] : []),
    `Scored by climax ${escaped(scores.climax)} on ${escaped(scores.created)}:`,
    fenced("sh", scores.command),
  ];
}

function fileText({ file, model }: ModelCard): string {
  const table = pipes(
    ["", ""],
    [
      ["name", escaped(file.name)],
      ["format", formats[file.format]],
      ["size", `${bytesText(file.bytes)} (${file.bytes} bytes)`],
      ["SHA-256", `\`${file.sha256.replaceAll(/[^0-9a-f]/g, "")}\``],
      ["tensors", String(file.tensors)],
    ],
  );
  const rows = model.parts.map(({ part, tensors, parameters }) => [
    escaped(part),
    String(tensors),
    parameters.toLocaleString("en"),
  ]);
  return [
    table,
    pipes(
      ["part", "tensors", "parameters"],
      [...rows, ["**all**", "", model.parameters.toLocaleString("en")]],
      1,
    ),
  ].join("\n\n");
}

const formats = {
  safetensors: "safetensors, float32, under the reference's names; all that climax needs is in its metadata",
  ckpt: "PyTorch (zip), float32, under the reference's names",
  onnx: "ONNX, the forward pass",
} as const;

function millions(count: number): string {
  return count >= 1e6 ? `${(count / 1e6).toFixed(2)} M` : count.toLocaleString("en");
}

/** A block of code whose fence is longer than any in it. */
function fenced(language: string, code: string): string {
  const longest = Math.max(2, ...[...code.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${language}\n${code}\n${fence}`;
}
