"""PyTorch as a judge of what we export: loads our files and says what it finds in them.

Reads one JSON list of questions on standard input and prints one JSON list of answers:
  {"ask": "load", "path"}           torch.load, and again with weights_only=True where PyTorch has that
      -> torch, says (beside the state dict), tensors {name: shape, dtype, contiguous, sha256}, restricted (why not, if so)
  {"ask": "safetensors", "path"}    the format by its definition, in numpy  ->  says, tensors {name: shape, dtype, sha256}
  {"ask": "predict", "path", "prefix", "network", "sizes", "x", "lead", "to"}
      a network in PyTorch ("climax": the twin of the bench; "projection") takes the state dict, strictly, and predicts from
      x (f32 in a file) into another file                                   ->  names of its own state dict, shape of the prediction
"""
import hashlib
import json
import os
import struct
import sys

import numpy as np
import torch
from torch import nn

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../bench"))
from twin import ClimaX  # noqa: E402


def sha256(array):
    return hashlib.sha256(array.tobytes()).hexdigest()


def load(path):
    checkpoint = torch.load(path, map_location="cpu")
    state = checkpoint.pop("state_dict")
    tensors = {
        name: {
            "shape": list(t.shape),
            "dtype": str(t.dtype),
            "contiguous": t.is_contiguous() and t.storage_offset() == 0,
            "sha256": sha256(t.numpy()),
        }
        for name, t in state.items()
    }
    answer = {"torch": torch.__version__, "kind": type(state).__name__, "says": checkpoint, "tensors": tensors}
    try:
        again = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        same = list(again) == list(state) and all(torch.equal(t, state[name]) for name, t in again.items())
        answer["restricted"] = "the same" if same else "another"
    except Exception as error:
        answer["restricted"] = str(error)
    return answer


def safetensors(path):
    with open(path, "rb") as file:
        content = file.read()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    says = header.pop("__metadata__", {})
    data = content[8 + length :]
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        array = np.frombuffer(data[start:end], dtype={"F32": "<f4"}[entry["dtype"]]).reshape(entry["shape"])
        tensors[name] = {"shape": list(array.shape), "dtype": str(array.dtype), "sha256": sha256(array)}
    return {"says": says, "tensors": tensors, "bytes": len(content)}


class Projection(ClimaX):
    """Climate projection (arXiv:2301.10343, section 4.3): the encoder for each of T years, a query over their means."""

    def __init__(self, variables, height, width, patch, dim, depth, heads, history, outputs):
        super().__init__(variables, height, width, patch, dim, depth, heads)
        self.time_pos_embed = nn.Parameter(torch.zeros(1, history, dim))
        self.time_query = nn.Parameter(torch.zeros(1, 1, dim))
        self.time_agg = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.head = nn.Linear(dim, outputs * height * width)
        self.outputs = outputs

    def forward(self, x, lead):
        B, T, V, H, W = x.shape
        tokens = [embed(x[:, :, v].flatten(0, 1)[:, None]) for v, embed in enumerate(self.token_embeds)]
        x = torch.stack(tokens, dim=1) + self.var_embed[:, :, None]  # [B T, V, L, D]
        L, D = x.shape[2:]
        x = x.transpose(1, 2).flatten(0, 1)
        x, _ = self.var_agg(self.var_query.repeat(x.shape[0], 1, 1), x, x)
        x = x.reshape(B, T, L, D) + self.pos_embed[:, None] + self.time_pos_embed[:, :, None]
        x = (x + self.lead_time_embed(lead[:, None])[:, None, None]).flatten(0, 1)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x).reshape(B, T, L, D).mean(dim=2)
        x, _ = self.time_agg(self.time_query.repeat(B, 1, 1), x, x)
        return self.head(x).reshape(B, self.outputs, H, W)


def predict(path, prefix, network, sizes, x, lead, to):
    state = torch.load(path, map_location="cpu")["state_dict"]
    model = {"climax": ClimaX, "projection": Projection}[network](**sizes).eval()
    names = [prefix + name for name in model.state_dict()]
    wrapped = nn.Module()
    wrapped.net = model
    (wrapped if prefix else model).load_state_dict(state, strict=True)
    x = torch.from_numpy(np.fromfile(x["file"], dtype="<f4").reshape(x["shape"]))
    with torch.no_grad():
        y = model(x, torch.tensor(lead, dtype=torch.float32))
    y.numpy().tofile(to)
    return {"names": names, "shape": list(y.shape)}


ASKED = {"load": load, "safetensors": safetensors, "predict": predict}
print(json.dumps([ASKED[question.pop("ask")](**question) for question in json.load(sys.stdin)]))
