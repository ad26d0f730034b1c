import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { unpickle } from "../../src/torch/pickle.ts";
import { PickleGlobal } from "../../src/torch/pickleglobal.ts";
import { opcodes } from "../../src/torch/pickleopcodes.ts";
import { MOST_WORK } from "../../src/torch/picklereader.ts";
import { torchGlobals } from "../../src/torch/torchclasses.ts";
import { type TorchValue, Unbuilt } from "../../src/torch/torchvalue.ts";
import * as pickle from "../support/picklewriter.ts";
import { assemble, int, line, type Op, text, u8, u16, u32, u64, utf8 } from "../support/picklewriter.ts";

/** Every name is left unbuilt, but for one that gives back its arguments and one that keeps its state. */
const globals = (module: string, name: string): PickleGlobal => {
  if (name === "echo") return new PickleGlobal("echo", (args) => [...args]);
  const keep = (map: TorchValue, state: TorchValue) =>
    void (map as Map<string, TorchValue>).set("state", state);
  if (name === "keeps") return new PickleGlobal("keeps", () => new Map(), keep);
  return new PickleGlobal(`${module}.${name}`);
};
const options = { path: "a.ckpt", globals };
const load = (...ops: readonly Op[]) => unpickle(assemble(...ops, "STOP"), options).value;
const refusal = (bytes: Uint8Array, more: object = {}): string => {
  try {
    unpickle(bytes, { ...options, ...more });
  } catch (error) {
    if (!(error instanceof ClimaxError)) throw error;
    expect(error.kind).toBe("checkpoint");
    expect(error.hint.length).toBeGreaterThan(10);
    return error.message;
  }
  throw new Error("it was read");
};
const refused = (...ops: readonly Op[]) => refusal(assemble(...ops));
const SOUND = "a.ckpt holds a pickle that cannot be read: at its byte";

describe("values", () => {
  test.each<[string, Op, TorchValue]>([
    ["None", "NONE", null],
    ["True", "NEWTRUE", true],
    ["False", "NEWFALSE", false],
    ["True of protocol 0", ["INT", line("01")], true],
    ["False of protocol 0", ["INT", line("00")], false],
    ["1 of protocol 0", ["INT", line("1")], 1],
    ["a signed line", ["INT", line("-25")], -25],
    ["a line beyond 2^53", ["INT", line("9007199254740993")], 9007199254740993n],
    ["a long line", ["LONG", line("-12345678901234567890L")], -12345678901234567890n],
    ["4 bytes", ["BININT", [0xff, 0xff, 0xff, 0xff]], -1],
    ["4 bytes, the least", ["BININT", u32(0x80000000)], -(2 ** 31)],
    ["1 byte", ["BININT1", [255]], 255],
    ["2 bytes", ["BININT2", u16(0xfffe)], 0xfffe],
    ["no byte", ["LONG1", [0]], 0],
    ["-1 in one byte", ["LONG1", [1, 0xff]], -1],
    ["128 in two", ["LONG1", [2, 0x80, 0]], 128],
    ["2^32 + 1", ["LONG1", [5, 1, 0, 0, 0, 1]], 2 ** 32 + 1],
    ["2^63", ["LONG1", [9, ...u64(2n ** 63n), 0]], 2n ** 63n],
    ["-2^63", ["LONG1", [8, ...u64(2n ** 63n)]], -(2n ** 63n)],
    ["the greatest exact number", ["LONG1", [8, ...u64(2 ** 53 - 1)]], 2 ** 53 - 1],
    ["the first inexact one", ["LONG1", [8, ...u64(2 ** 53)]], 2n ** 53n],
    ["a long of 4 bytes' length", ["LONG4", u32(3), [0, 0, 0x80]], -(2 ** 23)],
    ["a float of protocol 0", ["FLOAT", line("-1e-05")], -1e-5],
    ["an infinity of protocol 0", ["FLOAT", line("-inf")], -Infinity],
    ["NaN of protocol 0", ["FLOAT", line("nan")], Number.NaN],
    ["a float", ["BINFLOAT", [0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a]], 0.1],
    ["-0", ["BINFLOAT", [0x80, 0, 0, 0, 0, 0, 0, 0]], -0],
    ["a quoted string", ["STRING", line(`'it\\'s \\x41\\102\\n\\\\'`)], "it's AB\n\\"],
    ["a string of Python 2", ["BINSTRING", u32(3), utf8("abc")], "abc"],
    ["a short one", ["SHORT_BINSTRING", u8(2), utf8("é")], "é"],
    ["an escaped text", ["UNICODE", [0xe9, ...line("\\u20ac\\U0001f600\\u005c\\u000a")]], "é€😀\\\n"],
    ["a text", text("né 😀"), "né 😀"],
    ["a short text", ["SHORT_BINUNICODE", u8(0)], ""],
    ["a text with a long length", ["BINUNICODE8", u64(2), utf8("ok")], "ok"],
    ["bytes", ["BINBYTES", u32(2), [0, 255]], Uint8Array.of(0, 255)],
    ["short bytes", ["SHORT_BINBYTES", u8(1), [7]], Uint8Array.of(7)],
    ["bytes with a long length", ["BINBYTES8", u64(1), [8]], Uint8Array.of(8)],
    ["a bytearray", ["BYTEARRAY8", u64(1), [9]], Uint8Array.of(9)],
  ])("%s", (_, op, value) => {
    expect(load(op)).toEqual(value);
  });

  test("a byte order mark is part of the text", () => {
    expect(load(text("\ufeffé"))).toBe("\ufeffé");
  });

  test("bytes are copies: the file's buffer can go", () => {
    const bytes = Buffer.from(assemble(["SHORT_BINBYTES", u8(1), [7]], "STOP"));
    const { value } = unpickle(bytes, options);
    bytes.fill(0);
    expect(value).toEqual(Uint8Array.of(7));
  });

  test("the text of a line keeps what Python wrote before its escapes", () => {
    expect(load(["UNICODE", [0xff, 0x0a]])).toBe("ÿ");
  });
});

