import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { unpickle } from "../../src/torch/pickle.ts";
import { torchGlobals } from "../../src/torch/torchclasses.ts";
import { TorchTensor, type TorchValue, Unbuilt } from "../../src/torch/torchvalue.ts";
import {
  call,
  global,
  int,
  ints,
  line,
  list,
  type Op,
  text,
  tuple,
  u8,
  utf8,
} from "../support/picklewriter.ts";
import { bytes, float64, load, made, newObject, pairs, refused } from "../support/torchpickle.ts";

describe("Python's own classes become plain data", () => {
  const lr = new Map([["lr", 1]]);

  test.each<[string, Op[], TorchValue]>([
    ["an OrderedDict", [...call("collections", "OrderedDict"), text("lr"), int(1), "SETITEM"], lr],
    [
      "one of pairs, as Python 2 writes it",
      call("collections", "OrderedDict", list([...list([text("lr")], [int(1)])])),
      lr,
    ],
    [
      "one with a state",
      [...call("collections", "OrderedDict"), ...pairs(["_metadata", [int(1)]]), "BUILD"],
      new Map(),
    ],
    [
      "a defaultdict",
      [...call("collections", "defaultdict", [global("builtins", "list")]), text("lr"), int(1), "SETITEM"],
      lr,
    ],
    ["a Counter", call("collections", "Counter", pairs(["lr", [int(1)]])), lr],
    ["a deque", [...call("collections", "deque", ["EMPTY_LIST"], [int(4)]), int(1), "APPEND"], [1]],
    ["a set of protocol 2", call("__builtin__", "set", list([int(1)], [int(2)])), [1, 2]],
    ["a frozenset", call("builtins", "frozenset", list([int(1)])), [1]],
    [
      "bytes of protocol 2",
      call("_codecs", "encode", [text("aÿ")], [text("latin1")]),
      Uint8Array.of(97, 255),
    ],
    ["no bytes of protocol 2", call("__builtin__", "bytes"), new Uint8Array(0)],
    ["a bytearray", call("builtins", "bytearray", [bytes(1, 2)]), Uint8Array.of(1, 2)],
    ["a path", call("pathlib", "PosixPath", [text("/")], [text("data")], [text("a")]), "/data/a"],
    ["a path of Python 3.13", call("pathlib._local", "PosixPath", [text("a")]), "a"],
    ["a Namespace", [...newObject("argparse", "Namespace"), ...pairs(["lr", [int(1)]]), "BUILD"], lr],
    [
      "a Namespace of protocol 1",
      [
        ...call(
          "copy_reg",
          "_reconstructor",
          [global("argparse", "Namespace")],
          [global("__builtin__", "object")],
          ["NONE"],
        ),
        ...pairs(["lr", [int(1)]]),
        "BUILD",
      ],
      lr,
    ],
    [
      "Lightning's AttributeDict",
      [...newObject("pytorch_lightning.utilities.parsing", "AttributeDict"), text("lr"), int(1), "SETITEM"],
      lr,
    ],
    [
      "an object by __newobj__",
      call("copyreg", "__newobj__", [global("collections", "OrderedDict")]),
      new Map(),
    ],
    ["a device", call("torch", "device", [text("cuda")], [int(1)]), "cuda:1"],
    ["a device without index", call("torch", "device", [text("cpu")]), "cpu"],
    [
      "torch.__version__",
      newObject("torch.torch_version", "TorchVersion", [text("2.1.0+cu118")]),
      "2.1.0+cu118",
    ],
    ["a torch.Size", call("torch", "Size", ints(2, 3)), [2, 3]],
  ])("%s", (_, ops, value) => {
    const read = load(ops);
    expect(read.value).toEqual(value);
    expect(read.unbuilt).toEqual([]);
  });

  test.each<[string, string, number[], TorchValue]>([
    ["f8", "<", [0, 0, 0, 0, 0, 0, 0xf0, 0x3f], 1],
    ["f4", "<", [0, 0, 0x80, 0xbf], -1],
    ["f4", ">", [0xbf, 0x80, 0, 0], -1],
    ["f2", "<", [0, 0x3c], 1],
    ["i8", "<", [0, 0, 0, 0, 0, 0, 0, 0x80], -(2n ** 63n)],
    ["i8", "<", [255, 255, 255, 255, 255, 255, 255, 255], -1],
    ["u1", "|", [200], 200],
    ["b1", "|", [1], true],
  ])("numpy's scalar %s (%s)", (code, order, values, wanted) => {
    const dtype: Op[] = [
      ...call("numpy", "dtype", [text(code)], ["NEWFALSE"], ["NEWTRUE"]),
      ...tuple([int(3)], [text(order)], ["NONE"]),
      "BUILD",
    ];
    for (const core of ["core", "_core"]) {
      expect(made(...call(`numpy.${core}.multiarray`, "scalar", dtype, [bytes(...values)]))).toEqual(wanted);
    }
  });

  test("numpy's dates and arrays are left unbuilt", () => {
    const dtype = call("numpy", "dtype", [text("M8")], ["NEWFALSE"], ["NEWTRUE"]);
    expect(made(...call("numpy.core.multiarray", "scalar", dtype, [bytes(1)]))).toBeInstanceOf(Unbuilt);
    const array = call("numpy.core.multiarray", "_reconstruct", [global("numpy", "ndarray")], ints(0), [
      bytes(98),
    ]);
    expect(load([...array, ...tuple([int(1)], ints(3), dtype, ["NEWFALSE"], [bytes(1)]), "BUILD"])).toEqual({
      value: new Unbuilt("numpy.core.multiarray._reconstruct"),
      unbuilt: ["numpy.core.multiarray._reconstruct", "numpy.ndarray"],
    });
  });

  test("OmegaConf's containers become what they contain, though their leaves refer back to them", () => {
    const leaf = (value: Op[]): Op[] => [
      ...newObject("omegaconf.nodes", "AnyNode"),
      ...pairs(
        ["_metadata", newObject("omegaconf.base", "Metadata")],
        ["_parent", [["BINGET", u8(0)]]],
        ["_val", value],
      ),
      "BUILD",
    ];
    const items: Op[] = [
      ...newObject("omegaconf.listconfig", "ListConfig"),
      ...pairs(["_content", list(leaf([int(1)]), leaf([text("b")]))], ["_parent", [["BINGET", u8(0)]]]),
      "BUILD",
    ];
    const read = load([
      ...newObject("omegaconf.dictconfig", "DictConfig"),
      ["BINPUT", u8(0)],
      ...pairs(["_content", pairs(["lr", leaf([float64(5e-4)])], ["list", items])], ["_flags", ["NONE"]]),
      "BUILD",
    ]);
    expect(read.value).toEqual(
      new Map<string, TorchValue>([
        ["lr", 5e-4],
        ["list", [1, "b"]],
      ]),
    );
    expect(read.unbuilt).toEqual(["omegaconf.base.Metadata"]);
  });
});

