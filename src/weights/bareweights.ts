// What weights without a description show of themselves: the network from shapes, the rest from what lies beside them;
// and what nobody says.
import { ClimaxError, listed } from "../errors.ts";
import { describeGrid, regularGrid } from "../grid/grid.ts";
import type { NetworkConfig } from "../model/network.ts";
import { expectAgreement } from "./agreement.ts";
import { type Said, type Told, together } from "./describe.ts";
import { differenceLines } from "./differences.ts";
import { toldOf } from "./importmodel.ts";
import { hyperParametersSay } from "./lightning.ts";
import { type CanonicalNames, canonicalNames } from "./names.ts";
import { compareShapes, type NetworkTold, networkFrom } from "./networkfrom.ts";
import { oneLine } from "./provenance.ts";
import { type Sizes, sizesOf } from "./shapesizes.ts";
import { readSidecar } from "./sidecar.ts";
import type { WeightSource } from "./source.ts";
import { gatherStatistics } from "./statistics.ts";
import type { InspectedWeights } from "./weightsschema.ts";

type Facts = Pick<
  InspectedWeights,
  | "names"
  | "network"
  | "task"
  | "variables"
  | "variableCount"
  | "grid"
  | "region"
  | "leads"
  | "problems"
  | "notes"
>;

export interface BareWeights extends Facts {
  /** Names in the file to the reference's. */
  readonly inReference: ReadonlyMap<string, string>;
  /** Flags of climax convert that are needed, with words in place of values: `--source.heads NUMBER`. */
  readonly lacking: readonly string[];
  /** What to do with what is no ClimaX, or contradicts itself; undefined where climax convert can take it. */
  readonly mend: string | undefined;
  /** Variables of which the built-in statistics have mean and deviation. */
  readonly known: readonly string[];
  /** Whether it is a projection. */
  readonly projects: boolean;
  /** How the tensors differ from those of a network. */
  against(config: NetworkConfig): string[];
}

/** A network of more variables is none: shapes may claim any number. */
const mostVariables = 4096;

const nothing: Facts = {
  ...{ names: null, network: null, task: null, variables: [], variableCount: null },
  ...{ grid: null, region: null, leads: null, problems: [], notes: [] },
};

/** Describes weights by their names and shapes. Never throws for what they are: `problems` says so. */
export async function describeBare(source: WeightSource): Promise<BareWeights> {
  const { path, tensors } = source;
  const names = tried(() => canonicalNames(tensors.keys(), path));
  if (names instanceof ClimaxError) return unusable(names, {}, new Map());
  const inReference = new Map([...names.inFile].map(([name, inFile]) => [inFile, name]));
  const shapes = new Map([...names.inFile].map(([name, inFile]) => [name, tensors.get(inFile)!.shape]));
  const facts = { names: { prefix: names.prefix, older: names.older } };
  const sizes = tried(() => sizesOf(shapes, path));
  if (sizes instanceof ClimaxError) return unusable(sizes, facts, inReference, shapes);
  const told = await tellers(source);
  const problem = told instanceof ClimaxError ? told : tried(() => expectAgreement(sizes, told, path));
  if (told instanceof ClimaxError || problem) {
    const network = {
      name: nameOf(sizes),
      sizes: sizesText(sizes, undefined),
      config: { ...plainSizes(sizes) },
      unseen: [],
    };
    return unusable(
      problem ?? (told as ClimaxError),
      { ...facts, network, variableCount: sizes.V },
      inReference,
      shapes,
    );
  }
  const guess = guessNetwork(shapes, sizes, told.said, path);
  return {
    ...facts,
    ...factsOf(source, names, sizes, told, guess),
    inReference,
    lacking: guess.lacking,
    mend: undefined,
    known: guess.variables ? await inEra5(guess.variables) : [],
    projects: sizes.history !== undefined,
    against: (config) => differenceLines(compareShapes(config, shapes), []),
  };
}