describe("containers, stack and memo", () => {
  const one = int(1);
  const two = int(2);
  test.each<[string, Op[], TorchValue]>([
    ["TUPLE1", [one, "TUPLE1"], [1]],
    ["TUPLE3", [one, two, "NONE", "TUPLE3"], [1, 2, null]],
    ["TUPLE", ["MARK", one, two, "NONE", one, "TUPLE"], [1, 2, null, 1]],
    ["LIST", ["MARK", one, two, "LIST"], [1, 2]],
    ["APPEND and APPENDS", ["EMPTY_LIST", one, "APPEND", "MARK", two, "NONE", "APPENDS"], [1, 2, null]],
    ["DICT", ["MARK", text("a"), one, "DICT"], new Map([["a", 1]])],
    [
      "SETITEM and SETITEMS",
      ["EMPTY_DICT", text("b"), one, "SETITEM", "MARK", text("__proto__"), two, "SETITEMS"],
      new Map([
        ["b", 1],
        ["__proto__", 2],
      ]),
    ],
    ["sets", ["EMPTY_SET", "MARK", one, two, "ADDITEMS", "MARK", one, "FROZENSET", "TUPLE2"], [[1, 2], [1]]],
    ["POP, POP_MARK and DUP", [one, two, "POP", "MARK", two, two, "POP_MARK", "DUP", "TUPLE2"], [1, 1]],
    ["POP of a MARK", [one, "MARK", "POP", two, "TUPLE2"], [1, 2]],
    ["the memo by line", [text("x"), ["PUT", line("12")], ["GET", line("12")], "TUPLE2"], ["x", "x"]],
    ["the memo by byte", [text("x"), ["BINPUT", u8(3)], "POP", ["BINGET", u8(3)]], "x"],
    ["by 4 bytes", [one, ["LONG_BINPUT", u32(2 ** 32 - 1)], "POP", ["LONG_BINGET", u32(2 ** 32 - 1)]], 1],
    ["MEMOIZE", [one, "MEMOIZE", two, "MEMOIZE", ["BINGET", u8(1)], ["BINGET", u8(0)], "TUPLE2"], [2, 1]],
    ["PROTO and FRAME", [["PROTO", u8(5)], ["FRAME", u64(2)], "NONE"], null],
  ])("%s", (_, ops, value) => {
    expect(load(...ops)).toEqual(value);
  });

  test("tuples within tuples", () => {
    expect(load("EMPTY_TUPLE", one, "TUPLE1", "TUPLE2")).toEqual([[], [1]]);
  });

  test("what is shared in the file is shared here", () => {
    const value = load("EMPTY_LIST", ["BINPUT", u8(0)], ["BINGET", u8(0)], "TUPLE2") as TorchValue[][];
    expect(value[0]).toBe(value[1]);
  });

  test("`end` is the first byte after STOP", () => {
    const bytes = new Uint8Array([...assemble(int(1), "STOP"), ...assemble(int(2), "STOP"), 9, 9]);
    const first = unpickle(bytes, options);
    expect(first).toEqual({ value: 1, end: 6 });
    expect(unpickle(bytes.subarray(first.end), options)).toEqual({ value: 2, end: 6 });
  });
});

