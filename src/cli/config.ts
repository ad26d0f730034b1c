// climax config: the settings of a task as a commented YAML file, to be changed and given to --config.
import { stringify } from "yaml";
import { z } from "zod";
import { FinetuneConfig } from "../train/finetune.ts";
import { outputsOf, presetOf, taskNames } from "../train/presets.ts";
import { PretrainConfig } from "../train/pretrain.ts";
import { command, over } from "./command.ts";
import { type JsonSchema, jsonSchema, kebab } from "./flags.ts";

const kinds = ["pretrain", ...taskNames] as const;

export const configCommand = command({
  name: "config",
  summary: "print the settings of a task as a commented YAML file",
  description:
    "Prints the paper's settings for pretraining or a task, commented, as a YAML file for climax pretrain --config or " +
    "climax finetune --config. What is commented out has no value unless you give one.",
  examples: ["climax config global > global.yaml", "climax config projection > projection.yaml"],
  positional: { key: "task", name: "TASK", variadic: false },
  config: z.strictObject({
    task: z.enum(kinds).describe(`which: ${kinds.join(", ")}`),
  }),
  allowConfigFile: false,
  run: async ({ task }, context) => context.print(commentedYaml(task)),
});

/** The file's text. Every key of the settings stands in it, those without a value as a comment. */
export function commentedYaml(task: (typeof kinds)[number]): string {
  const pretrain = task === "pretrain";
  const schema = jsonSchema(pretrain ? PretrainConfig : FinetuneConfig);
  const preset = pretrain ? pretraining : over({ task }, presetOf(task, true));
  const required = {
    output: `runs/${task}`,
    ...(pretrain ? {} : { checkpoint: "runs/pretrain/best.safetensors" }),
  };
  const data =
    task === "pretrain" ? { sources: ["sets/mpi-esm"] } : { set: "sets/era5", outputs: [...outputsOf[task]] };
  const values = over(preset, { ...required, data });
  return [
    `# climax ${pretrain ? "pretrain" : "finetune"} --config THIS-FILE. Every key is also a flag, and flags win.`,
    "# The values are the paper's (arXiv 2301.10343, tables 4 and 9, appendix B); paths are examples.",
    "",
    ...lines(schema, values, ""),
  ].join("\n");
}

/** Pretraining at 5.625 degrees, which took 80 GPUs: 640 samples a step. */
const pretraining = {
  optimiser: { lr: 5e-4, beta1: 0.9, beta2: 0.95, weightDecay: 1e-5, warmup: 10000 },
  training: { batchSize: 16, accumulate: 40, epochs: 100 },
};

function lines(schema: JsonSchema, values: Readonly<Record<string, unknown>>, indent: string): string[] {
  const { properties = {} } = schema;
  return Object.entries(properties).flatMap(([key, field]) => {
    const value = values[key] ?? field.default;
    const nested = field.properties !== undefined || field.anyOf?.every(({ properties: inner }) => inner);
    const name = indent + yamlKey(key);
    if (nested) {
      const inner = typeof value === "object" && value !== null ? value : {};
      return [
        ...(indent === "" ? [""] : []),
        ...comment(field.description, indent),
        `${name}:`,
        ...lines(field, inner as Record<string, unknown>, `${indent}  `),
      ];
    }
    const text = stringify(value ?? null, {
      flowCollectionPadding: false,
      collectionStyle: "flow",
      lineWidth: 0,
    }).trimEnd();
    return [
      ...comment(field.description, indent),
      value === undefined ? `${indent}# ${yamlKey(key)}:` : `${name}: ${text}`,
    ];
  });
}

/** Keys are written as flags are; the reader takes either spelling. */
const yamlKey = (key: string): string => kebab(key);

/** Lines of comment no longer than 100 columns. */
function comment(text = "", indent: string): string[] {
  const out: string[] = [];
  let line = "";
  for (const word of text.split(" ").filter(Boolean)) {
    if (line && indent.length + 2 + line.length + 1 + word.length > 100) {
      out.push(`${indent}# ${line}`);
      line = word;
    } else line = line ? `${line} ${word}` : word;
  }
  return line ? [...out, `${indent}# ${line}`] : out;
}