describe("what is known and of no use is left unbuilt, and named once", () => {
  test.each([
    ["pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"],
    ["lightning.pytorch.callbacks.early_stopping", "EarlyStopping"],
    ["lightning.pytorch.trainer.states", "TrainerFn"],
    ["torch.optim.lr_scheduler", "LambdaLR"],
    ["torch.optim.adamw", "AdamW"],
    ["torch.nn.modules.loss", "MSELoss"],
    ["torch.nn.functional", "gelu"],
    ["torch.cuda.amp.grad_scaler", "GradScaler"],
    ["torchmetrics.aggregation", "MeanMetric"],
    ["climax.utils.lr_scheduler", "LinearWarmupCosineAnnealingLR"],
    ["climax.utils.metrics", "lat_weighted_mse"],
    ["climax.arch", "ClimaX"],
    ["timm.models.vision_transformer", "Block"],
    ["jsonargparse.typing", "Path_fr"],
    ["datetime", "timedelta"],
    ["functools", "partial"],
    ["builtins", "slice"],
    ["numpy.random.mtrand", "RandomState"],
    ["numpy.random._pickle", "__randomstate_ctor"],
  ])("%s.%s", (module, name) => {
    const whole = `${module}.${name}`;
    const object = [...call(module, name, [int(1)]), "EMPTY_DICT", "BUILD"] as Op[];
    expect(load([...object, ...object, "TUPLE2"])).toEqual({
      value: [new Unbuilt(whole), new Unbuilt(whole)],
      unbuilt: [whole],
    });
  });

  test("as keys of a dictionary too: Lightning keyed the states of its callbacks by class", () => {
    const { value } = load([
      "EMPTY_DICT",
      global("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"),
      ...pairs(["best_model_score", [float64(0.5)]]),
      "SETITEM",
    ]);
    const [[key, state]] = [...(value as ReadonlyMap<TorchValue, TorchValue>)] as [[TorchValue, TorchValue]];
    expect(key).toMatchObject({ name: "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint" });
    expect(state).toEqual(new Map([["best_model_score", 0.5]]));
  });

  test("types and dtypes are values without being listed", () => {
    expect(load([global("torch", "float32")])).toMatchObject({
      value: { name: "torch.float32" },
      unbuilt: [],
    });
  });

  test("a member of what is left unbuilt is its name, by getattr; of anything else, or a hidden one, is refused", () => {
    const scheduler = [global("torch.optim.lr_scheduler", "OneCycleLR")];
    expect(made(...call("__builtin__", "getattr", scheduler, [text("_annealing_cos")]))).toEqual(
      new Unbuilt("torch.optim.lr_scheduler.OneCycleLR._annealing_cos"),
    );
    const found = (what: string) =>
      `it takes an attribute of ${what} by builtins.getattr, which weights have no need of | ` +
      "nothing was run; if the source is trusted, load it in Python and save its state_dict alone";
    expect(refused(call("builtins", "getattr", [text("x")], [text("y")]))).toBe(found('the text "x"'));
    expect(refused(call("builtins", "getattr", scheduler, [text("__globals__")]))).toBe(
      found('"torch.optim.lr_scheduler.OneCycleLR"'),
    );
    expect(refused(call("builtins", "getattr", scheduler, [text("system")]))).toBe(
      found('"torch.optim.lr_scheduler.OneCycleLR"'),
    );
    const method = call("builtins", "getattr", newObject("torch.optim.lr_scheduler", "OneCycleLR"), [
      text("a"),
    ]);
    expect(made(...method)).toEqual(new Unbuilt("torch.optim.lr_scheduler.OneCycleLR.a"));
  });
});

