// The names of a file's weights and those of the reference: what stands before them, and what they were called before.
import { ClimaxError } from "../errors.ts";
import { shown } from "../torch/picklereader.ts";
import { otherModel } from "./othermodels.ts";

/** How a file names the weights of ClimaX. */
export interface CanonicalNames {
  /** The reference's name to the name in the file. */
  readonly inFile: ReadonlyMap<string, string>;
  /** What stands before the names in the file, e.g. `net.`. */
  readonly prefix: string;
  /** Whether the aggregation has its older names, `channel_embed` for `var_embed`, as in the released files. */
  readonly older: boolean;
  /** Names in the file that are no weights of ClimaX: metrics, buffers, another network beside it. */
  readonly extra: readonly string[];
}

/** Every name of the reference, of forecasts and projections, in both forms of patch embeddings. */
const REFERENCE = new RegExp(
  `^(?:${[
    "(?:var|time)_query|(?:var|pos|time_pos)_embed",
    "token_embeds\\.(?:\\d{1,6}\\.proj\\.(?:weight|bias)|proj_weights|proj_biases)",
    "(?:var|time)_agg\\.(?:in_proj_|out_proj\\.)(?:weight|bias)",
    "blocks\\.\\d{1,6}\\.(?:norm[12]|attn\\.(?:qkv|proj)|mlp\\.fc[12])\\.(?:weight|bias)",
    "(?:lead_time_embed|norm|head(?:\\.\\d{1,6})?)\\.(?:weight|bias)",
  ].join("|")})$`,
);

/** Which names a network has. */
interface Vocabulary {
  has(name: string): boolean;
  /** Parts of its longest name. */
  readonly longest: number;
}

const reference: Vocabulary = {
  has: (name) => REFERENCE.test(name),
  longest: 5, // blocks.0.mlp.fc1.weight
};

function vocabularyOf(names: Iterable<string>): Vocabulary {
  const set = new Set(names);
  return {
    has: (name) => set.has(name),
    longest: [...set].reduce((most, name) => Math.max(most, name.split(".").length), 0),
  };
}

/** What wrappers put into names, also amid them: DistributedDataParallel, torch.compile, DeepSpeed, FSDP, recomputation. */
const WRAPPERS = new Set([
  "module",
  "_orig_mod",
  "_forward_module",
  "_fsdp_wrapped_module",
  "_checkpoint_wrapped_module",
]);

function withoutWrappers(name: string): string[] {
  return name.split(".").filter((part) => !WRAPPERS.has(part));
}

/** Counters that a state dict keeps beside the weights. */
export function isCounter(name: string): boolean {
  return /(^|\.)(n_averaged|num_batches_tracked|num_updates|decay)$/.test(name);
}

/** Older names of the reference: at the time of the released files variables were channels. */
function newer(name: string): string {
  return name.replace(/^channel_(embed$|query$|agg\.)/, "var_$1");
}

function older(name: string): string {
  return name.replace(/^var_(embed$|query$|agg\.)/, "channel_$1");
}

interface Split {
  readonly inFile: string;
  /** What stands before it, without wrappers. */
  readonly before: string;
  /** The reference's name. */
  readonly name: string;
  /** Whether it stands there under its older name. */
  readonly older: boolean;
}

/** A name as something before a name of the reference; undefined if it does not end in one. */
function split(inFile: string, vocabulary: Vocabulary): Split | undefined {
  const parts = withoutWrappers(inFile);
  for (let length = Math.min(vocabulary.longest, parts.length); length > 0; length--) {
    const written = parts.slice(-length).join(".");
    const name = newer(written);
    if (vocabulary.has(name))
      return { inFile, before: parts.slice(0, -length).join("."), name, older: name !== written };
  }
  return undefined;
}

/** The element that occurs most often, the first of several. */
function mostFrequent(values: Iterable<string>): string | undefined {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].reduce<[string, number] | undefined>(
    (best, entry) => (best && best[1] >= entry[1] ? best : entry),
    undefined,
  )?.[0];
}

/**
 * Finds the reference's names (microsoft/ClimaX, `src/climax/arch.py` and `climate_projection/arch.py`) in those of a
 * file: behind whatever the file puts before them, without what wrappers put amid them, and under their older names.
 * Both forms of patch embeddings keep their names.
 *
 * @param path   of the file, for errors
 * @param known  names of the parameters of the network that the file is known to hold, of any type; when left out those
 *               of the reference, in a file that must show that it is a ClimaX
 * @throws      ClimaxError "checkpoint" if they are the weights of another model, or two names of the file become one
 */