describe("classes and objects", () => {
  const echo = pickle.global("m", "echo");
  const args: Op[] = [int(1), int(2), "TUPLE2"];

  test.each<[string, Op[]]>([
    ["REDUCE", [echo, ...args, "REDUCE"]],
    ["NEWOBJ", [echo, ...args, "NEWOBJ"]],
    ["NEWOBJ_EX", [echo, ...args, "EMPTY_DICT", "NEWOBJ_EX"]],
    ["INST", ["MARK", int(1), int(2), ["INST", line("m"), line("echo")]]],
    ["OBJ", ["MARK", echo, int(1), int(2), "OBJ"]],
    ["STACK_GLOBAL", [text("m"), text("echo"), "STACK_GLOBAL", ...args, "REDUCE"]],
  ])("%s calls what stands for the class", (_, ops) => {
    expect(load(...ops)).toEqual([1, 2]);
  });

  test("an unbuilt class swallows all that is done to it, and only its name is kept", () => {
    const value = load(
      pickle.global("a.b", "C"),
      ...(["EMPTY_TUPLE", "NEWOBJ", "EMPTY_DICT", "BUILD"] as const),
      ...(["MARK", int(1), int(2), "SETITEMS", int(3), "APPEND", "MARK", int(4), "ADDITEMS"] as const),
      ...(["EMPTY_TUPLE", "REDUCE"] as const),
    );
    expect(value).toEqual(new Unbuilt("a.b.C"));
  });

  test("BUILD reaches the object that is already referred to", () => {
    const ops: Op[] = [
      pickle.global("m", "keeps"),
      "EMPTY_TUPLE",
      "REDUCE",
      ["BINPUT", u8(0)],
      int(5),
      "BUILD",
    ];
    expect(load(...ops, ["BINGET", u8(0)], "TUPLE2")).toEqual([
      new Map([["state", 5]]),
      new Map([["state", 5]]),
    ]);
  });

  test("persistent ids are handed over, as text or as a value", () => {
    const persistent = (id: TorchValue) => [id];
    const read = (...ops: Op[]) => unpickle(assemble(...ops, "STOP"), { ...options, persistent }).value;
    expect(read(["PERSID", line("7")])).toEqual(["7"]);
    expect(read(int(7), "BINPERSID")).toEqual([7]);
  });
});