function unusable(
  { message, hint }: ClimaxError,
  facts: Partial<Facts>,
  inReference: ReadonlyMap<string, string>,
  shapes: ReadonlyMap<string, readonly number[]> = new Map(),
): BareWeights {
  return {
    ...nothing,
    ...facts,
    ...{ inReference, lacking: [], known: [], projects: false },
    problems: [oneLine(message, 2000)],
    mend: hint,
    against: (config) => differenceLines(compareShapes(config, shapes), []),
  };
}

/** What is said beside the file, and in it. */
async function tellers(source: WeightSource): Promise<Told | ClimaxError> {
  try {
    const sidecar = await readSidecar(source.path);
    return together([...(sidecar ? [sidecar] : []), ...hyperParametersSay(source.says)]);
  } catch (error) {
    if (error instanceof ClimaxError) return error;
    throw error;
  }
}

interface Guess {
  readonly config: NetworkConfig | undefined;
  readonly assumed: readonly string[];
  readonly lacking: readonly string[];
  /** Undefined where they are not named. */
  readonly variables: readonly string[] | undefined;
}

/**
 * The network, asking for what is lacking one after the other: `networkFrom` says which flag it wants, and gets a stand-in
 * that cannot be taken for an answer.
 */
function guessNetwork(
  shapes: ReadonlyMap<string, readonly number[]>,
  sizes: Sizes,
  said: Said,
  path: string,
): Guess {
  const { V, L, patchSize: p } = sizes;
  const unknown = { config: undefined, assumed: [], variables: undefined };
  const fields = Math.max(1, Math.round((sizes.headOutputs ?? 0) / (L * p * p)));
  if (V > mostVariables || fields > mostVariables) return { ...unknown, lacking: [] };
  const unnamed = (count: number) => Array.from({ length: count }, (_, i) => `variable ${i + 1}`);
  const words: Readonly<Record<string, { words: string; standIn: NetworkTold }>> = {
    heads: { words: "NUMBER", standIn: { heads: 1 } },
    "grid-shape": { words: "H,W", standIn: { gridShape: [p, L * p] } },
    variables: { words: "NAME,...", standIn: { variables: unnamed(V) } },
    inputs: { words: "NAME,...", standIn: { inputs: unnamed(V) } },
    outputs: {
      words: "NAME,...",
      standIn: {
        outputs: unnamed(fields).map((name) => `${name} out`),
      },
    },
  };
  let told: NetworkTold = toldOf(said, sizes);
  const lacking = new Map<string, string>();
  for (;;) {
    const network = tried(() => networkFrom(shapes, told, path));
    if (!(network instanceof ClimaxError)) {
      const { config, assumed } = network;
      const named = !["variables", "inputs", "outputs"].some((flag) => lacking.has(flag));
      return {
        config,
        assumed: assumed.filter((line) => !line.startsWith("dropout ")),
        lacking: [...lacking.values()],
        variables: named ? config.variables : undefined,
      };
    }
    const flag = /--source\.([a-z-]+)/.exec(network.hint)?.[1] ?? "";
    const wanted = Object.hasOwn(words, flag) && !lacking.has(flag) ? words[flag] : undefined;
    if (!wanted) return { ...unknown, lacking: [...lacking.values()] };
    lacking.set(flag, `--source.${flag} ${wanted.words}`);
    told = { ...told, ...wanted.standIn };
  }
}