describe("everything else is refused by name", () => {
  const DANGER =
    "nothing was run; weights have no need of it, so it is refused whatever is allowed: " +
    "do not load this file in Python, and ask where it comes from";

  test.each([
    ["os", "system"],
    ["posix", "system"],
    ["nt", "system"],
    ["subprocess", "Popen"],
    ["builtins", "eval"],
    ["__builtin__", "eval"],
    ["builtins", "exec"],
    ["builtins", "__import__"],
    ["builtins", "open"],
    ["importlib", "import_module"],
    ["runpy", "_run_code"],
    ["torch.hub", "load"],
    ["pickle", "loads"],
    ["operator", "attrgetter"],
    ["types", "FunctionType"],
    ["ctypes", "CDLL"],
    ["multiprocessing.util", "spawnv_passfds"],
    ["sys", "modules"],
  ])("%s.%s can run a program, and no permission admits it", (module, name) => {
    const whole = `${module.replace("__builtin__", "builtins")}.${name}`;
    const wanted = `it names "${whole}", which can run a program when Python loads the file | ${DANGER}`;
    for (const allow of [[], [whole, `${module}.${name}`]]) {
      expect(refused([global(module, name)], allow)).toBe(wanted);
      expect(refused([text(module), text(name), "STACK_GLOBAL"], allow)).toBe(wanted);
      expect(refused(["MARK", text("id"), ["INST", line(module), line(name)]], allow)).toBe(wanted);
    }
  });

  test.each<[string, string, string]>([
    [
      "somebody.models",
      "Net",
      "if the source is trusted, --allow somebody.models.Net leaves such objects out",
    ],
    ["climax.arch", "os", "if the source is trusted, --allow climax.arch.os leaves such objects out"],
    [
      "lightning.pytorch.cli",
      "Popen",
      "if the source is trusted, --allow lightning.pytorch.cli.Popen leaves such objects out",
    ],
    ["torch", "load", "if the source is trusted, --allow torch.load leaves such objects out"],
    [
      "torch.optim",
      "os.system",
      "if the source is trusted, --allow torch.optim.os.system leaves such objects out",
    ],
    [
      "pytorch_lightning.cli",
      "sys.modules",
      "if the source is trusted, --allow pytorch_lightning.cli.sys.modules leaves such objects out",
    ],
    [
      "constructor",
      "__proto__",
      "if the source is trusted, --allow constructor.__proto__ leaves such objects out",
    ],
  ])("%s.%s", (module, name, mend) => {
    expect(refused([global(module, name)])).toBe(
      `it names "${module}.${name}", which is not among the classes that are known to be harmless | nothing was run; ${mend}`,
    );
  });

  test.each<[string, string, string]>([
    ["torch._utils", "_rebuild_sparse_tensor", "save the tensor dense: tensor.to_dense()"],
    ["torch._utils", "_rebuild_qtensor", "save the tensor as numbers: tensor.dequantize()"],
    ["torch._utils", "_rebuild_device_tensor_from_numpy", "save the tensor from the CPU: tensor.cpu()"],
    ["torch", "ComplexFloatStorage", "save its tensors as float32: tensor.float()"],
    [
      "__torch__.net",
      "Net",
      "it is TorchScript: load it with torch.jit.load and save its state_dict() with torch.save",
    ],
    ["torch.storage", "_load_from_bytes", "write the file with torch.save instead of pickle.dump"],
  ])("%s.%s is not read, and says what to save instead", (module, name, mend) => {
    expect(refused([global(module, name)])).toBe(
      `it names "${module}.${name}", which is not read here | ${mend}`,
    );
  });

  test("what is allowed is left out, and named", () => {
    const ops = [...newObject("somebody.models", "Net"), ...pairs(["a", [int(1)]]), "BUILD"] as Op[];
    expect(load(ops, ["somebody.models.Net"])).toEqual({
      value: new Unbuilt("somebody.models.Net"),
      unbuilt: ["somebody.models.Net"],
    });
    expect(() => load(ops, ["somebody.models", "Net", "somebody.models.Ne"])).toThrow("somebody.models.Net");
  });

  test("control characters in a name do not reach the terminal", () => {
    expect(refused([text("a\u001b[2J"), text("b\r"), "STACK_GLOBAL"])).toContain('"a\\u{1b}[2J.b\\u{d}"');
  });

  test.each<[string, Op[], string]>([
    [
      "pairs that are none",
      call("builtins", "dict", list([int(1)])),
      "the number 1 stands where a key and its value are wanted",
    ],
    ["a set of a number", call("builtins", "set", [int(1)]), "the number 1 stands where a list is wanted"],
    [
      "bytes in another encoding",
      call("_codecs", "encode", [text("a")], [text("zlib")]),
      'bytes are to be made of the text "a"',
    ],
    [
      "bytes beyond Latin-1",
      call("_codecs", "encode", [text("€")], [text("latin1")]),
      "a text stands for bytes and has characters beyond them",
    ],
    [
      "a bytearray of a length",
      call("builtins", "bytearray", [int(2 ** 30)]),
      "bytes are to be made of the number 1073741824",
    ],
    ["a path of numbers", call("pathlib", "PosixPath", [int(1)]), "the number 1 stands in a path"],
    [
      "a short scalar",
      call("numpy.core.multiarray", "scalar", call("numpy", "dtype", [text("f8")]), [bytes(1)]),
      "a number of numpy's type f8 is to be made of a run of bytes",
    ],
    ["a Size of a number", call("torch", "Size", [int(1)]), "a torch.Size is to be made of the number 1"],
    [
      "a device of a number",
      call("torch", "device", [int(1)]),
      "a torch.device is to be made of the number 1",
    ],
  ])("%s", (_, ops, found) => {
    expect(refused(ops)).toBe(
      `${found} | copy or download it again; if it is whole, torch.save did not write it`,
    );
  });
});