describe("refusals name the path, the byte and what was found", () => {
  test.each<[string, Op[], string]>([
    ["no byte", [], "0, it breaks off before its STOP"],
    ["no STOP", ["NONE"], "1, it breaks off before its STOP"],
    ["no value", ["STOP"], "0, STOP fails: it takes a value, and the stack is empty"],
    [
      "a value below an open MARK",
      ["NONE", "MARK", "STOP"],
      "2, STOP fails: it takes a value, and the stack is empty",
    ],
    ["too few values", ["NONE", "TUPLE2"], "1, TUPLE2 fails: it takes 2 values, and the stack holds 1"],
    ["no MARK", ["NONE", "TUPLE"], "1, TUPLE fails: no MARK is open"],
    ["an unknown memo", [["BINGET", u8(3)]], "0, BINGET fails: nothing was kept under 3"],
    [
      "a later protocol",
      [["PROTO", u8(6)]],
      "0, PROTO fails: the pickle's protocol is 6, and 0 to 5 are known",
    ],
    ["a short frame", [["FRAME", u64(9)], "NONE"], "0, FRAME fails: it announces 9 bytes, and 1 are left"],
    ["a huge text", [["BINUNICODE8", u64(2 ** 60)]], `0, ${2 ** 60} bytes are wanted where 0 are left`],
    [
      "huge bytes",
      [["BINBYTES", u32(2 ** 32 - 1)], "NONE"],
      `0, ${2 ** 32 - 1} bytes are wanted where 1 are left`,
    ],
    [
      "a huge integer",
      [["LONG4", u32(2 ** 31)]],
      "0, an integer claims 2147483648 bytes, and 1024 are the limit",
    ],
    [
      "many digits",
      [["INT", line("1".repeat(3000))]],
      "0, an integer has 3000 digits, and 2500 are the limit",
    ],
    ["no digits", [["INT", line("1e3")]], '0, "1e3" stands where a decimal integer is wanted'],
    ["no float", [["FLOAT", line("0x10")]], '0, "0x10" stands where a floating-point number is wanted'],
    ["no index", [["GET", line("-1")]], '0, "-1" stands where an index of the memo is wanted'],
    ["no line feed", [["INT", utf8("123")]], "0, no line feed ends a line in the 3 bytes that are left"],
    [
      "no quotes",
      [["STRING", line("abc")]],
      "0, a line without matching quotes stands where a quoted string is wanted",
    ],
    ["an unknown escape", [["STRING", line("'\\q'")]], '0, a quoted string has the unknown escape "\\q"'],
    ["no UTF-8", [["SHORT_BINUNICODE", u8(2), [0xc3, 0x28]]], "0, a text of 2 bytes is not UTF-8"],
    ["a surrogate", [["SHORT_BINUNICODE", u8(3), [0xed, 0xa0, 0x80]]], "0, a text of 3 bytes is not UTF-8"],
    ["half a pair", [["UNICODE", line("\\ud800")]], "0, a text has half of a surrogate pair"],
    [
      "no character",
      [["UNICODE", line("\\U00110000")]],
      "0, a text has the escape \\U00110000, which is no character",
    ],
    [
      "a call of a text",
      [text("x"), "EMPTY_TUPLE", "REDUCE"],
      '7, REDUCE fails: the text "x" is called like a class',
    ],
    [
      "no arguments",
      [pickle.global("a", "b"), "NONE", "REDUCE"],
      '6, REDUCE fails: None stands for the arguments of "a.b"',
    ],
    [
      "no keywords",
      [pickle.global("a", "b"), "EMPTY_TUPLE", "NONE", "NEWOBJ_EX"],
      "7, NEWOBJ_EX fails: None stands for keyword arguments",
    ],
    ["an OBJ of nothing", ["MARK", "OBJ"], "1, OBJ fails: None is called like a class"],
    [
      "a state for a list",
      ["EMPTY_LIST", "NONE", "BUILD"],
      "2, BUILD fails: a list is given a state like an object",
    ],
    ["items for a text", [text("x"), "NONE", "APPEND"], '7, APPEND fails: items are added to the text "x"'],
    [
      "keys for a list",
      ["EMPTY_LIST", "NONE", "NONE", "SETITEM"],
      "3, SETITEM fails: keys are set in a list",
    ],
    [
      "a key alone",
      ["EMPTY_DICT", "MARK", "NONE", "SETITEMS"],
      "3, SETITEMS fails: the last key has no value",
    ],
    [
      "a class named by a number",
      [text("a"), int(1), "STACK_GLOBAL"],
      "11, STACK_GLOBAL fails: the number 1 stands where a class is to be named",
    ],
    [
      "a class of a long name",
      [text("a"), text("b".repeat(501)), "STACK_GLOBAL"],
      "512, STACK_GLOBAL fails: a class has a name of 501 characters",
    ],
    [
      "an id where none is expected",
      ["NONE", "BINPERSID"],
      "1, BINPERSID fails: it refers to data outside the pickle, where none is expected",
    ],
    [
      "a registry's number",
      [["EXT1", u8(1)]],
      "0, EXT1 fails: what it stands for is not in the file, but was known to the process that wrote it",
    ],
    [
      "a buffer",
      ["NEXT_BUFFER"],
      "0, NEXT_BUFFER fails: what it stands for is not in the file, but was known to the process that wrote it",
    ],
  ])("%s", (_, ops, found) => {
    expect(refused(...ops)).toBe(`${SOUND} ${found}`);
  });

  test("an unknown opcode", () => {
    expect(refusal(Uint8Array.of(0x4e, 0x07))).toBe(`${SOUND} 1, there is no opcode 0x07`);
  });

  test("control characters of the file never reach a terminal", () => {
    const message = refused(text("\u001b[31m\nred\u202e"), "EMPTY_TUPLE", "REDUCE");
    expect(message).toContain('the text "\\u{1b}[31m\\u{a}red\\u{202e}"');
  });

  test("long texts are cut short", () => {
    expect(refused(text("x".repeat(5000)), "EMPTY_TUPLE", "REDUCE").length).toBeLessThan(300);
  });
});

