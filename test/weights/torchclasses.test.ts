import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { unpickle } from "../../src/weights/pickle.ts";
import { torchGlobals } from "../../src/weights/torchclasses.ts";
import { TorchTensor, type TorchValue, Unbuilt } from "../../src/weights/torchvalue.ts";
import {
  assemble,
  call,
  global,
  int,
  ints,
  line,
  list,
  type Op,
  storage,
  text,
  tuple,
  u8,
  u32,
  utf8,
} from "../support/picklewriter.ts";
import { refusal } from "../support/refusal.ts";

function load(ops: readonly Op[], allow: readonly string[] = []) {
  const torch = torchGlobals("a.ckpt", allow);
  const { value } = unpickle(assemble(...ops, "STOP"), {
    path: "a.ckpt",
    globals: torch.resolver,
    persistent: torch.storage,
  });
  return { value, unbuilt: [...torch.unbuilt] };
}
const made = (...ops: Op[]): TorchValue => load(ops).value;
/** What follows the byte in the message, and the hint. */
const refused = (ops: readonly Op[], allow: readonly string[] = []) =>
  refusal(() => load(ops, allow)).replace(
    /^checkpoint: a\.ckpt holds a pickle that cannot be read: at its byte \d+, \w+ fails: /,
    "",
  );
const newObject = (module: string, name: string, ...args: Op[][]): Op[] => [
  global(module, name),
  ...tuple(...args),
  "NEWOBJ",
];
const float64 = (value: number): Op => {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return ["BINFLOAT", new Uint8Array(view.buffer)];
};
const bytes = (...values: number[]): Op => ["SHORT_BINBYTES", u8(values.length), values];
const pairs = (...entries: (readonly [string, Op[]])[]): Op[] => [
  "EMPTY_DICT",
  "MARK",
  ...entries.flatMap(([key, value]) => [text(key), ...value]),
  "SETITEMS",
];

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

describe("storages", () => {
  const { storage: read } = torchGlobals("a.ckpt", []);
  const type = (name: string) => made(global("torch", name));
  const id = (more: readonly TorchValue[] = [], key: TorchValue = "0", length: TorchValue = 6) => [
    "storage",
    type("FloatStorage"),
    key,
    "cuda:0",
    length,
    ...more,
  ];

  test.each([
    ...[
      ["Float", "F32"],
      ["Double", "F64"],
      ["Half", "F16"],
      ["BFloat16", "BF16"],
      ["Long", "I64"],
    ],
    ...[
      ["Int", "I32"],
      ["Short", "I16"],
      ["Char", "I8"],
      ["Byte", "U8"],
      ["Bool", "BOOL"],
    ],
  ])("torch.%sStorage is %s", (name, dtype) => {
    const storages = torchGlobals("a.ckpt", []);
    const value = ["storage", type(`${name}Storage`), "0", "cpu", 6];
    expect(storages.storage(value)).toMatchObject({ key: "0", dtype, length: 6, part: [0, 6] });
  });

  test("the view of files before PyTorch 1.6", () => {
    expect(read(id([null]))).toMatchObject({ length: 6, part: [0, 6] });
    expect(read(id([["7", 2, 3]]))).toMatchObject({ length: 6, part: [2, 5] });
  });

  test.each<[string, () => TorchValue, string]>([
    ["no tuple", () => "0", 'the text "0" stands where the five or six parts of a storage\'s id are wanted'],
    [
      "too few parts",
      () => ["storage"],
      "a list stands where the five or six parts of a storage's id are wanted",
    ],
    [
      "another thing",
      () => ["file", null, "0", "cpu", 6],
      'the text "file" stands where "storage" is wanted',
    ],
    [
      "no type",
      () => ["storage", "FloatStorage", "0", "cpu", 6],
      'the text "FloatStorage" stands where a class of storages is wanted',
    ],
    [
      "another class",
      () => ["storage", made(global("collections", "OrderedDict")), "0", "cpu", 6],
      '"collections.OrderedDict" stands where a class of storages is wanted',
    ],
    ["a path as key", () => id([], "../../etc/passwd"), 'a storage is named the text "../../etc/passwd"'],
    ["a number as key", () => id([], 5), "a storage is named the number 5"],
    ["a negative length", () => id([], "0", -1), "storage 0 claims the number -1 elements"],
    ["a fraction", () => id([], "0", 0.5), "storage 0 claims the number 0.5 elements"],
    ["a huge length", () => id([], "0", 2n ** 60n), "storage 0 claims a long integer elements"],
    [
      "another length than before",
      () => id([], "0", 7),
      "storage 0 was 6 elements of F32 and is now 7 elements of F32",
    ],
    ["a view beyond it", () => id([["7", 4, 3]]), "a view of storage 0 takes elements 4 to 7 of 6"],
    ["no view", () => id([["7", 4]]), "the view of storage 0 is a list"],
  ])("%s is refused", (_, idOf, found) => {
    const value = idOf();
    expect(refusal(() => read(value))).toBe(
      `checkpoint: a.ckpt is no sound PyTorch file: ${found} | copy or download it again`,
    );
  });

  test("a whole module is refused with what to save instead", () => {
    expect(refusal(() => read(["module", null, "a.py", "class A", 1]))).toBe(
      "checkpoint: a.ckpt is no sound PyTorch file: a whole module was saved, with its program | " +
        "save its weights alone: torch.save(model.state_dict(), path)",
    );
  });
});

