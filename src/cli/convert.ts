// climax convert: weights of other systems in, open formats out.
import { stat } from "node:fs/promises";
import { extname } from "node:path";
import { z } from "zod";
import { ClimaxError } from "../errors.ts";
import { bytesText } from "../files/bytes.ts";
import { regularGrid } from "../grid/grid.ts";
import { fileSha256 } from "../model/filehash.ts";
import { networkOf } from "../model/network.ts";
import { sourceFields } from "../weights/describe.ts";
import { openModel } from "../weights/importmodel.ts";
import { refit } from "../weights/refit.ts";
import type { ModelSource } from "../weights/source.ts";
import { cardScores } from "./cardscores.ts";
import { type Context, command } from "./command.ts";
import { writeCards } from "./convertcard.ts";
import { type Target, writeModel } from "./convertwrite.ts";
import { refuseToReplace } from "./inference.ts";
import { interruptible } from "./interrupt.ts";
import { duration } from "./progress.ts";

/** What the end of a file's name says about its format. */
const formats: Readonly<Record<string, Target>> = {
  ".safetensors": "safetensors",
  ".ckpt": "ckpt",
  ".pt": "ckpt",
  ".pth": "ckpt",
  ".onnx": "onnx",
};

const ConvertConfig = z.strictObject({
  input: z
    .string()
    .optional()
    .describe("weights: of climax, PyTorch (Lightning's too), or plain safetensors"),
  output: z
    .string()
    .min(1)
    .describe("file to write, .safetensors, .ckpt or .onnx")
    .meta({ short: "o", value: "FILE" }),
  to: z
    .enum(["safetensors", "ckpt", "onnx"])
    .optional()
    .describe("its format, where its name does not say it: ckpt is PyTorch's"),
  stats: z
    .array(z.string())
    .default([])
    .describe(
      "means and deviations for a file without, the first that has a variable wins: era5 (published), a " +
        "folder of normalize_mean.npz and normalize_std.npz, a prepared set, a checkpoint, a YAML file",
    )
    .meta({ value: "FROM" }),
  strict: z
    .boolean()
    .default(false)
    .describe("refuse missing, additional and misshapen weights instead of reporting them"),
  weights: z
    .enum(["trained", "ema"])
    .optional()
    .describe("which to take, where a file has what was trained and its running mean; said if left out"),
  allow: z
    .array(z.string())
    .default([])
    .describe("classes in a PyTorch file that may be left out unread, by their full name")
    .meta({ value: "CLASS" }),
  variables: z
    .array(z.string())
    .min(1)
    .optional()
    .describe("what the network shall know, in order; new ones begin anew"),
  res: z
    .number()
    .positive()
    .optional()
    .describe("degrees of another global grid; positions are resized, bicubic"),
  patchSize: z
    .int()
    .positive()
    .optional()
    .describe("the patch side that is expected; no other than its own is possible"),
  parallelPatchEmbed: z
    .boolean()
    .optional()
    .describe("keep all patch embeddings as one tensor, or each by itself [as they are]"),
  prefix: z.string().optional().describe("before each name in a .ckpt, as Lightning's net. [net.]"),
  names: z
    .enum(["reference", "older"])
    .default("reference")
    .describe("of a .ckpt: var_embed, ..., or channel_embed, ... for code before these"),
  normalised: z
    .boolean()
    .default(false)
    .describe("ONNX of the bare network: normalised fields in and out, no units"),
  license: z.string().optional().describe("licence of the weights, for the model card"),
  authors: z.string().optional().describe("who made them, for the model card"),
  scores: z
    .array(z.string())
    .default([])
    .describe("scores for the model card: what climax evaluate --json wrote")
    .meta({ value: "FILE" }),
  card: z.boolean().default(true).describe("write a model card beside the file, Markdown and JSON"),
  source: sourceFields.prefault({}).describe("what a file does not say of its network"),
});
export type ConvertConfig = z.output<typeof ConvertConfig>;