describe("bombs", () => {
  const get = (index: number): Op => ["LONG_BINGET", u32(index)];
  const put = (index: number): Op => ["LONG_BINPUT", u32(index)];
  const times = (count: number, make: (index: number) => Op[]): Op[] =>
    Array.from({ length: count }, (_, index) => make(index)).flat();

  test.each<[string, Op[]]>([
    ["a list", ["EMPTY_LIST", put(0), get(0), "APPEND"]],
    ["a dictionary", ["EMPTY_DICT", put(0), int(1), get(0), "SETITEM"]],
    ["a list through a tuple", ["EMPTY_LIST", put(0), get(0), "TUPLE1", "APPEND"]],
    ["a dictionary through its key", ["EMPTY_DICT", put(0), get(0), "TUPLE1", int(1), "SETITEM"]],
    ["a list that is dropped from sight", ["EMPTY_LIST", "DUP", "APPEND"]],
  ])("%s within itself is refused", (_, ops) => {
    expect(refused(...ops, "STOP")).toContain("a list or dictionary of it lies within itself");
  });

  test("1000 lists within each other are read, 1001 are not, nor 200 000", () => {
    const nested = (depth: number) =>
      [
        ...times(depth - 1, () => ["EMPTY_LIST"]),
        "EMPTY_LIST",
        ...times(depth - 1, () => ["APPEND"]),
      ] as Op[];
    expect(() => load(...nested(1000))).not.toThrow();
    expect(refused(...nested(1001), "STOP")).toContain("its lists and dictionaries are more than 1000 deep");
    const many = new Uint8Array(200_001).fill(opcodes.TUPLE1);
    many[0] = opcodes.NONE;
    many[200_000] = opcodes.STOP;
    expect(refusal(many)).toContain("more than 1000 deep");
  });

  test("what is swallowed may be as deep as it likes: nobody walks it", () => {
    const value = load(pickle.global("a", "b"), "EMPTY_TUPLE", ...times(5000, () => ["TUPLE1"]), "REDUCE");
    expect(value).toEqual(new Unbuilt("a.b"));
  });

  test("a billion laughs: lists of shared lists are counted as often as they are named", () => {
    const laughs: Op[] = [
      "EMPTY_LIST",
      put(0),
      ...times(60, (i) => ["EMPTY_LIST", "MARK", get(i), get(i), "APPENDS", put(i + 1)]),
    ];
    expect(refused(...laughs, "STOP")).toContain(`it has more than ${MOST_WORK} values`);
  });

  test("four million opcodes are enough, whatever the file's size", () => {
    const bytes = new Uint8Array(MOST_WORK + 2);
    for (let i = 0; i < bytes.length; i += 2)
      bytes.set([opcodes.NONE, opcodes.POP].slice(0, bytes.length - i), i);
    expect(refusal(bytes)).toBe(`${SOUND} ${MOST_WORK}, it has asked for more than ${MOST_WORK} values`);
  });

  test("dictionaries, which cost more than their byte, end sooner", () => {
    const bytes = new Uint8Array(2 ** 20).fill(opcodes.EMPTY_DICT);
    expect(refusal(bytes)).toContain(`it has asked for more than ${MOST_WORK} values`);
  });

  test.each<[string, (inner: Op[]) => Op[]]>([
    [
      "torch._tensor._rebuild_from_type_v2",
      (inner) => pickle.tuple([["BINGET", u8(0)]], ["NONE"], inner, ["NONE"]),
    ],
    ["copyreg.__newobj_ex__", (inner) => pickle.tuple([["BINGET", u8(0)]], inner, ["EMPTY_DICT"])],
  ])("calls by way of calls do not recurse: %s", (name, wrap) => {
    const dot = name.lastIndexOf(".");
    let args: Op[] = ["EMPTY_TUPLE"];
    for (let depth = 0; depth < 200; depth++) args = wrap(args);
    const bytes = assemble(
      pickle.global(name.slice(0, dot), name.slice(dot + 1)),
      ["BINPUT", u8(0)],
      ...args,
      "REDUCE",
      "STOP",
    );
    expect(refusal(bytes, { globals: torchGlobals("a.ckpt", []).resolver })).toContain(
      `REDUCE fails: "${name}" is called by way of 4 others`,
    );
  });

  test("a function that makes what its first argument is does not recurse through many", () => {
    const many = Array.from({ length: 5000 }, (): Op => ["BINGET", u8(0)]);
    const bytes = assemble(
      pickle.global("copyreg", "__newobj__"),
      ["BINPUT", u8(0)],
      ...pickle.tuple(many),
      "REDUCE",
      "STOP",
    );
    expect(refusal(bytes, { globals: torchGlobals("a.ckpt", []).resolver })).toContain(
      "is called by way of 4 others",
    );
  });

  test("a long list that is copied again and again", () => {
    const ops: Op[] = [
      "MARK",
      ...times(10_000, () => ["NONE"]),
      "LIST",
      "TUPLE1",
      put(0),
      pickle.global("builtins", "set"),
      put(1),
    ];
    const bytes = assemble(...ops, ...times(2000, () => [get(1), get(0), "REDUCE", "POP"]), "NONE", "STOP");
    expect(refusal(bytes, { globals: torchGlobals("a.ckpt", []).resolver })).toContain(
      "it has asked for more than",
    );
  });
});

