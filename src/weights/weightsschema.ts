// What `climax inspect` says of a file of weights, as data: an entry of `checkpoints` in its --json.
import { z } from "zod";
import { stageSchema } from "./provenance.ts";

const count = z.int().nonnegative();
const number = z.number().nullable();

const tensorSchema = z.strictObject({
  name: z.string().describe("in the file"),
  part: z.string().describe("of the network, by the reference's name"),
  dtype: z.string(),
  shape: z.array(count),
  bytes: count,
  min: number.describe(
    "of its finite values, as float32; null when there are none, or it was too large to look at",
  ),
  max: number,
  mean: number,
  std: number,
  nonFinite: count.nullable().describe("NaN and infinities; null when it was not looked at"),
});
export type InspectedTensor = z.output<typeof tensorSchema>;

const variableSchema = z.strictObject({
  name: z.string(),
  units: z.string().nullable().describe("those the network was trained in; null: not in the file"),
  mean: number.describe("of the training period; null: not in the file"),
  std: number,
  input: z.boolean(),
  output: z.boolean(),
});

export const weightsSchema = z.strictObject({
  path: z.string(),
  kind: z
    .enum(["climax checkpoint", "ClimaX weights", "other weights"])
    .describe("complete for climax; the weights of a ClimaX alone; of something else"),
  title: z
    .string()
    .describe('"PyTorch Lightning 1.9.0 checkpoint", "climax checkpoint exported for PyTorch"'),
  format: z.enum(["safetensors", "PyTorch zip", "PyTorch before 1.6", "PyTorch tar"]),
  bytes: count,
  sha256: z.string().describe("of the whole file"),
  synthetic: z.boolean().describe("trained on simulated weather, as it says"),
  parameters: count.describe("numbers in all tensors of the model"),
  dtypes: z.array(z.strictObject({ dtype: z.string(), tensors: count, bytes: count })),
  parts: z.array(z.strictObject({ part: z.string(), tensors: count, parameters: count })),
  names: z
    .strictObject({
      prefix: z.string().describe('before each name, e.g. "net."'),
      older: z.boolean().describe("channel_embed and the like, as in the released files"),
    })
    .nullable()
    .describe("how the file names what the reference names; null for what is no ClimaX"),
  network: z
    .strictObject({
      name: z.string().describe("ClimaX, Cli-ViT, ..."),
      sizes: z.string().describe("in words; what cannot be seen is left out"),
      config: z.record(z.string(), z.unknown()).describe("every hyper-parameter that is known"),
      unseen: z
        .array(z.string())
        .describe("hyper-parameters that the file does not show, and what is done about it"),
    })
    .nullable(),
  task: z.string().nullable(),
  variables: z.array(variableSchema).describe("empty when the file does not name them"),
  variableCount: count.nullable().describe("how many the network knows"),
  normalised: z.boolean().describe("it holds mean and deviation of its variables"),
  grid: z.string().nullable(),
  region: z.string().nullable(),
  leads: z.string().nullable(),
  training: z.array(stageSchema).describe("the first one first"),
  resume: z.strictObject({
    possible: z.boolean(),
    bytes: count.nullable().describe("of optimiser states; null: not counted"),
    why: z.string(),
  }),
  says: z
    .array(z.strictObject({ key: z.string(), value: z.string() }))
    .describe("what else the file says of itself, the first 200 entries, long ones cut"),
  tensors: z.array(tensorSchema).describe("of the model, without optimiser states"),
  problems: z
    .array(z.string())
    .describe("what is wrong with it: values that are not finite, parts that are missing"),
  notes: z.array(z.string()).describe("what was left out or assumed"),
  next: z.strictObject({
    usable: z.boolean().describe("whether climax forecast and finetune take it as it is"),
    why: z.string(),
    commands: z.array(z.string()).describe("in this order"),
  }),
});
export type InspectedWeights = z.output<typeof weightsSchema>;
