/** `climax download`: what to fetch for a training set, and fetches what is plain HTTP. */

import { statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { fetchFiles, nameOfUrl, withinPeriod } from "../data/download.ts";
import { type DownloadPlan, planDownload, type RemoteFile } from "../data/downloadplan.ts";
import { searchEsgf } from "../data/esgf.ts";
import { makeFolder } from "../data/folder.ts";
import { type Source, sourceNamed, sourceNames, sourceSchema } from "../data/sources.ts";
import { ClimaxError } from "../errors.ts";
import { bytesText } from "../files/bytes.ts";
import { isUrl } from "../files/httprequest.ts";
import { type Context, command } from "./command.ts";
import { readConfigFile } from "./configfile.ts";
import { jsonSchema } from "./flags.ts";
import { interruptible } from "./interrupt.ts";
import { explain } from "./problems.ts";
import { progress } from "./progress.ts";
import { table } from "./table.ts";

const config = z.strictObject({
  source: z
    .string()
    .optional()
    .describe("a source that --list names, a YAML file of a source, or the address of a file"),
  variables: z
    .array(z.string())
    .min(1)
    .optional()
    .describe("what to fetch, e.g. geopotential_500,t2m; default: all that the paper took"),
  levels: z.array(z.number().positive()).min(1).optional().describe("hPa, of variables without a level"),
  period: z.string().optional().describe("years to fetch: 1979..2018; default: all"),
  res: z
    .number()
    .positive()
    .optional()
    .describe("spacing of the grid in the end, degrees; 5.625 unless given"),
  output: z
    .string()
    .optional()
    .describe("folder to fetch into, made when it is not there; of one address the file")
    .meta({ short: "o", value: "PATH" }),
  list: z.boolean().default(false).describe("list the sources, or what the one named has"),
  plan: z.boolean().default(false).describe("write what would be fetched, and fetch nothing"),
  parallel: z.int().min(1).max(16).default(4).describe("files fetched at the same time"),
});

export const downloadCommand = command({
  name: "download",
  summary: "fetch CMIP6 or ERA5 for a training set, or write what to fetch and how",
  description:
    "Fetches what is plain HTTP: CMIP6 files found by the search services of ESGF, archives of WeatherBench 1, any address. " +
    "Files get their names when they are whole and their checksums right; run it again and it goes on where it stopped. " +
    "For Zarr stores it writes the command that reads them in place, for the Climate Data Store the requests. " +
    "What was decided stands in DIR/download.json.",
  examples: [
    "climax download --list",
    "climax download mpi-esm --variables tas,zg_500 --period 1979..2014 -o mpi",
    "climax download era5 --plan",
    "climax download my-source.yaml -o data",
    "climax download https://example.org/tas.nc -o tas.nc",
  ],
  positional: { key: "source", name: "SOURCE", variadic: false },
  config,
  run: async (given, context) => {
    const { source: named, output } = given;
    if (named === undefined) {
      if (given.list) return context.print(listText());
      throw new ClimaxError(
        "config",
        "no source was named",
        `name one of ${sourceNames.join(", ")}: climax download --list`,
      );
    }
    if (isUrl(named)) {
      if (given.list || given.plan)
        throw new ClimaxError(
          "config",
          "--list and --plan are for sources, not for an address",
          "leave them out",
        );
      return fetchUrl(named, output, context);
    }
    const source = readSource(named);
    if (given.list) return context.print(sourceText(named, source));
    const dir = output ?? named.replace(/^.*[/\\]/, "").replace(/\.ya?ml$/i, "");
    const plan = planDownload(source, named, { ...given, dir });
    if (given.plan) {
      await write(dir, plan);
      return context.print(planText(plan, dir));
    }
    await interruptible(async (signal) => {
      if (source.from === "esgf") {
        for (const { id } of plan.esgf) {
          const onFailure = (said: string) => context.info(said);
          const found = withinPeriod(await searchEsgf(source, id, { signal, onFailure }), plan.period);
          context.info(`${id}: ${found.length} files, ${sizeText(found)}`);
          plan.files.push(...found);
        }
      }
      await write(dir, plan);
      if (plan.files.length > 0) await fetchAll(plan.files, dir, given.parallel, context, signal);
      else context.info("nothing to fetch by plain HTTP");
    });
    context.print(planText(plan, dir));
  },
});

/** A source by its name, or from a YAML file of the same schema, whose problems are told by line and column. */
function readSource(named: string): Source {
  if (!/\.(ya?ml|json)$/i.test(named)) return sourceNamed(named);
  const schema = jsonSchema(sourceSchema);
  const file = readConfigFile(named, schema);
  const { success, data, error } = sourceSchema.safeParse(file.values);
  if (success) return data;
  throw new ClimaxError(
    "config",
    explain(error, { values: file.values, file, schema, flags: [], positional: undefined }),
    `a source begins with "from: esgf", files, zarr or cds; climax download era5 --plan shows one at work`,
  );
}

async function fetchUrl(address: string, output: string | undefined, context: Context): Promise<void> {
  const folder = output !== undefined && statSync(output, { throwIfNoEntry: false })?.isDirectory() === true;
  const path = output === undefined ? nameOfUrl(address) : folder ? join(output, nameOfUrl(address)) : output;
  const file: RemoteFile = { name: path.replace(/^.*[/\\]/, ""), urls: [address] };
  await interruptible((signal) => fetchAll([file], dirname(path), 1, context, signal));
  context.print(`Next:\n  climax inspect ${path}`);
}

async function fetchAll(
  files: readonly RemoteFile[],
  dir: string,
  parallel: number,
  context: Context,
  signal: AbortSignal,
): Promise<void> {
  // In megabytes where all sizes are known before, else in files.
  const announced = files.every(({ bytes }) => bytes !== undefined);
  const size = files.reduce((sum, { bytes = 0 }) => sum + bytes, 0);
  const bar = progress({
    label: announced ? "download, MB" : "download, files",
    total: announced ? megabytes(size) : files.length,
    quiet: context.quiet,
  });
  const started = performance.now();
  try {
    const fetched = await fetchFiles(files, dir, {
      parallel,
      signal,
      onFailure: (said) => bar.log(said),
      onProgress: ({ bytes, total, files: done }) => {
        const rate = bytes / 1e6 / Math.max(0.1, (performance.now() - started) / 1000);
        const part = announced
          ? `${done}/${files.length} files`
          : `${megabytes(bytes)} of ${megabytes(total)} MB`;
        bar.update(announced ? megabytes(bytes) : done, `${part}, ${rate.toFixed(1)} MB/s`);
      },
    });
    const there = fetched.filter(({ how }) => how === "there").length;
    const bytes = fetched.reduce((sum, file) => sum + file.bytes, 0);
    context.info(
      `${fetched.length} files, ${bytesText(Math.max(bytes, 1))}, in ${dir}${there > 0 ? `; ${there} were there already` : ""}`,
    );
  } finally {
    bar.stop();
  }
}

const megabytes = (bytes: number) => Math.round(bytes / 1e5) / 10;

async function write(dir: string, plan: DownloadPlan): Promise<void> {
  await makeFolder(dir).catch((error: Error) => {
    throw new ClimaxError(
      "data",
      `cannot make the folder ${dir}: ${error.message}`,
      "choose another place: -o DIR",
      { cause: error },
    );
  });
  writeFileSync(join(dir, "download.json"), `${JSON.stringify(plan, null, 2)}\n`);
  if (plan.cds.length > 0) writeFileSync(join(dir, "cds.json"), `${JSON.stringify(plan.cds, null, 2)}\n`);
}

function planText(plan: DownloadPlan, dir: string): string {
  const { esgf, files, zarr, cds, next, variables, period, title } = plan;
  const rows = variables.map(({ name, id, levels, version }) => [
    name,
    id,
    levels?.join(" ") ?? "",
    version ?? "",
  ]);
  const known = files.length > 0 ? `${files.length} files, ${sizeText(files)}` : "";
  const sections = [
    `${title}${period ? `, ${period}` : ""}`,
    table([["variable", "there", "levels, hPa", "paper's version"], ...rows]),
    esgf.length > 0
      ? `Facets: ${Object.entries(esgf[0]!.facets)
          .filter(([name]) => name !== "variable_id")
          .map(([name, value]) => `${name}=${value}`)
          .join(" ")}\n  ${esgf[0]!.queries[0]}${
          esgf.length > 1
            ? `\n  and so for ${esgf
                .slice(1)
                .map(({ id }) => id)
                .join(", ")}`
            : ""
        }`
      : "",
    known === ""
      ? ""
      : `${known}:\n${files
          .slice(0, 12)
          .map(({ urls }) => `  ${urls[0]}`)
          .join("\n")}${files.length > 12 ? `\n  and ${files.length - 12} more` : ""}`,
    zarr.length > 0 ? `Zarr, read in place:\n${zarr.map((url) => `  ${url}`).join("\n")}` : "",
    cds.length > 0 ? `${cds.length} requests to the Climate Data Store: ${join(dir, "cds.json")}` : "",
    `Written: ${join(dir, "download.json")}`,
    `Next:\n${next.map((line) => `  ${line}`).join("\n")}`,
  ];
  return sections.filter((section) => section !== "").join("\n\n");
}

function sizeText(files: readonly RemoteFile[]): string {
  const known = files.filter(({ bytes }) => bytes !== undefined);
  const bytes = known.reduce((sum, file) => sum + file.bytes!, 0);
  if (files.length > 0 && known.length === 0) return "sizes not known";
  return `${bytesText(Math.max(bytes, 1))}${known.length < files.length ? " and more" : ""}`;
}

function listText(): string {
  const rows = sourceNames.map((name) => {
    const { title, from, period = "", stepHours } = sourceNamed(name);
    return [name, from, period, stepHours === undefined ? "" : `${stepHours} h`, title];
  });
  return table([["source", "from", "years", "step", ""], ...rows]);
}

function sourceText(name: string, source: Source): string {
  const { title, calendar, resolution, period, stepHours, variables } = source;
  const facts = [
    ["from", source.from],
    ["years", period ?? "not said"],
    ["step", stepHours === undefined ? "not said" : `${stepHours} h`],
    ["calendar", calendar ?? "not said"],
    ["resolution", resolution ?? offered(source)],
  ];
  const rows = variables.map((one) => [one.name, one.levels?.join(" ") ?? "", one.version ?? ""]);
  return [
    `${name}: ${title}`,
    table(facts, { header: false }),
    table([["variable", "levels, hPa", "paper's version"], ...rows]),
  ].join("\n\n");
}

function offered(source: Source): string {
  if (source.from === "files") return `${source.resolutions.join(", ")} degrees`;
  if (source.from === "zarr") return `${source.stores.map(({ res }) => res).join(", ")} degrees`;
  return "not said";
}