test("a text that only looks like a class is a text", () => {
  expect(made(["SHORT_BINUNICODE", u8(9), utf8("os.system")])).toBe("os.system");
});

const python = "/usr/bin/python3";
const noTorch = spawnSync(python, ["-c", "import torch, numpy"]).status !== 0;

describe.skipIf(noTorch)("as Lightning saves it (skipped without /usr/bin/python3 with torch)", () => {
  /** As JSON would have it; an unbuilt object by its name, a tensor by its shape. */
  function plain(value: TorchValue): unknown {
    if (value instanceof Unbuilt) return `<${value.name}>`;
    if (value instanceof TorchTensor) return { shape: value.shape };
    if (value instanceof Uint8Array) return { bytes: [...value] };
    if (value instanceof Map) {
      return Object.fromEntries([...value].map(([key, item]) => [String(plain(key)), plain(item)]));
    }
    return Array.isArray(value) ? value.map(plain) : value;
  }

  test("callbacks, hyper-parameters, loops, optimisers and schedules, in protocols 2 and 4", () => {
    const { stdout, stderr, status } = spawnSync(python, ["test/support/lightninglike.py"], {
      encoding: "utf8",
    });
    expect(status, stderr).toBe(0);
    const pickles = JSON.parse(stdout) as string[];
    expect(pickles.length).toBe(2);
    for (const base64 of pickles) {
      const torch = torchGlobals("a.ckpt", []);
      const { value } = unpickle(Buffer.from(base64, "base64"), {
        path: "a.ckpt",
        globals: torch.resolver,
        persistent: torch.storage,
      });
      const read = plain(value) as Record<string, Record<string, unknown>>;
      expect(read).toMatchObject({
        epoch: 3,
        global_step: 1234,
        "pytorch-lightning_version": "1.9.0",
        state_dict: {
          "0.weight": { shape: [3, 4] },
          "1.running_var": { shape: [3] },
          "1.num_batches_tracked": { shape: [] },
        },
        loops: {
          fit_loop: { state_dict: {}, epoch_progress: { total: { ready: 4 } } },
          // Python 3.11 names the member, others its value.
          stage: expect.stringMatching(/^<pytorch_lightning\.trainer\.states\.TrainerFn(\.FITTING)?>$/),
        },
        optimizer_states: [
          {
            state: { 0: { exp_avg: { shape: [3, 4] } } },
            param_groups: [{ betas: expect.any(Array), params: [0, 1, 2, 3] }],
          },
        ],
        lr_schedulers: [{ total_steps: 10 }, { lambdas: [null, "<functools.partial>"] }],
      });
      expect(read.callbacks).toEqual({
        "<pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint>": {
          best_model_score: 0.25,
          best_model_path: "/runs/a.ckpt",
        },
        "ModelCheckpoint{'monitor': 'val/loss'}": { best_model_score: { shape: [] }, current_score: 1 },
      });
      expect(read.hyper_parameters).toEqual({
        ...{ lr: 5e-4, vars: ["2m_temperature"], region: null, kind: "<torch.float16>", device: "cuda:0" },
        ...{ size: [2, 3], config: { depth: 8, name: "climax" }, loss: "<torch.nn.modules.loss.MSELoss>" },
        ...{ args: { seed: 1 }, when: "<datetime.datetime>", counts: { a: 2, b: 1 } },
        ...{
          lat: expect.stringMatching(/^<numpy\._?core\.multiarray\._reconstruct>$/), // NumPy 2 has the underscore
          many: { a: [1] },
          mask: [1, 2],
          raw: { bytes: [0, 255] },
        },
        ...{ function: "<torch._C._nn.gelu>", optimizer: "<torch.optim.adamw.AdamW>" },
        ...{ metric: "<torchmetrics.aggregation.MeanMetric>", seed: 2 ** 40 },
      });
      const named = (...schedule: string[]): string[] => [
        "climax.utils.lr_scheduler.LinearWarmupCosineAnnealingLR",
        "datetime.datetime",
        "functools.partial",
        "numpy.core.multiarray._reconstruct",
        "numpy.ndarray",
        "omegaconf.base.ContainerMetadata",
        "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
        "pytorch_lightning.trainer.states.TrainerFn",
        "torch._C._nn.gelu",
        "torch.nn.modules.loss.MSELoss",
        "torch.optim.adamw.AdamW",
        ...schedule,
        "torchmetrics.aggregation.MeanMetric",
      ];
      const unbuilt = [...torch.unbuilt].sort().map((name) => name.replace("numpy._core.", "numpy.core.")); // NumPy 2
      // PyTorch 1.13 stores a method of the schedule, 2.6 nothing of its class.
      expect([named("torch.optim.lr_scheduler.OneCycleLR"), named()]).toContainEqual(unbuilt);
    }
  });
});