describe("tensors", () => {
  const f32 = storage("FloatStorage", "0", 6);
  const rebuilt = (name: string, ...args: Op[][]) => call("torch._utils", `_rebuild_${name}`, ...args);
  const view = (offset: number, shape: number[], strides: number[], of: Op[] = f32) =>
    rebuilt(
      "tensor_v2",
      of,
      [int(offset)],
      ints(...shape),
      ints(...strides),
      ["NEWFALSE"],
      call("collections", "OrderedDict"),
    );
  const plain = { key: "0", dtype: "F32", length: 6 } as const;

  test.each<[string, Op[], TorchTensor]>([
    ["_v2", view(1, [2, 2], [3, 1]), new TorchTensor(plain, 1, [2, 2], [3, 1])],
    ["no version", rebuilt("tensor", f32, [int(0)], ints(6), ints(1)), new TorchTensor(plain, 0, [6], [1])],
    ["of no dimension", view(5, [], []), new TorchTensor(plain, 5, [], [])],
    ["of no element, wherever it begins", view(9, [0, 4], [4, 1]), new TorchTensor(plain, 9, [0, 4], [4, 1])],
    ["of one row with an odd stride", view(0, [1, 6], [999, 1]), new TorchTensor(plain, 0, [1, 6], [999, 1])],
    [
      "a parameter",
      rebuilt("parameter", view(0, [6], [1]), ["NEWTRUE"], ["EMPTY_DICT"]),
      new TorchTensor(plain, 0, [6], [1]),
    ],
    [
      "a parameter with a state",
      [
        ...rebuilt("parameter_with_state", view(0, [6], [1]), ["NEWTRUE"], ["EMPTY_DICT"], ["EMPTY_DICT"]),
        "EMPTY_DICT",
        "BUILD",
      ],
      new TorchTensor(plain, 0, [6], [1]),
    ],
    [
      "a Parameter of early versions",
      [...call("torch.nn.parameter", "Parameter", view(0, [6], [1])), ...tuple(["NEWTRUE"]), "BUILD"],
      new TorchTensor(plain, 0, [6], [1]),
    ],
    [
      "with attributes",
      call(
        "torch._tensor",
        "_rebuild_from_type_v2",
        [global("torch._utils", "_rebuild_tensor_v2")],
        [global("torch.nn.parameter", "Parameter")],
        tuple(f32, [int(2)], ints(2), ints(1), ["NEWFALSE"], ["EMPTY_DICT"]),
        pairs(["a", [int(1)]]),
      ),
      new TorchTensor(plain, 2, [2], [1]),
    ],
    [
      "over a view of an early file",
      view(1, [2], [1], storage("FloatStorage", "0", 6, tuple([text("9")], [int(3)], [int(3)]))),
      new TorchTensor(plain, 4, [2], [1]),
    ],
    [
      "over an untyped storage",
      rebuilt(
        "tensor_v3",
        storage("UntypedStorage", "4", 9),
        [int(1)],
        ints(3),
        ints(1),
        ["NEWFALSE"],
        ["EMPTY_DICT"],
        [global("torch", "float16")],
      ),
      new TorchTensor({ key: "4", dtype: "F16", length: 4 }, 1, [3], [1]),
    ],
  ])("%s", (_, ops, tensor) => {
    expect(made(...ops)).toEqual(tensor);
  });

  test("tensors that share a storage share it here", () => {
    const [a, b] = made(...tuple(view(0, [3], [1]), view(3, [3], [1]))) as TorchTensor[];
    expect(a!.storage).toBe(b!.storage);
  });

  const metadata = (bit: string) => pairs([bit, ["NEWTRUE"]]);
  const big = (value: number): Op[] => [
    ["LONG1", u8(8), [...u32(value % 2 ** 32), ...u32(Math.floor(value / 2 ** 32))]],
  ];
  test.each<[string, Op[], string]>([
    [
      "beyond its storage",
      view(1, [6], [1]),
      "a tensor of shape [6] with strides [1] from element 1 reaches element 6 of a storage of 6 (F32)",
    ],
    [
      "beyond it by its strides",
      view(0, [2, 2], [5, 2]),
      "a tensor of shape [2,2] with strides [5,2] from element 0 reaches element 7 of a storage of 6 (F32)",
    ],
    [
      "beyond its view",
      view(2, [2], [1], storage("FloatStorage", "0", 6, tuple([text("9")], [int(3)], [int(3)]))),
      "a tensor of shape [2] with strides [1] from element 2 reaches element 3 of a storage of 3 (F32)",
    ],
    ["a negative offset", view(-1, [1], [1]), "a tensor begins at element -1"],
    [
      "texts for sizes",
      rebuilt("tensor", f32, [int(0)], tuple([text("\u001b[2J")], ["NONE"]), ints(1)),
      "the shape of a tensor is [\\u{1b}[2J,?]",
    ],
    ["a negative stride", view(5, [2], [-1]), "the list of strides of a tensor is [-1]"],
    ["a negative size", view(0, [-2], [1]), "the shape of a tensor is [-2]"],
    [
      "a fractional size",
      rebuilt("tensor", f32, [int(0)], tuple([float64(0.5)]), ints(1)),
      "the shape of a tensor is [0.5]",
    ],
    [
      "a size beyond 2^53",
      rebuilt("tensor", f32, [int(0)], tuple(big(2 ** 60)), ints(1)),
      `the shape of a tensor is [1152921504606846976]`,
    ],
    [
      "sizes whose product overflows",
      rebuilt("tensor", f32, [int(0)], tuple(big(2 ** 52), big(2 ** 52)), tuple(big(2 ** 52), [int(1)])),
      `a tensor of shape [${2 ** 52},${2 ** 52}] with strides [${2 ** 52},1] from element 0 reaches element ${(2 ** 52 - 1) * 2 ** 52 + 2 ** 52 - 1} of a storage of 6 (F32)`,
    ],
    [
      "as many strides as sizes",
      view(0, [2], [1, 1]),
      "a tensor of shape [2] with strides [1,1] from element 0 has not one stride for each dimension",
    ],
    [
      "65 dimensions",
      view(0, Array(65).fill(1), Array(65).fill(1)),
      "a tensor has 65 dimensions, and torch knows at most 64",
    ],
    ["no shape", rebuilt("tensor", f32, [int(0)], [int(6)], ints(1)), "the shape of a tensor is 6"],
    [
      "a stride of 0 that repeats without end",
      view(0, [2 ** 20, 2 ** 20], [0, 0]),
      "a tensor of shape [1048576,1048576] with strides [0,0] from element 0 repeats the 6 elements of its storage until they are 1099511627776",
    ],
    [
      "no storage",
      rebuilt("tensor", [text("0")], [int(0)], ints(1), ints(1)),
      'the text "0" stands where a tensor\'s storage is wanted',
    ],
    ["too few values", rebuilt("tensor_v2", f32), "a tensor is given by 1 values, and 4 to 7 are wanted"],
    [
      "an untyped storage and no dtype",
      view(0, [1], [1], storage("UntypedStorage", "4", 9)),
      "a tensor over an untyped storage says no dtype",
    ],
    [
      "a parameter of a number",
      rebuilt("parameter", [int(1)], ["NEWTRUE"], ["EMPTY_DICT"]),
      "a parameter is to be made of the number 1",
    ],
    [
      "a storage that is called",
      call("torch", "FloatStorage", [int(2 ** 30)]),
      "a storage is called instead of being referred to",
    ],
  ])("%s is refused", (_, ops, found) => {
    expect(refused(ops)).toBe(
      `${found} | copy or download it again; if it is whole, torch.save did not write it`,
    );
  });

  test("bits that torch applies only on reading are refused with their mend", () => {
    const ops = rebuilt(
      "tensor_v2",
      f32,
      [int(0)],
      ints(6),
      ints(1),
      ["NEWFALSE"],
      ["EMPTY_DICT"],
      metadata("neg"),
    );
    expect(refused(ops)).toBe("a tensor is stored with its neg bit set | save it after tensor.resolve_neg()");
  });

  test("a dtype that is not ours is refused by name", () => {
    const ops = rebuilt(
      "tensor_v3",
      storage("UntypedStorage", "4", 9),
      [int(0)],
      ints(1),
      ints(1),
      ["NEWFALSE"],
      ["EMPTY_DICT"],
      [text("float8")],
    );
    expect(refused(ops)).toBe(
      'a tensor has the dtype the text "float8" | save its tensors as float32: tensor.float()',
    );
    expect(refused([global("torch", "float8_e4m3fn")])).toContain('it names "torch.float8_e4m3fn"');
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
          lat: "<numpy.core.multiarray._reconstruct>",
          many: { a: [1] },
          mask: [1, 2],
          raw: { bytes: [0, 255] },
        },
        ...{ function: "<torch._C._nn.gelu>", optimizer: "<torch.optim.adamw.AdamW>" },
        ...{ metric: "<torchmetrics.aggregation.MeanMetric>", seed: 2 ** 40 },
      });
      expect([...torch.unbuilt].sort()).toEqual([
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
        "torch.optim.lr_scheduler.OneCycleLR",
        "torchmetrics.aggregation.MeanMetric",
      ]);
    }
  });
});
