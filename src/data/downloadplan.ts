// What must be fetched of a source for the variables, levels and years that are wanted, before anything is fetched:
// search facets for ESGF, addresses of files and Zarr stores, requests to the Climate Data Store, and what comes after.
import { ClimaxError, unknownName } from "../errors.ts";
import { esgfQuery } from "./esgf.ts";
import { quoted } from "./inspectadvice.ts";
import {
  type CdsSource,
  type EsgfSource,
  type FilesSource,
  idOf,
  type Source,
  type SourceVariable,
  type ZarrSource,
} from "./sources.ts";
import { parsePeriod, timeParts } from "./time.ts";
import { fieldName, findVariable, parseName } from "./variables.ts";

/** A file to fetch from the first of its addresses that gives it. */
export interface RemoteFile {
  /** Its name on disk, without a folder. */
  name: string;
  urls: string[];
  bytes?: number;
  sha256?: string;
  md5?: string;
}

export interface Selection {
  /** Names, with or without levels; all that the source has unless given. */
  variables?: readonly string[] | undefined;
  /** hPa, of those without a level in their name. */
  levels?: readonly number[] | undefined;
  /** "1979..2018" */
  period?: string | undefined;
  /** degrees */
  res?: number | undefined;
  /** Folder for the files. */
  dir: string;
}

export interface CdsRequest {
  dataset: string;
  /** As cdsapi's `retrieve` takes it. */
  request: Record<string, string[] | string>;
  /** The file that it makes. */
  target: string;
}

export interface DownloadPlan {
  source: string;
  title: string;
  from: Source["from"];
  variables: (SourceVariable & { id: string })[];
  period: string | null;
  /** A question for each variable. */
  esgf: { id: string; facets: Record<string, string>; queries: string[] }[];
  /** What is fetched over plain HTTP. */
  files: RemoteFile[];
  zarr: string[];
  cds: CdsRequest[];
  /** Commands that come after, in this order. */
  next: string[];
}

/**
 * @param name  the source's, or the name of its file
 * @throws ClimaxError "config" for variables, levels, a period or a resolution that the source does not have
 */
export function planDownload(source: Source, name: string, selection: Selection): DownloadPlan {
  const variables = choose(source, name, selection);
  const period = periodOf(source, name, selection.period);
  const plan: DownloadPlan = {
    source: name,
    title: source.title,
    from: source.from,
    variables: variables.map((variable) => ({ ...variable, id: idOf(source, variable) })),
    period: period?.text ?? null,
    esgf: [],
    files: [],
    zarr: [],
    cds: [],
    next: [],
  };
  const res = resolutionOf(source, name, selection.res);
  const years = selection.period ?? paperYears(source) ?? source.period;
  const dir = quoted(selection.dir);
  if (source.from === "esgf") {
    plan.esgf = variables.map((variable) => questions(source, idOf(source, variable)));
    const cut = selection.period === undefined ? "" : ` --period ${selection.period}`;
    plan.next = [
      `climax regrid ${dir}/*.nc --res ${res}${cut} -o ${dir}-${res}deg`,
      prepare(source, plan, `${dir}-${res}deg/*.nc`),
    ];
  }
  if (source.from === "files") {
    plan.files = filesOf(source, variables, res);
    const zipped = plan.files.some((file) => file.name.endsWith(".zip"));
    const unzip = `for z in ${dir}/*.zip; do unzip -n "$z" -d ${dir}; done`;
    plan.next = [...(zipped ? [unzip] : []), prepare(source, plan, `${dir}/*.nc`)];
  }
  if (source.from === "zarr") {
    const store = nearestStore(source, res);
    const ids = [...new Set(plan.variables.map(({ id }) => id))].join(",");
    const levels = [...new Set(variables.flatMap((variable) => variable.levels ?? []))].sort((a, b) => a - b);
    plan.zarr = [store.url];
    const out = `${dir}_${res}deg.nc`;
    const chosen = [
      `--variables ${ids}`,
      ...(levels.length > 0 ? [`--levels ${levels.join(",")}`] : []),
      ...(years === undefined ? [] : [`--period ${years}`]),
    ];
    plan.next = [
      `climax regrid ${store.url} --res ${res} ${chosen.join(" ")} -o ${out}`,
      prepare(source, plan, out),
    ];
  }
  if (source.from === "cds") {
    plan.cds = requestsOf(source, variables, period);
    const retrieve =
      "import cdsapi, json; c = cdsapi.Client(); [c.retrieve(r['dataset'], r['request'], r['target']) for r in json.load(open('cds.json'))]";
    plan.next = [
      `(cd ${dir} && python3 -c "${retrieve}")`,
      `climax regrid ${dir}/*.nc --res ${res} -o ${dir}-${res}deg`,
      prepare(source, plan, `${dir}-${res}deg/*.nc`),
    ];
  }
  return plan;
}