export const convertCommand = command({
  name: "convert",
  summary: "bring PyTorch weights in, or write a checkpoint as safetensors, .ckpt or ONNX",
  description:
    "Reads a checkpoint of climax, of PyTorch (Lightning or plain, also the forms before 1.6) or plain safetensors, and " +
    "writes it as climax's checkpoint (safetensors with the reference's names), a PyTorch checkpoint, or an ONNX file of " +
    "the forward pass (opset 17, any batch). Nothing in the file is ever run. What a bare file does not say is inferred " +
    "from the shapes, read from a YAML beside it, or given by --source.*, and said. A model card is written beside it.",
  examples: [
    "climax convert 5.625deg.ckpt --stats era5 -o climax-5.625.safetensors",
    "climax convert my.ckpt --source.heads 8 --source.variables z_500,t_850,t2m --stats sets/era5 -o my.safetensors",
    "climax convert runs/72h/best.safetensors -o 72h.ckpt --scores scores.json --license CC-BY-4.0",
    "climax convert runs/72h/best.safetensors -o 72h.onnx",
  ],
  positional: { key: "input", name: "IN", variadic: false },
  config: ConvertConfig,
  run: convert,
});

async function convert(config: ConvertConfig, context: Context): Promise<number> {
  const started = performance.now();
  const { input, output } = config;
  if (input === undefined) {
    throw new ClimaxError(
      "config",
      "no file was given; one is wanted",
      "name it: climax convert 5.625deg.ckpt --stats era5 -o climax.safetensors",
    );
  }
  const target = targetOf(config);
  refuseStray(config, target);
  refuseToReplace(output, [input]);
  const scores = await cardScores(config.scores);
  const { source, stats, strict, allow, weights } = config;
  const opened = await openModel(input, { source, stats, strict, allow, weights });
  try {
    const { variables, res, patchSize, parallelPatchEmbed } = config;
    const grid = res === undefined ? undefined : regularGrid(res);
    const model = refit(await identified(opened), { variables, grid, patchSize, parallelPatchEmbed });
    for (const note of model.notes) context.info(note);
    for (const warning of model.warnings) context.warn(warning);
    const facts = await interruptible((signal) => {
      // Between two weights: the writers undo what they have begun.
      const parameter = (name: string) => {
        signal.throwIfAborted();
        return model.parameter(name);
      };
      return writeModel(output, target, { ...model, parameter }, config);
    });
    for (const note of facts.notes) context.info(note);
    const cards = config.card ? await writeCards({ ...config, scores }, model, facts, context) : [];
    const network = networkOf(model.info.model);
    const count = [...network.shapes.values()].reduce(
      (sum, shape) => sum + shape.reduce((a, b) => a * b, 1),
      0,
    );
    const { size } = await stat(output);
    context.print(
      `${output}: ${network.describe()}, ${(count / 1e6).toFixed(count < 1e6 ? 3 : 1)} M parameters, ${bytesText(size)}` +
        `${cards.length > 0 ? `; ${cards.join(", ")}` : ""}, in ${duration((performance.now() - started) / 1000)}`,
    );
    return 0;
  } finally {
    await opened.close();
  }
}

/** An imported model, whose provenance names the very file that it came from. */
async function identified(model: ModelSource): Promise<ModelSource> {
  const { provenance } = model.info;
  const { importedFrom } = provenance;
  if (typeof importedFrom !== "object" || importedFrom === null || "sha256" in importedFrom) return model;
  const named = { ...importedFrom, sha256: await fileSha256(model.path) };
  return { ...model, info: { ...model.info, provenance: { ...provenance, importedFrom: named } } };
}

function targetOf({ output, to }: ConvertConfig): Target {
  const named = formats[extname(output).toLowerCase()];
  if (to && named && to !== named) {
    throw new ClimaxError(
      "config",
      `found --to ${to} and --output ${output}, whose name says ${named}`,
      "leave --to out, or choose a name that says the same",
    );
  }
  const format = to ?? named;
  if (format) return format;
  throw new ClimaxError(
    "config",
    `found --output ${output}, whose name ends in none of ${Object.keys(formats).join(", ")}`,
    "choose such a name, or say the format with --to",
  );
}

/** A setting that the format has no use for would be ignored in silence. */
function refuseStray(config: ConvertConfig, target: Target): void {
  const stray =
    target !== "onnx" && config.normalised
      ? ["--normalised", "--to onnx"]
      : target !== "ckpt" && config.prefix !== undefined
        ? ["--prefix", "--to ckpt"]
        : target !== "ckpt" && config.names !== "reference"
          ? ["--names", "--to ckpt"]
          : !config.card &&
              (config.scores.length > 0 || config.license !== undefined || config.authors !== undefined)
            ? ["--scores, --license or --authors", "a model card, which --no-card leaves out"]
            : undefined;
  if (!stray) return;
  throw new ClimaxError(
    "config",
    `found ${stray[0]}, which is of use only with ${stray[1]}`,
    `leave out ${stray[0]}`,
  );
}