const python = "/usr/bin/python3";
const noPython = spawnSync(python, ["-c", "pass"]).status !== 0;

/** Numbers by the bits of a double, integers beyond 2^53 by their digits, so that nothing is lost in JSON. */
function plain(value: TorchValue): unknown {
  if (typeof value === "number") {
    const bits = new DataView(new ArrayBuffer(8));
    bits.setFloat64(0, value);
    return `d${bits.getBigUint64(0).toString(16).padStart(16, "0")}`;
  }
  if (typeof value === "bigint") return `i${value}`;
  if (typeof value === "string") return `s${value}`;
  if (value instanceof Uint8Array) return `b${Buffer.from(value).toString("hex")}`;
  if (value instanceof Map) return { entries: [...value].map(([k, v]) => [plain(k), plain(v)]) };
  if (Array.isArray(value)) return value.map(plain);
  return value instanceof Unbuilt ? { unbuilt: value.name } : value;
}

describe.skipIf(noPython)("what Python pickles (skipped without /usr/bin/python3)", () => {
  test("100 random structures in protocols 0 to 5, value for value", () => {
    const script = "test/support/randompickles.py";
    const { stdout, stderr, status } = spawnSync(python, [script], { encoding: "utf8", maxBuffer: 2 ** 28 });
    expect(status, stderr).toBe(0);
    const torch = torchGlobals("a.ckpt", []);
    for (const [wanted, pickles] of JSON.parse(stdout) as [unknown, string[]][]) {
      for (const [protocol, base64] of pickles.entries()) {
        const bytes = Buffer.from(base64, "base64");
        const { value, end } = unpickle(bytes, { path: "a.ckpt", globals: torch.resolver });
        expect(JSON.stringify(plain(value)), `protocol ${protocol}`).toBe(JSON.stringify(wanted));
        expect(end).toBe(bytes.length);
      }
    }
  });
});
