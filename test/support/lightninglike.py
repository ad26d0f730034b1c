"""Prints JSON: for pickle protocols 2 and 4, the pickle (base64) of a checkpoint as PyTorch Lightning writes it.

torch, numpy and Python are real; the classes of Lightning, OmegaConf and ClimaX are empty ones of the same names.
"""
import argparse
import base64
import collections
import datetime
import enum
import functools
import io
import json
import pathlib
import sys
import types
import zipfile

import numpy as np
import torch


def known_as(module, name, *bases):
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:end]), types.ModuleType(parts[end - 1]))
    made = type(name, bases, {"__module__": module})
    setattr(sys.modules[module], name, made)
    return made


Callback = known_as("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
AttributeDict = known_as("pytorch_lightning.utilities.parsing", "AttributeDict", dict)
Metric = known_as("torchmetrics.aggregation", "MeanMetric")
DictConfig = known_as("omegaconf.dictconfig", "DictConfig")
AnyNode = known_as("omegaconf.nodes", "AnyNode")
Metadata = known_as("omegaconf.base", "ContainerMetadata")
Warmup = known_as("climax.utils.lr_scheduler", "LinearWarmupCosineAnnealingLR")
sys.modules["pytorch_lightning.trainer.states"] = states = types.ModuleType("states")
states.TrainerFn = enum.Enum("TrainerFn", {"FITTING": "fit"}, module="pytorch_lightning.trainer.states")


def omega(values):
    config = DictConfig()
    config._metadata = Metadata()
    config._parent = None
    config._content = {}
    for key, value in values.items():
        node = AnyNode()
        node._parent = config
        node._val = value
        config._content[key] = node
    return config


net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
optimizer = torch.optim.AdamW(net.parameters(), lr=5e-4, betas=(0.9, 0.99))
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=10)
for _ in range(2):
    net(torch.rand(5, 4)).square().mean().backward()
    optimizer.step()
    schedule.step()
warmup = Warmup()
warmup.__dict__ = {"base_lrs": [5e-4], "optimizer": None}

checkpoint = {
    "epoch": 3,
    "global_step": 1234,
    "pytorch-lightning_version": "1.9.0",
    "state_dict": net.state_dict(),
    "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 4}}}, "stage": states.TrainerFn.FITTING},
    "callbacks": {
        Callback: {"best_model_score": np.float64(0.25), "best_model_path": pathlib.PosixPath("/runs/a.ckpt")},
        "ModelCheckpoint{'monitor': 'val/loss'}": {"best_model_score": torch.tensor(0.5), "current_score": np.float32(1)},
    },
    "optimizer_states": [optimizer.state_dict()],
    "lr_schedulers": [schedule.state_dict(), {"warm": warmup, "lambdas": [None, functools.partial(dict, a=1)]}],
    "native_amp_scaling_state": torch.cuda.amp.GradScaler(enabled=False).state_dict(),
    "hparams_name": "kwargs",
    "hyper_parameters": AttributeDict(
        lr=5e-4, vars=["2m_temperature"], region=None, kind=torch.float16, device=torch.device("cuda", 0),
        size=torch.Size([2, 3]), config=omega({"depth": 8, "name": "climax"}), loss=torch.nn.MSELoss(),
        args=argparse.Namespace(seed=1), when=datetime.datetime(2023, 1, 24), counts=collections.Counter("aab"),
        lat=np.linspace(-90, 90, 3), many=collections.defaultdict(list, {"a": [1]}), mask={1, 2}, raw=b"\x00\xff",
        function=torch.nn.functional.gelu, optimizer=torch.optim.AdamW, metric=Metric(), seed=2**40,
    ),
}  # fmt: skip

pickles = []
for protocol in (2, 4):
    file = io.BytesIO()
    torch.save(checkpoint, file, pickle_protocol=protocol)
    with zipfile.ZipFile(file) as members:
        pickles.append(base64.b64encode(members.read("archive/data.pkl")).decode())
print(json.dumps(pickles))