/** The variables wanted, each with the levels wanted of it. */
function choose(source: Source, name: string, { variables, levels }: Selection): SourceVariable[] {
  const has = source.variables.map((variable) => variable.name);
  for (const level of levels ?? [])
    if (!source.variables.some((variable) => variable.levels?.includes(level)))
      throw new ClimaxError(
        "config",
        `${name} has no level of ${level} hPa`,
        `it has ${[...new Set(source.variables.flatMap((v) => v.levels ?? []))].sort((a, b) => a - b).join(", ")}`,
      );
  const cut = (variable: SourceVariable, only: readonly number[] | undefined): SourceVariable[] => {
    if (!variable.levels || !only) return [variable];
    const kept = variable.levels.filter((level) => only.includes(level));
    return kept.length > 0 ? [{ ...variable, levels: kept }] : [];
  };
  if (!variables) return source.variables.flatMap((variable) => cut(variable, levels));
  const wanted = new Map<string, Set<number> | undefined>();
  for (const text of variables) {
    const { info, level } = parseName(text);
    const variable = source.variables.find((each) => findVariable(each.name) === info);
    if (!variable) unknownName(`variable of ${name}`, info.name, has);
    if (level === undefined) wanted.set(info.name, levels && new Set(levels));
    else if (!variable.levels?.includes(level))
      throw new ClimaxError(
        "config",
        `${name} has no ${fieldName(info, level)}`,
        `its levels: ${variable.levels?.join(", ") ?? "none"}`,
      );
    else if (!wanted.has(info.name) || wanted.get(info.name))
      wanted.set(info.name, new Set([...(wanted.get(info.name) ?? []), level]));
  }
  return source.variables.flatMap((variable) => {
    const { name: own } = findVariable(variable.name)!;
    if (!wanted.has(own)) return [];
    const only = wanted.get(own);
    return cut(variable, only && [...only]);
  });
}

interface Years {
  text: string;
  first: number;
  last: number;
}

function periodOf(source: Source, name: string, wanted: string | undefined): Years | undefined {
  const calendar = source.calendar ?? "standard";
  const years = (text: string): Years => {
    const { start, end } = parsePeriod(text, calendar);
    return { text, first: timeParts(start).year, last: timeParts(end).year };
  };
  if (wanted === undefined) return source.period === undefined ? undefined : years(source.period);
  const asked = years(wanted);
  if (source.period === undefined) return asked;
  const there = years(source.period);
  if (asked.first < there.first || asked.last > there.last)
    throw new ClimaxError(
      "config",
      `${name} has the years ${source.period}; --period ${wanted} goes beyond them`,
      `choose a period within ${source.period}`,
    );
  return asked;
}

/** From the first year of train to the last of test, of a source that names the paper's split. */
function paperYears({ train, test }: Source): string | undefined {
  const [first, last] = [train?.split("..")[0], test?.split("..").at(-1)];
  return first && last ? `${first}..${last}` : undefined;
}

