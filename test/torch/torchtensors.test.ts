import { describe, expect, test } from "vitest";
import { torchGlobals } from "../../src/torch/torchclasses.ts";
import { TorchTensor, type TorchValue } from "../../src/torch/torchvalue.ts";
import { call, global, int, ints, type Op, storage, text, tuple, u8, u32 } from "../support/picklewriter.ts";
import { refusal } from "../support/refusal.ts";
import { float64, made, pairs, refused } from "../support/torchpickle.ts";

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
    expect(refusal(() => read(["module", null, "a.py", "class A"]))).toBe(
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
