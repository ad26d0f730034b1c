// What an ablation shows: the errors of its rows as a table, CSV and figures.
import { barChart } from "../plot/bars.ts";
import { panels } from "../plot/chart.ts";
import { type AblationPlan, rmseOf } from "./studyablation.ts";
import type { Finished } from "./studyruns.ts";
import { digits } from "./studyscalingpage.ts";
import { table } from "./table.ts";

/** A row of the table, or a baseline that stands beneath them. */
export interface AblationLine {
  readonly name: string;
  /** Models that were trained for it; none for a baseline. */
  readonly models?: number;
  readonly values: readonly AblationValue[];
}

export interface AblationValue {
  readonly variable: string;
  readonly units: string;
  readonly lead: number;
  readonly rmse: number | undefined;
  /** To the RMSE of direct; undefined without that row. */
  readonly ratio: number | undefined;
}

const baselines = ["persistence", "climatology"] as const;

/** The rows that are done, in their order, and the baselines at the same times. */
export function linesOf(
  { cells, leads, variables }: AblationPlan,
  done: Readonly<Record<string, Finished>>,
): AblationLine[] {
  const finished = cells.flatMap(({ name }) => (done[name] ? [{ name, found: done[name] }] : []));
  const units = (variable: string) =>
    finished[0]?.found.scores.find((score) => score.variable === variable)?.units ?? "";
  const values = (found: Finished, system: string): AblationValue[] =>
    variables.flatMap((variable) =>
      leads.map((lead) => {
        const rmse = rmseOf(found, system, variable, lead);
        const direct = rmseOf(done.direct, "model", variable, lead);
        const ratio = rmse !== undefined && direct ? rmse / direct : undefined;
        return { variable, units: units(variable), lead, rmse, ratio };
      }),
    );
  return [
    ...finished.map(({ name, found }) => ({
      ...{ name, values: values(found, "model") },
      models: found.facts.models!,
    })),
    // Every row is scored at the same times: the baselines beside any of them are those of all.
    ...(finished[0] ? baselines.map((name) => ({ name, values: values(finished[0]!.found, name) })) : []),
  ];
}

/** RMSE and, in brackets, its ratio to that of direct. */
export function ablationTable(lines: readonly AblationLine[]): string {
  const places = lines[0]?.values ?? [];
  const heading = places.map(({ variable, units, lead }) => `${variable} [${units}] ${lead} h`);
  return table(
    [
      ["row", "models", ...heading],
      ...lines.map(({ name, models, values }) => [
        ...[name, models === undefined ? "" : String(models)],
        ...values.map(
          ({ rmse, ratio }) => `${digits(rmse)}${ratio === undefined ? "" : ` (${ratio.toFixed(2)})`}`,
        ),
      ]),
    ],
    { align: ["left", "right", ...places.map(() => "right" as const)] },
  );
}

/** One line for each row, variable and lead. */
export function ablationCsv(lines: readonly AblationLine[]): string {
  const rows = lines.flatMap(({ name, models, values }) =>
    values.map(({ variable, units, lead, rmse, ratio }) =>
      [name, models ?? "", variable, lead, "rmse", rmse ?? "", units, ratio ?? ""].join(","),
    ),
  );
  return `${["row,models,variable,lead_hours,metric,value,units,ratio_to_direct", ...rows].join("\n")}\n`;
}

const place = (synthetic: boolean) => `held-out test period${synthetic ? ", SYNTHETIC weather" : ""}`;

/** RMSE over lead, a panel for each variable. */
export function leadFigure(lines: readonly AblationLine[], synthetic: boolean): string {
  const [first] = lines as [AblationLine];
  const variables = [...new Set(first.values.map(({ variable }) => variable))];
  const leads = [...new Set(first.values.map(({ lead }) => lead))];
  return panels({
    title: "Error by lead time",
    subtitle: place(synthetic),
    charts: variables.map((variable) => ({
      title: variable,
      x: { label: "lead time [h]", ticks: leads },
      y: { label: `RMSE [${first.values.find((value) => value.variable === variable)!.units}]` },
      series: lines.map(({ name, values }) => ({
        name,
        line: baselines.includes(name as "persistence") ? ("dashed" as const) : ("solid" as const),
        points: values.flatMap((value) =>
          value.variable === variable && value.rmse !== undefined ? [{ x: value.lead, y: value.rmse }] : [],
        ),
      })),
    })),
    columns: 3,
  });
}

/** RMSE of each row as a multiple of that of direct; undefined without that row. */
export function ratioFigure(lines: readonly AblationLine[], synthetic: boolean): string | undefined {
  const rows = lines.filter(({ name, models }) => models !== undefined && name !== "direct");
  const places = lines[0]?.values ?? [];
  if (rows.length === 0 || rows.every(({ values }) => values.every(({ ratio }) => ratio === undefined))) {
    return undefined;
  }
  return barChart({
    title: "Error of each row as a multiple of direct's",
    subtitle: `RMSE over RMSE of direct; ${place(synthetic)}`,
    y: { label: "ratio of RMSE" },
    groups: places.map(({ variable, lead }) => `${variable} ${lead} h`),
    series: rows.map(({ name, values }) => ({ name, values: values.map(({ ratio }) => ratio ?? null) })),
    reference: { value: 1, label: "direct" },
    width: Math.max(720, 150 * places.length),
  });
}