export function canonicalNames(
  names: Iterable<string>,
  path: string,
  known?: Iterable<string>,
): CanonicalNames {
  const all = [...names];
  const vocabulary = known ? vocabularyOf(known) : reference;
  const splits = all.filter((name) => !isCounter(name)).flatMap((name) => split(name, vocabulary) ?? []);
  const before = mostFrequent(splits.map((one) => one.before));
  const own = splits.filter((one) => one.before === before);
  if (!known) expectClimax(path, all, own);
  const inFile = new Map<string, string>();
  for (const one of own) {
    const twin = inFile.get(one.name);
    if (twin !== undefined) {
      throw new ClimaxError(
        "checkpoint",
        `${path} has "${shown(twin)}" and "${shown(one.inFile)}", and both are "${one.name}" of ClimaX`,
        "save the weights of one model alone: torch.save({'state_dict': model.state_dict()}, 'weights.ckpt')",
      );
    }
    inFile.set(one.name, one.inFile);
  }
  expectOneModel(path, splits, own);
  const taken = new Set(inFile.values());
  return {
    inFile,
    prefix: mostFrequent(own.flatMap((one) => prefixOf(one) ?? [])) ?? "",
    older: own.some((one) => one.older),
    extra: all.filter((name) => !taken.has(name)),
  };
}

/** What stands before a name in the file, wrappers included; undefined where they stand amid the name. */
function prefixOf(one: Split): string | undefined {
  const tail = one.older ? older(one.name) : one.name;
  return one.inFile.endsWith(tail) ? one.inFile.slice(0, one.inFile.length - tail.length) : undefined;
}

/** What a ClimaX cannot do without; its head may be another task's. */
const ESSENTIAL = [
  "var_query",
  "pos_embed",
  "lead_time_embed.weight",
  "var_agg.in_proj_weight",
  "norm.weight",
];

/**
 * Refuses files without the parts that make a ClimaX, and blocks that have more than its own. Beside a complete one
 * there may be anything.
 */
function expectClimax(path: string, all: readonly string[], own: readonly Split[]): void {
  const names = new Set(own.map(({ name }) => name));
  const variables = own.some(({ name }) => name === "var_embed" || name.startsWith("token_embeds."));
  const blocks = own.some(({ name }) => name.startsWith("blocks."));
  const complete = variables && blocks && ESSENTIAL.every((name) => names.has(name));
  const before = own[0]?.before;
  const ownBlocks = before === "" ? "blocks." : `${before}.blocks.`;
  const other = otherModel(
    complete ? all.filter((name) => withoutWrappers(name).join(".").startsWith(ownBlocks)) : all,
  );
  if (other === undefined && variables && blocks) return;
  const found = all.slice(0, 4).map((name) => `"${shown(name)}"`);
  const more = all.length > found.length ? `, and ${all.length - found.length} more` : "";
  throw new ClimaxError(
    "checkpoint",
    other === undefined
      ? `${path} is no ClimaX: it has ${found.join(", ") || "no tensors"}${more}; wanted are token_embeds.*, var_embed ` +
          "(or channel_embed) and blocks.*"
      : `${path} is no ClimaX: it has "${shown(other.name)}", as ${other.model} does`,
    "only ClimaX's own weights can be read: e.g. 5.625deg.ckpt of https://huggingface.co/tungnd/climax, or one " +
      "finetuned from it",
  );
}

/** Refuses files in which two models are complete alike: which of them is meant cannot be told. */
function expectOneModel(path: string, splits: readonly Split[], own: readonly Split[]): void {
  const before = own[0]?.before;
  const rivals = new Map<string, number>();
  for (const one of splits) rivals.set(one.before, (rivals.get(one.before) ?? 0) + 1);
  const rival = [...rivals].find(([other, count]) => other !== before && count === own.length);
  if (!rival) return;
  const of = (prefix = "") => (prefix === "" ? "without a prefix" : `under "${shown(prefix)}."`);
  throw new ClimaxError(
    "checkpoint",
    `${path} has two models of ${own.length} tensors, ${of(before)} and ${of(rival[0])}`,
    "save the weights of one model alone: torch.save({'state_dict': model.state_dict()}, 'weights.ckpt')",
  );
}

/** The name in a file of that style: the way back from `canonicalNames`, but for wrappers that stand amid names. */
export function nameAs(name: string, style: Pick<CanonicalNames, "prefix" | "older">): string {
  return style.prefix + (style.older ? older(name) : name);
}
