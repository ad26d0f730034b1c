import { describe, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { unpickle } from "../../src/torch/pickle.ts";
import { opcodes } from "../../src/torch/pickleopcodes.ts";
import { torchGlobals } from "../../src/torch/torchclasses.ts";
import * as pickle from "../support/picklewriter.ts";
import { assemble, int, line, type Op, text, u8, u64 } from "../support/picklewriter.ts";
import { generator } from "../support/xorshift.ts";

const SAMPLE = assemble(
  ["PROTO", u8(4)],
  ["FRAME", u64(300)],
  ...pickle.list(
    [text("epoch")],
    [["LONG1", u8(2), [1, 2]]],
    [["BINFLOAT", u64(0)]],
    [["UNICODE", line("a\\u0041")]],
  ),
  "MEMOIZE",
  ...pickle.call("collections", "OrderedDict"),
  "EMPTY_DICT",
  "BUILD",
  ...pickle.call(
    "torch._utils",
    "_rebuild_tensor_v2",
    pickle.storage("FloatStorage", "0", 12),
    [int(2)],
    pickle.ints(2, 3),
    pickle.ints(3, 1),
    ["NEWFALSE"],
    pickle.call("collections", "OrderedDict"),
  ),
  "TUPLE3",
  ["BINPUT", u8(9)],
  ["BINGET", u8(9)],
  "POP",
  ["SHORT_BINBYTES", u8(3), [1, 2, 3]],
  "NONE",
  "NEWTRUE",
  "TUPLE3",
  "STOP",
  ...Array.from({ length: 100 }, (): Op => "NONE"),
);

/** Reads, or refuses; whatever else is thrown is a bug. */
function survives(bytes: Uint8Array): boolean {
  const torch = torchGlobals("fuzz.ckpt", []);
  try {
    unpickle(bytes, { path: "fuzz.ckpt", globals: torch.resolver, persistent: torch.storage });
    return true;
  } catch (error) {
    if (error instanceof ClimaxError && error.kind === "checkpoint") return false;
    throw error;
  }
}

describe("fuzz: nothing but a value or a refusal comes back", () => {
  test("cut off at every byte", () => {
    const whole = SAMPLE.indexOf(opcodes.STOP, SAMPLE.length - 102) + 1;
    expect(survives(SAMPLE)).toBe(true);
    for (let length = 0; length < whole; length++) expect(survives(SAMPLE.subarray(0, length))).toBe(false);
  });

  test("every bit flipped", () => {
    let read = 0;
    for (let bit = 0; bit < 8 * SAMPLE.length; bit++) {
      const bytes = SAMPLE.slice();
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      if (survives(bytes)) read++;
    }
    expect(read).toBeGreaterThan(800); // at least the flips after STOP
  });

  test("random opcodes with random operands", () => {
    const codes = Object.values(opcodes);
    const random = generator(1);
    const classes: readonly (readonly [string, string])[] = [
      ["builtins", "set"],
      ["collections", "OrderedDict"],
      ["torch", "FloatStorage"],
      ["torch._utils", "_rebuild_tensor_v2"],
      ["argparse", "Namespace"],
      ["numpy", "dtype"],
      ["numpy.core.multiarray", "scalar"],
      ["pathlib", "PosixPath"],
      ["copyreg", "_reconstructor"],
      ["builtins", "getattr"],
      ["_codecs", "encode"],
      ["omegaconf.dictconfig", "DictConfig"],
    ];
    let read = 0;
    for (let round = 0; round < 4000; round++) {
      const bytes: number[] = [];
      for (let n = random(40); n >= 0; n--) {
        const kind = random(4);
        if (kind === 0) bytes.push(...assemble(pickle.global(...classes[random(classes.length)]!)));
        else if (kind === 1)
          bytes.push(
            ...assemble(
              (["EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE", "MARK", "NONE"] as const)[random(5)]!,
              text("f8"),
            ),
          );
        else if (kind === 2) bytes.push(codes[random(codes.length)]!, random(4), 0, 0, 0);
        else
          bytes.push(
            ...assemble(
              (
                [
                  "REDUCE",
                  "TUPLE",
                  "BUILD",
                  "TUPLE2",
                  "APPENDS",
                  "SETITEM",
                  "DUP",
                  "TUPLE1",
                  "NEWOBJ",
                ] as const
              )[random(9)]!,
            ),
          );
      }
      bytes.push(opcodes.STOP);
      if (survives(Uint8Array.from(bytes))) read++;
    }
    expect(read).toBeGreaterThan(50);
  });
});
