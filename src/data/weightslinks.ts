// The links of a weight file and their method, by the conventions of SCRIP (as CDO has them) or ESMF.
import { ClimaxError } from "../errors.ts";
import type { Dataset } from "../files/dataset.ts";
import { type RegridMethod, regridMethods } from "../grid/regrid.ts";

/** The names of things in one of the two conventions. */
export interface Convention {
  sourceSize: string;
  targetSize: string;
  /** Beginnings of the names of source and target centres; those of latitude, longitude. */
  centres: { source: [string, string]; target: [string, string] };
  from: string;
  to: string;
  weight: string;
  coverage: string;
}

const scrip: Convention = {
  sourceSize: "src_grid_size",
  targetSize: "dst_grid_size",
  centres: {
    source: ["src_grid_center_lat", "src_grid_center_lon"],
    target: ["dst_grid_center_lat", "dst_grid_center_lon"],
  },
  from: "src_address",
  to: "dst_address",
  weight: "remap_matrix",
  coverage: "dst_grid_frac",
};

const esmf: Convention = {
  sourceSize: "n_a",
  targetSize: "n_b",
  centres: { source: ["yc_a", "xc_a"], target: ["yc_b", "xc_b"] },
  from: "col",
  to: "row",
  weight: "S",
  coverage: "frac_b",
};

/** Which of the two a file follows. @throws ClimaxError "data" for neither */
export function conventionOf({ path, variables }: Dataset): Convention {
  const convention = [scrip, esmf].find((c) => [c.from, c.to, c.weight].every((n) => variables.has(n)));
  if (convention) return convention;
  throw new ClimaxError(
    "data",
    `${path} holds no regridding weights: found ${[...variables.keys()].slice(0, 8).join(", ") || "no variables"}; wanted ${scrip.from}, ${scrip.to} and ${scrip.weight} (SCRIP, CDO) or ${esmf.to}, ${esmf.from} and ${esmf.weight} (ESMF)`,
    "name a file written by climax regrid --weights, cdo gencon or ESMF_RegridWeightGen",
  );
}

/** From source address to target address, counted from 1. */
export interface Links {
  from: ArrayLike<number>;
  to: ArrayLike<number>;
  weight: ArrayLike<number>;
}

/** @throws ClimaxError "data" for weights of slopes, and for lists of different lengths */
export async function readLinks(
  dataset: Dataset,
  convention: Convention,
): Promise<{ method: RegridMethod | undefined; links: Links }> {
  const { path, attributes } = dataset;
  const word = (name: string) => String(attributes.get(name) ?? "");
  const named = word("map_method") || word("esmf_regrid_method");
  const weight = dataset.variables.get(convention.weight)!;
  const perLink = weight.shape[1] ?? 1;
  const second = Number(attributes.get("remap_order") ?? 1) > 1 || /2nd|second/i.test(named);
  if (perLink > 1 && (second || !/conserv/i.test(named))) {
    throw new ClimaxError(
      "data",
      `${path} holds ${perLink} weights a link (${named || "no method named"}), of values and of slopes; wanted weights of values only`,
      "use weights of cdo genbil, gencon, gendis or gennn, or let climax regrid make its own",
    );
  }
  const all = await weight.read();
  const first =
    perLink === 1 ? all : Float64Array.from({ length: weight.shape[0]! }, (_, k) => Number(all[k * perLink]));
  const read = async (name: string) => Float64Array.from(await dataset.variables.get(name)!.read(), Number);
  const links: Links = {
    from: await read(convention.from),
    to: await read(convention.to),
    weight: Float64Array.from(first, Number),
  };
  if (links.from.length !== links.weight.length || links.to.length !== links.weight.length) {
    throw new ClimaxError(
      "data",
      `${path} has ${links.weight.length} weights for ${links.from.length} source and ${links.to.length} target addresses`,
      "make the weights again",
    );
  }
  return { method: methodOf(String(attributes.get("climax_method") ?? ""), named), links };
}

function methodOf(ours: string, named: string): RegridMethod | undefined {
  const known = regridMethods.find((method) => method === ours);
  if (known) return known;
  const words: [RegExp, RegridMethod][] = [
    [/2nd|second/i, "conservative"],
    [/conserv/i, "conservative"],
    [/bilinear/i, "bilinear"],
    [/bicubic/i, "bicubic"],
    [/distance|inverse/i, "distance-weighted"],
    [/nearest/i, "nearest"],
  ];
  return words.find(([pattern]) => pattern.test(named))?.[1];
}

/** What part of each target the source covers, where rows were scaled to sum to 1 in spite of it. */
export async function readCoverage(
  dataset: Dataset,
  { coverage }: Convention,
): Promise<Float64Array | undefined> {
  const variable = dataset.variables.get(coverage);
  if (!/fracarea/i.test(String(dataset.attributes.get("normalization") ?? "")) || !variable) return undefined;
  return Float64Array.from(await variable.readUnpacked());
}