/** The grid in the end: of a source that offers grids one of them, else as asked for. */
function resolutionOf(source: Source, name: string, res: number | undefined): number {
  const wanted = res ?? 5.625;
  if (source.from === "files" && !source.resolutions.includes(wanted))
    throw new ClimaxError(
      "config",
      `${name} is not offered at ${wanted} degrees`,
      `choose --res ${source.resolutions.join(", ")}; or fetch the finest and use climax regrid`,
    );
  return wanted;
}

function questions(source: EsgfSource, id: string): DownloadPlan["esgf"][number] {
  const query = esgfQuery(source, id);
  return {
    id,
    facets: { ...source.facets, variable_id: id },
    queries: source.search.map((service) => `${service}?${query}`),
  };
}

function filesOf(source: FilesSource, variables: readonly SourceVariable[], res: number): RemoteFile[] {
  const fill = (template: string, id: string, file: string) =>
    template.replaceAll("{id}", id).replaceAll("{res}", String(res)).replaceAll("{file}", file);
  const files = variables.map((variable): RemoteFile => {
    const id = idOf(source, variable);
    const name = fill(source.file, id, "");
    return { name, urls: [fill(source.url, id, name)] };
  });
  const { constants } = source;
  if (!constants) return files;
  const name = fill(constants.file, "", "");
  return [...files, { name, urls: [fill(constants.url, "", name)] }];
}

/** The store on the grid that is wanted, else the finest. */
function nearestStore({ stores }: ZarrSource, res: number): ZarrSource["stores"][number] {
  return stores.find((store) => store.res === res) ?? stores.toSorted((a, b) => a.res - b.res)[0]!;
}

/** One request a month for what lies on levels, one a year for the rest: the store limits what one may ask for. */
function requestsOf(
  source: CdsSource,
  variables: readonly SourceVariable[],
  period: Years | undefined,
): CdsRequest[] {
  if (!period)
    throw new ClimaxError(
      "config",
      "the source names no years",
      "give --period, for example --period 1979..2018",
    );
  const two = (n: number) => String(n).padStart(2, "0");
  const count = (n: number) => Array.from({ length: n }, (_, i) => two(i + 1));
  const common = { product_type: [source.product], day: count(31), time: source.times };
  const format = { data_format: "netcdf", download_format: "unarchived" };
  const single = variables.filter(({ levels }) => !levels).map((variable) => idOf(source, variable));
  const aloft = variables.filter(({ levels }) => levels);
  const requests: CdsRequest[] = [];
  for (let year = period.first; year <= period.last; year++) {
    if (single.length > 0)
      requests.push({
        dataset: source.singleLevels,
        request: { ...common, variable: single, year: [String(year)], month: count(12), ...format },
        target: `single_${year}.nc`,
      });
    for (const variable of aloft) {
      const id = idOf(source, variable);
      for (const month of count(12))
        requests.push({
          dataset: source.pressureLevels,
          request: {
            ...common,
            variable: [id],
            pressure_level: variable.levels!.map(String),
            year: [String(year)],
            month: [month],
            ...format,
          },
          target: `${id}_${year}-${month}.nc`,
        });
    }
  }
  return requests;
}

/** The paper's split where the source names one and all of it is fetched. */
function prepare(source: Source, plan: DownloadPlan, files: string): string {
  const names = plan.variables.flatMap(({ name, levels }) => {
    const info = findVariable(name)!;
    return levels ? levels.map((level) => fieldName(info, level)) : [info.name];
  });
  const constants =
    source.from === "files" && source.constants ? ["land_sea_mask", "orography", "lattitude"] : [];
  const whole = plan.period === (source.period ?? null) && source.train !== undefined;
  const split = whole
    ? ["train", "val", "test"].flatMap((name) => {
        const text = source[name as "train" | "val" | "test"];
        return text === undefined ? [] : [`--${name} ${text}`];
      })
    : [`--train ${plan.period ?? "A..B"}`];
  return `climax prepare ${files} ${split.join(" ")} --variables ${[...constants, ...names].join(",")} -o ${plan.source.replace(/\.ya?ml$/, "")}-set`;
}
