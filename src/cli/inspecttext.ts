/** `climax inspect` for people: what a file holds, variable by variable, and what to do next. */

import type {
  InspectedSet,
  InspectedTimes,
  InspectedVariable,
  Inspection,
  Next,
  Refused,
  Together,
} from "../data/inspectschema.ts";
import { numberText } from "../data/numbertext.ts";
import { listed } from "../errors.ts";
import { bytesText } from "../files/bytes.ts";
import { table } from "./table.ts";

/** One file in full. */
export function fileText(file: Inspection): string {
  const heading = [file.format, file.bytes === null ? undefined : bytesText(file.bytes), file.title]
    .filter((part) => part !== undefined && part !== null)
    .join(", ");
  const facts = [
    ...file.grids.map(({ description, latitudes, longitudes, global, kind, variables }) => {
      const whose = file.grids.length > 1 ? ` (${listed(variables, 4)})` : "";
      const named = global && kind === "regular" ? `${description}, global` : description;
      const order = latitudes
        ? `; latitudes ${latitudes.first} to ${latitudes.last} (${latitudes.order}), longitudes ${longitudes!.first} to ${longitudes!.last}`
        : "";
      return ["grid", `${named}${order}${whose}`];
    }),
    ...(file.times.length > 0 ? file.times.map((times) => ["time", timesText(times)]) : [["time", "none"]]),
    ["dimensions", file.dimensions.map(dimensionText).join(", ")],
    ...(file.synthetic ? [["beware", "synthetic: from a simulated planet"]] : []),
  ];
  return sections([
    `${file.path}: ${heading}`,
    table(facts, { header: false }),
    variablesText(file.variables),
    unusedText(file),
    notesText(file.notes),
    nextText(file.next),
  ]);
}

/** Variables beyond this many that are simply not ClimaX's are named without more. */
const strangersListed = 8;

