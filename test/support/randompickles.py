"""Prints JSON: 100 random structures, each as tagged plain values and as its pickles in protocols 0 to 5 (base64)."""
import argparse
import base64
import collections
import datetime
import functools
import json
import pathlib
import pickle
import random
import struct

EDGES = [0, 1, -1, 255, 256, 65535, 65536, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**53 - 1, 1 - 2**53]
TEXT = "ab\\\n\r'\"\0\x1a\xe9\u20ac\U0001f600\ufeff"


def made(depth):
    kind = random.randrange(24 if depth else 12)
    some = range(random.choice([0, 1, 2, 3, 5, 1200 if depth == 3 else 4]))  # more than 1000 come in several batches
    if kind == 0:
        return None
    if kind == 1:
        return random.random() < 0.5
    if kind == 2:
        return random.choice(EDGES)
    if kind == 3:
        return random.choice([1, -1]) * (random.getrandbits(random.choice([54, 63, 64, 127, 128, 900, 2100])) | 2**53)
    if kind == 4:
        return random.choice([0.0, -0.0, 0.1, 1e300, 5e-324, float("inf"), float("-inf"), float("nan")])
    if kind == 5:
        return random.uniform(-1e6, 1e6)
    if kind in (6, 7):
        return "".join(random.choice(TEXT) for _ in some)
    if kind == 8:
        return "x" * random.choice([255, 256, 300])
    if kind == 9:
        return bytes(random.getrandbits(8) for _ in some)
    if kind == 10:
        return bytearray(random.getrandbits(8) for _ in some)
    if kind == 11:
        return pathlib.PosixPath(random.choice(["/a/b", "a", "/"]))
    if kind in (12, 13):
        return [made(depth - 1) for _ in some]
    if kind in (14, 15):
        return tuple(made(depth - 1) for _ in some)
    if kind in (16, 17):
        return {f"k{i}": made(depth - 1) for i in some}
    if kind == 18:
        return {i: random.random() for i in some}
    if kind == 19:
        return random.choice([set, frozenset])(some)
    if kind == 20:
        return collections.OrderedDict((str(i), made(depth - 1)) for i in some)
    if kind == 21:
        return argparse.Namespace(**{f"n{i}": made(depth - 1) for i in some})
    if kind == 22:
        return random.choice([collections.deque(some, 9), collections.Counter("abca"), collections.defaultdict(list, a=1)])
    unbuilt = [complex(1, 2), slice(1, 2), range(3), datetime.timedelta(1), functools.partial(dict, a=1), dict, int]
    return random.choice(unbuilt)


def plain(v):
    if v is None or isinstance(v, bool):
        return v
    if isinstance(v, int) and abs(v) >= 2**53:
        return f"i{v}"
    if isinstance(v, (int, float)):
        return "d7ff8000000000000" if v != v else "d" + struct.pack(">d", v).hex()
    if isinstance(v, str):
        return "s" + v
    if isinstance(v, (bytes, bytearray)):
        return "b" + v.hex()
    if isinstance(v, pathlib.PurePath):
        return "s" + str(v)
    if isinstance(v, argparse.Namespace):
        v = vars(v)
    if isinstance(v, dict):
        return {"entries": [[plain(k), plain(x)] for k, x in v.items()]}
    if isinstance(v, (list, tuple, set, frozenset, collections.deque)):
        return [plain(x) for x in v]
    of = v if isinstance(v, type) else type(v)
    return {"unbuilt": f"{of.__module__}.{of.__name__}"}


random.seed(7)
values = [made(3) for _ in range(100)]
print(json.dumps([[plain(v), [base64.b64encode(pickle.dumps(v, p)).decode() for p in range(6)]] for v in values]))