function factsOf(
  { tensors }: WeightSource,
  { inFile, extra }: CanonicalNames,
  sizes: Sizes,
  { said, notes }: Told,
  { config, assumed, lacking, variables }: Guess,
): Omit<Facts, "names"> {
  const without = (flag: string) => lacking.some((one) => one.startsWith(`--source.${flag} `));
  const heads = config && "heads" in config && !without("heads") ? config.heads : undefined;
  const gridShape = config && !without("grid-shape") ? config.gridShape : undefined;
  const differences = config
    ? compareShapes(config, new Map([...inFile].map(([name, found]) => [name, tensors.get(found)!.shape])))
    : undefined;
  const strange = [...(differences?.extra ?? []), ...extra];
  const odd = [...inFile.values()].filter((name) => !/^(B?F(16|32|64))$/.test(tensors.get(name)!.dtype));
  const entering = new Set(said.inputs ?? (config && "inputs" in config ? config.inputs : variables) ?? []);
  const leaving = new Set(said.outputs ?? (config && "outputs" in config ? config.outputs : []));
  return {
    network: {
      name: nameOf(sizes),
      sizes: sizesText(sizes, heads),
      config: {
        ...plainSizes(sizes),
        ...(heads === undefined ? {} : { heads }),
        ...(gridShape ? { gridShape } : {}),
      },
      unseen: [
        ...lacking.map((flag) => {
          const shown = /\.(variables|inputs) /.test(flag)
            ? ` (${sizes.V} names, in its order)`
            : flag.includes(".grid-shape ")
              ? ` (${sizes.L} patches of ${sizes.patchSize} x ${sizes.patchSize} points)`
              : "";
          return `not in the file, and needed: ${flag}${shown}`;
        }),
        ...assumed.map((line) => `not in the file; climax convert assumes ${line}`),
      ],
    },
    task: sizes.history === undefined ? null : `climate projections from ${sizes.history} steps`,
    variables: (variables ?? []).map((name) => ({
      ...{ name, units: null, mean: null, std: null },
      input: entering.has(name),
      output: leaving.has(name),
    })),
    variableCount: sizes.V,
    grid: gridShape ? gridText(gridShape) : null,
    region: said.region ?? null,
    leads: said.leads ? leadText(said.leads) : null,
    problems: [
      ...(differences
        ? differenceLines({ ...differences, extra: [] }, []).map((line) => `${line}; it would begin anew`)
        : []),
      ...(odd.length > 0 ? [`no floating-point numbers: ${some(odd)}`] : []),
    ],
    notes: [...notes, ...(strange.length > 0 ? [`no part of this network: ${some(strange)}`] : [])],
  };
}

const nameOf = ({ history }: Sizes) => (history === undefined ? "ClimaX" : "ClimaX for projections");

function plainSizes({
  V,
  D,
  L,
  patchSize,
  depth,
  decoderDepth,
  mlpRatio,
  parallelPatchEmbed,
  history,
}: Sizes) {
  return {
    ...{ variableCount: V, patches: L, patchSize, embedDim: D, depth, mlpRatio, parallelPatchEmbed },
    ...(history === undefined ? { decoderDepth } : { history }),
  };
}

function sizesText(sizes: Sizes, heads: number | undefined): string {
  const { V, D, patchSize, depth, decoderDepth, mlpRatio, history } = sizes;
  return [
    `${V} variables, patch ${patchSize}, D ${D}, depth ${depth}`,
    heads === undefined ? "heads not in the file" : `${heads} heads`,
    ...(history === undefined
      ? [`head of ${decoderDepth} hidden ${decoderDepth === 1 ? "layer" : "layers"}`]
      : []),
    ...(mlpRatio === 4 ? [] : [`MLP ratio ${mlpRatio}`]),
  ].join(", ");
}

function gridText([H, W]: readonly [number, number]): string {
  return W === 2 * H && H >= 2 ? describeGrid(regularGrid(180 / H)) : `${H} x ${W}`;
}

function leadText(leads: NonNullable<Said["leads"]>): string {
  return Array.isArray(leads)
    ? leads.map((hours) => `${hours} h`).join(", ")
    : `${leads.min} h to ${leads.max} h, every ${leads.step} h`;
}

/** Names of a file. */
const some = (names: readonly string[]) =>
  listed(
    names.map((name) => oneLine(name, 120)),
    6,
  );

/** What `work` gives, or the user's error that it throws. */
function tried<T>(work: () => T): T | ClimaxError {
  try {
    return work();
  } catch (error) {
    if (error instanceof ClimaxError) return error;
    throw error;
  }
}

/** Those of which the statistics that come with climax have mean and deviation. */
async function inEra5(names: readonly string[]): Promise<string[]> {
  const { of } = await gatherStatistics(["era5"], names, regularGrid(5.625)).catch((error: unknown) => {
    if (error instanceof ClimaxError) return { of: new Map<string, unknown>() };
    throw error;
  });
  return [...of.keys()];
}
