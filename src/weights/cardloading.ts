// How a file of weights is loaded, line by line: in climax, in PyTorch, in onnxruntime.
import { formatLead } from "../data/leadtime.ts";
import type { CheckpointInfo } from "../model/checkpoint.ts";
import type { ModelCard } from "./cardschema.ts";

type Loading = ModelCard["loading"][number];

/** The exported file, without its folder. */
interface CardFile {
  readonly name: string;
  readonly format: ModelCard["file"]["format"];
  readonly normalised?: boolean;
  readonly style?: { readonly prefix: string; readonly older: boolean };
}

/** Lines that load a file and use it, for each program that can. */
export function loadingOf(info: CheckpointInfo, file: CardFile): Loading[] {
  const { name, format } = file;
  if (format === "onnx") return [onnxruntime(info, file)];
  return [
    { with: "climax", language: "sh", code: climaxLines(info, name, format).join("\n") },
    pytorch(info, file),
  ];
}

/** Commands that use a checkpoint, after the conversion that a PyTorch file needs. */
function climaxLines(info: CheckpointInfo, name: string, format: "safetensors" | "ckpt"): string[] {
  const own = format === "safetensors" ? name : name.replace(/(\.(ckpt|pth?))?$/i, ".safetensors");
  return [
    ...(format === "ckpt" ? [`climax convert ${shell(name)} -o ${shell(own)}`] : []),
    useCommand(info, own),
  ];
}

/** The command that runs a model, with places for the user's files. */
export function useCommand(info: CheckpointInfo, file: string): string {
  const { task, leads } = info;
  const checkpoint = `--checkpoint ${shell(file)}`;
  if (task.kind === "downscaling") return `climax downscale ${checkpoint} --input coarse.nc -o fine.nc`;
  if (task.kind === "projection") return `climax forecast ${checkpoint} --input forcings.nc -o projection.nc`;
  const lead = Array.isArray(leads) ? leads.map(formatLead).join(",") : formatLead(leads.max);
  return `climax forecast ${checkpoint} --input state.nc --lead ${lead} -o forecast.nc`;
}

/** An argument as a shell takes it. */
export function shell(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The reference's class with the sizes of this network; only climax has the other networks, and residual ones. */
function pytorch(info: CheckpointInfo, { name, format, style }: CardFile): Loading {
  const { prefix = "net.", older = false } = style ?? {};
  const load =
    format === "safetensors"
      ? ["from safetensors.torch import load_file", `state = load_file(${python(name)})`]
      : [
          "import torch",
          `state = torch.load(${python(name)}, map_location="cpu")["state_dict"]`,
          ...(prefix === ""
            ? []
            : [`state = {key.removeprefix(${python(prefix)}): value for key, value in state.items()}`]),
          ...(older
            ? ["# its names are those of older code: channel_embed for var_embed, and the like"]
            : []),
        ];
  const network = referenceClass(info);
  if (!network) {
    const why = "# the reference implementation has no such network; these are its tensors by name";
    return { with: "PyTorch, as tensors", language: "python", code: [why, ...load].join("\n") };
  }
  const { from, call } = network;
  const [imports, ...rest] = load;
  return {
    with: "PyTorch, in the reference implementation (microsoft/ClimaX)",
    language: "python",
    code: [
      imports!,
      from,
      "",
      ...rest,
      call,
      "net.load_state_dict(state)",
      "# x: (field - mean) / std of each variable; lead_times: hours / 100; rows from south to north",
    ].join("\n"),
  };
}

function referenceClass({ model }: CheckpointInfo): { from: string; call: string } | undefined {
  if (model.type !== "climax" && model.type !== "projection") return undefined;
  if (model.type === "climax" && model.residual) return undefined;
  const sizes = [
    `img_size=[${model.gridShape.join(", ")}]`,
    `patch_size=${model.patchSize}`,
    `embed_dim=${model.embedDim}`,
    `depth=${model.depth}`,
    ...(model.type === "climax" ? [`decoder_depth=${model.decoderDepth}`] : []),
    `num_heads=${model.heads}`,
    `mlp_ratio=${model.mlpRatio}`,
  ];
  const list = (names: readonly string[]) => `[${names.map(python).join(", ")}]`;
  const call = (name: string, first: readonly string[], last: readonly string[] = []) =>
    [`net = ${name}(`, ...[...first, sizes.join(", "), ...last].map((line) => `    ${line},`), ")"].join(
      "\n",
    );
  const parallel = model.parallelPatchEmbed ? ["parallel_patch_embed=True"] : [];
  if (model.type === "climax" && model.region) {
    if (model.parallelPatchEmbed) return undefined; // the reference has no such network
    return {
      from: "from climax.regional_forecast.arch import RegionalClimaX",
      call: call("RegionalClimaX", [`default_vars=${list(model.variables)}`]),
    };
  }
  if (model.type === "climax") {
    return {
      from: "from climax.arch import ClimaX",
      call: call("ClimaX", [`default_vars=${list(model.variables)}`], parallel),
    };
  }
  if (model.outputs.length > 1) return undefined; // the reference's has a single output
  return {
    from: "from climax.climate_projection.arch import ClimaXClimateBench",
    call: call(
      "ClimaXClimateBench",
      [
        `default_vars=${list(model.inputs)}`,
        `out_vars=${python(model.outputs[0]!)}`,
        `time_history=${model.history}`,
      ],
      parallel,
    ),
  };
}

/** Names and axes are those that `writeOnnx` gives. */
function onnxruntime(info: CheckpointInfo, { name, normalised = false }: CardFile): Loading {
  const { model, task, grid } = info;
  const inputs = info.inputs ?? info.variables.map((one) => one.name);
  const years = model.type === "projection" ? [model.history] : [];
  const shape = [1, ...years, inputs.length, grid.lat.length, grid.lon.length];
  const hours = task.kind === "forecast" || task.kind === "mean" ? leadOf(info) : 0;
  return {
    with: "onnxruntime",
    language: "python",
    code: [
      "import numpy, onnxruntime",
      `session = onnxruntime.InferenceSession(${python(name)})`,
      `# ${normalised ? "normalised, (field - mean) / std" : "in the units of the table"}, rows from south to north: ${inputs.map(python).join(", ")}`,
      `x = numpy.zeros([${shape.join(", ")}], "float32")`,
      `lead_hours = numpy.array([${hours}], "float32")`,
      `[forecast] = session.run(["forecast"], {"x": x, "lead_hours": lead_hours})`,
      `# ${info.outputs.map(python).join(", ")}`,
    ].join("\n"),
  };
}

/** The longest lead time, hours. */
function leadOf({ leads }: CheckpointInfo): number {
  return Array.isArray(leads) ? Math.max(...leads) : leads.max;
}

/** A text as Python takes it; JSON's quoting is Python's too. */
const python = (text: string) => JSON.stringify(text);