function unusedText({ unused, next }: Inspection): string {
  const stranger = ({ why }: Inspection["unused"][number]) => why.startsWith("ClimaX has no such variable");
  const strangers = unused.filter(stranger);
  const few = strangers.length <= strangersListed;
  const rows = unused
    .filter((one) => few || !stranger(one))
    .map(({ name, dimensions, units, climax, why, mend }) => [
      `  ${name}(${dimensions.join(", ")})`,
      units,
      [
        climax === null ? "" : `${climax}, but `,
        why.replace(/^\S+?(\([^)]*\))? (?=lies on|cannot be used)/, "it "),
        mend === null || next.commands.length > 0 ? "" : `; ${mend}`,
      ].join(""),
    ]);
  return [
    rows.length > 0 ? `Not used:\n${table(rows, { header: false })}` : "",
    few ? "" : `Not ClimaX's (${strangers.length}): ${strangers.map(({ name }) => name).join(", ")}`,
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

/** Several files: a row each, then how they join. */
export function filesText(files: readonly Inspection[]): string {
  const rows = files.map(({ path, bytes, variables, grids, times }) => [
    path,
    bytes === null ? "" : bytesText(bytes),
    listed([...new Set(variables.map(levelsText))], 3) || "none of ClimaX's",
    grids[0]?.description ?? "no grid",
    times[0] ? `${short(times[0].first)} to ${short(times[0].last)}` : "",
    times[0] ? `${times[0].steps}, ${times[0].step}` : "",
  ]);
  return table([["file", "size", "variables", "grid", "period", "steps"], ...rows], {
    align: ["left", "right"],
  });
}

export function togetherText(together: Together | Omit<Refused, "path">): string {
  if ("why" in together) return `Together: not one archive: ${together.why}\n  ${together.mend}`;
  const { files, variables, grid, times, notes, next } = together;
  return sections([
    `Together (${files} files): ${variables.length} fields on ${grid}${times ? `; ${timesText(times)}` : ""}`,
    variables.length > 0 ? `  ${listed(variables, 12)}` : "",
    notesText(notes),
    nextText(next),
  ]);
}

export function setText(set: InspectedSet): string {
  const { splits, variables } = set;
  return sections([
    `${set.path}: prepared set, ${set.dtype}, ${bytesText(set.bytes)}${set.synthetic ? ", SYNTHETIC" : ""}`,
    table(
      [
        ["grid", set.grid],
        ["time", `${set.step}, ${set.calendar} calendar`],
        [
          "checksums",
          set.checked
            ? "all files are as set.json says"
            : "sizes and shapes are right; SHA-256 not checked (--checksums)",
        ],
      ],
      { header: false },
    ),
    table(
      [
        ["split", "first", "last", "states"],
        ...splits.map((s) => [s.name, s.first, s.last, String(s.steps)]),
      ],
      {
        align: ["left", "left", "left", "right"],
      },
    ),
    table(
      [
        ["variable", "units", "mean", "std", ""],
        ...variables.map((v) => [
          v.name,
          v.units,
          numberText(v.mean),
          numberText(v.std),
          v.constant ? "constant" : "state",
        ]),
      ],
      { align: ["left", "left", "right", "right", "left"] },
    ),
    notesText(set.notes),
    nextText(set.next),
  ]);
}

function variablesText(variables: readonly InspectedVariable[]): string {
  if (variables.length === 0) return "No variable that ClimaX could use as it is.";
  const looked = variables.flatMap(({ values }) => (values ? [values] : []));
  const steps = Math.max(0, ...looked.map((values) => values.steps));
  const rows = variables.map((variable) => {
    const { name, climax, recognisedBy, fileUnits, units, levels, values, conversion } = variable;
    const number = (value: number | null | undefined) =>
      value === null || value === undefined ? "" : numberText(value);
    return [
      name,
      climax,
      levels.length === 0 ? "" : levelRange(levels),
      conversion === null || fileUnits === "" ? units : `${fileUnits} -> ${units}`,
      number(values?.min),
      number(values?.mean),
      number(values?.max),
      values ? missingText(values.missing, values.of) : "",
      `${recognisedBy}; ${storedText(variable)}`,
    ];
  });
  const heading = [
    "variable",
    "ClimaX name",
    "levels, hPa",
    "units",
    "min",
    "mean",
    "max",
    "missing",
    "by; stored as",
  ];
  const laid = table([heading, ...rows], {
    align: ["left", "left", "left", "left", "right", "right", "right", "right", "left"],
  });
  const conversions = variables.flatMap(({ name, conversion }) =>
    conversion === null ? [] : [`  ${name}: ${conversion}`],
  );
  const beyond = variables.flatMap(({ name, values, units }) =>
    values && values.outOfBounds > 0 ? [`  ${name}: ${boundsText(values)} ${units}`] : [],
  );
  const looks = Math.max(0, ...looked.map((values) => values.levels));
  const sample =
    looked.length === 0
      ? ""
      : `Values of ${steps === 1 ? "one step" : `${steps} steps`} and at most ${looks} level${looks > 1 ? "s" : ""} each, after conversion; the mean is weighted by area.`;
  return [
    laid,
    ...(conversions.length > 0 ? ["Conversions:", ...conversions] : []),
    ...(beyond.length > 0
      ? ["OUT OF BOUNDS, so units or variable may not be what they seem:", ...beyond]
      : []),
    sample,
  ]
    .filter((line) => line !== "")
    .join("\n");
}

function storedText({ dtype, packing, chunks, shape }: InspectedVariable): string {
  const packed = packing ? `${dtype} packed, steps of ${numberText(packing.scale)}` : dtype;
  if (!chunks || shape.every((n, axis) => chunks[axis] === n)) return packed;
  return `${packed}, chunks ${chunks.join(" x ")} of ${shape.join(" x ")}`;
}

function boundsText({ outOfBounds, of, bounds }: NonNullable<InspectedVariable["values"]>): string {
  return `${percent(outOfBounds, of)} of its values lie beyond ${numberText(bounds[0])} to ${numberText(bounds[1])}`;
}

const missingText = (missing: number, of: number) => (missing === 0 ? "0" : percent(missing, of));

/** Never "0 %" of what there is. */
function percent(part: number, of: number): string {
  const share = (100 * part) / of;
  return share < 0.1 ? "< 0.1 %" : `${share.toFixed(1)} %`;
}

function timesText({
  calendar,
  first,
  last,
  steps,
  step,
  missing,
  gaps,
  gapCount,
  repeated,
  backwards,
}: InspectedTimes): string {
  const said = [
    gapCount === 0 ? "no gaps" : gapText(gaps, gapCount, missing),
    repeated > 0 ? `${repeated} repeated` : "",
    backwards > 0 ? `${backwards} out of order` : "",
  ].filter(Boolean);
  if (steps === 1) return `${short(first)}, one step, ${calendar} calendar`;
  return `${short(first)} to ${short(last)}: ${steps} steps, ${step}, ${calendar} calendar, ${said.join(", ")}`;
}

function gapText(gaps: InspectedTimes["gaps"], count: number, missing: number): string {
  const [{ from, to }] = gaps as [InspectedTimes["gaps"][number]];
  const more = count > 1 ? ` and ${count - 1} more` : "";
  return `${missing} steps missing: ${short(from)} to ${short(to)}${more}`;
}

/** Without seconds that are none. */
const short = (time: string) => time.replace(/:00$/, "");

function dimensionText({ name, length, unlimited }: Inspection["dimensions"][number]): string {
  return `${name} ${length}${unlimited ? " (unlimited)" : ""}`;
}

const levelsText = ({ climax, levels }: InspectedVariable) =>
  levels.length === 0 ? climax : `${climax} (${levels.length} levels)`;

function levelRange(levels: readonly number[]): string {
  const sorted = levels.toSorted((a, b) => a - b);
  return sorted.length <= 7 ? sorted.join(" ") : `${sorted.length}: ${sorted[0]} to ${sorted.at(-1)}`;
}

function notesText(notes: readonly string[]): string {
  return notes.map((note) => `note: ${note}`).join("\n");
}

function nextText({ usable, why, commands }: Next): string {
  const state = usable ? "Ready" : "Next";
  return [`${state}: ${why}${commands.length > 0 ? ":" : "."}`, ...commands.map((line) => `  ${line}`)].join(
    "\n",
  );
}

const sections = (parts: readonly string[]) => parts.filter((part) => part !== "").join("\n\n");
