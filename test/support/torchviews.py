"""Prints JSON: the pickle and the storages of a file of torch.save (base64), and what each tensor in it holds."""
import base64
import io
import json
import zipfile

import torch

NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


def coded(data):
    return base64.b64encode(bytes(data)).decode()


torch.manual_seed(0)
tensors = {}
for dtype, name in NAMES.items():
    base = (torch.rand(4, 6, 10) * 200 - 100).to(dtype)
    tensors |= {
        f"{name} whole": base,
        f"{name} transposed": base.transpose(0, 2),
        f"{name} permuted": base.permute(1, 2, 0),
        f"{name} sliced": base[1:3, ::2, 3:9:3],
        f"{name} column": base[:, 2, 5],
        f"{name} expanded": base[0, 0, :1].expand(3, 7),
        f"{name} rows repeated": base[0, :, None, :].expand(6, 3, 10),
        f"{name} unfolded": base.flatten().unfold(0, 7, 3),
        f"{name} diagonal": base[0].diagonal(),
        f"{name} number": base[1, 1, 1],
        f"{name} empty": base[:, 6:],
        f"{name} one row": base[2:3].transpose(0, 1),
    }
weight = torch.rand(8, 3, 5, 5)
tensors["channels last"] = weight.to(memory_format=torch.channels_last)
tensors["parameter"] = torch.nn.Parameter(weight)
attributed = torch.nn.Parameter(weight)
attributed.note = "kept by optimisers"
tensors["parameter with attributes"] = attributed

file = io.BytesIO()
torch.save(tensors, file)
with zipfile.ZipFile(file) as members:
    named = {name.split("/", 1)[1]: members.read(name) for name in members.namelist()}
storages = {name[5:]: coded(data) for name, data in named.items() if name.startswith("data/")}
wanted = {}
for name, tensor in tensors.items():
    flat = tensor.detach().contiguous()
    words = flat.view(torch.int16) if flat.dtype == torch.bfloat16 else flat
    wanted[name] = [NAMES[flat.dtype], list(flat.shape), coded(words.numpy().tobytes())]
print(json.dumps({"pickle": coded(named["data.pkl"]), "storages": storages, "wanted": wanted}))
