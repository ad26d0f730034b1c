"""ClimaX in PyTorch, in the plain formulation of its authors: the peer that `npm run bench` times.

Tokens of every variable are made ([B, V, L, D]), a learned query attends over them through nn.MultiheadAttention, a
pre-norm ViT follows (arXiv:2301.10343, section 3; behaviour of microsoft/ClimaX with timm 0.6.13, whose attention stores
its weights). Written for this bench; nothing is factored or fused by hand, so that it stands for what a user of the
original runs. Its state dict has the original's names: test/support/torchjudge.py loads into it what we export.

Reads one JSON object on standard input and prints one JSON object:
  in   variables, height, width, patch, dim, depth, heads, batch, task ("forward", "step", "products" or "probe"),
       rounds, device ("cpu", "cuda"), precision ("f32", "f16": autocast with dynamic loss scaling), compile, threads,
       fused (attention by scaled_dot_product_attention, which later versions of PyTorch offer in its place),
       shapes of the products: [M, N, K, "NN" | "NT" | "TN"], T: stored as its transpose
  out  device, torch, threads, blas (library and core), cuda (whether there is one), gflops (its own product of
       512 x 1024 x 1024), ms of each round or product, peak_bytes
"""
import ctypes
import json
import math
import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


LEAST = 100  # milliseconds


class Attention(nn.Module):
    def __init__(self, dim, heads, fused):
        super().__init__()
        self.heads, self.scale, self.fused = heads, (dim // heads) ** -0.5, fused
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        B, L, D = x.shape
        q, k, v = self.qkv(x).reshape(B, L, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = ((q @ k.transpose(-2, -1)) * self.scale).softmax(dim=-1) @ v
        return self.proj(y.transpose(1, 2).reshape(B, L, D))


class Mlp(nn.Module):
    def __init__(self, dim, hidden, dropout):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        return self.drop(self.fc2(self.drop(F.gelu(self.fc1(x)))))


class DropPath(nn.Module):
    """Drops a branch of whole samples (stochastic depth)."""

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        if self.rate == 0 or not self.training:
            return x
        kept = x.new_empty(x.shape[0], 1, 1).bernoulli_(1 - self.rate)
        return x * kept.div_(1 - self.rate)


class Block(nn.Module):
    def __init__(self, dim, heads, dropout, drop_path, fused):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn, self.mlp = Attention(dim, heads, fused), Mlp(dim, 4 * dim, dropout)
        self.drop, self.drop_path = nn.Dropout(dropout), DropPath(drop_path)

    def forward(self, x):
        x = x + self.drop_path(self.drop(self.attn(self.norm1(x))))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    def __init__(self, dim, patch):
        super().__init__()
        self.proj = nn.Conv2d(1, dim, patch, patch)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)  # [B, 1, H, W] -> [B, L, D]


class ClimaX(nn.Module):
    def __init__(
        self, variables, height, width, patch, dim, depth, heads, dropout=0.1, drop_path=0.1, fused=False
    ):
        super().__init__()
        self.grid, self.patch, L = (height, width), patch, height * width // patch**2
        self.token_embeds = nn.ModuleList(PatchEmbed(dim, patch) for _ in range(variables))
        self.var_embed = nn.Parameter(0.02 * torch.randn(1, variables, dim))
        self.var_query = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.var_agg = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, L, dim))
        self.lead_time_embed = nn.Linear(1, dim)
        self.drop = nn.Dropout(dropout)
        rates = [drop_path * i / max(1, depth - 1) for i in range(depth)]
        self.blocks = nn.ModuleList(Block(dim, heads, dropout, rate, fused) for rate in rates)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Sequential(
            nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, variables * patch**2)
        )

    def forward(self, x, lead):
        B, V, H, W = x.shape
        tokens = [embed(x[:, v : v + 1]) for v, embed in enumerate(self.token_embeds)]
        x = torch.stack(tokens, dim=1) + self.var_embed[:, :, None]  # [B, V, L, D]
        L, D = x.shape[2:]
        x = x.transpose(1, 2).flatten(0, 1)  # [B L, V, D]
        x, _ = self.var_agg(self.var_query.repeat(x.shape[0], 1, 1), x, x)
        x = x.reshape(B, L, D) + self.pos_embed + self.lead_time_embed(lead[:, None])[:, None]
        x = self.drop(x)
        for block in self.blocks:
            x = block(x)
        x = self.head(self.norm(x))  # [B, L, p p V]
        p, rows, columns = self.patch, H // self.patch, W // self.patch
        return x.reshape(B, rows, columns, p, p, V).permute(0, 5, 1, 3, 2, 4).reshape(B, V, H, W)


def blas():
    """The library that is loaded for products, and the core that OpenBLAS runs for."""
    try:
        with open("/proc/self/maps") as maps:
            files = {line.split()[-1] for line in maps if "blas" in line or "mkl" in line}
    except OSError:
        return "BLAS unknown"
    for path in files:
        try:
            corename = ctypes.CDLL(path).openblas_get_corename
        except (OSError, AttributeError):
            continue
        corename.restype = ctypes.c_char_p
        return f"OpenBLAS as detected ({corename().decode()})"
    return "MKL" if any("mkl" in path for path in files) else "reference BLAS" if files else "built-in BLAS"


def main():
    asked = json.load(sys.stdin)
    device = asked.get("device", "cpu")
    if asked.get("threads"):
        torch.set_num_threads(asked["threads"])
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(1)

    def synchronise():
        if device == "cuda":
            torch.cuda.synchronize()

    def clock(run, rounds):
        for _ in range(3 if device == "cuda" else 1):  # compiles, chooses kernels, fills the allocator
            run()

        def measure(calls):
            synchronise()
            start = time.perf_counter()
            for _ in range(calls):
                run()
            synchronise()
            return 1000 * (time.perf_counter() - start) / calls

        # As long as our own measurements (clock.ts): on a GPU calls are on their way before the last one has ended.
        repeat = math.ceil(LEAST / measure(1)) if device == "cuda" else 1
        return [measure(repeat) for _ in range(rounds)]

    def product(M, N, K, dtype, order="NN"):
        def stored(rows, columns, letter):
            shape = (columns, rows) if letter == "T" else (rows, columns)
            matrix = torch.randn(shape, device=device, dtype=dtype)
            return matrix.T if letter == "T" else matrix

        a, b = stored(M, K, order[0]), stored(K, N, order[1])
        repeat = 20 if device == "cuda" else 1

        def run():
            for _ in range(repeat):
                a @ b

        return min(clock(run, 2 if device == "cuda" else 5)) / repeat

    answer = {
        "device": torch.cuda.get_device_name() if device == "cuda" else "CPU",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "blas": blas(),
        "cuda": torch.cuda.is_available(),
        "gflops": 2 * 512 * 1024 * 1024 / product(512, 1024, 1024, torch.float32) / 1e6,
    }
    if asked["task"] == "probe":
        print(json.dumps(answer))
        return
    if asked["task"] == "products":
        dtype = torch.float16 if asked["precision"] == "f16" else torch.float32
        answer["ms"] = [product(M, N, K, dtype, order) for M, N, K, order in asked["shapes"]]
        print(json.dumps(answer))
        return

    V, B, H, W = (asked[name] for name in ("variables", "batch", "height", "width"))
    fused = asked.get("fused", False)
    model = ClimaX(V, H, W, asked["patch"], asked["dim"], asked["depth"], asked["heads"], fused=fused).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-4, betas=(0.9, 0.95), weight_decay=1e-5)
    x, y = torch.randn(B, V, H, W, device=device), torch.randn(B, V, H, W, device=device)
    lead = torch.full((B,), 0.72, device=device)
    latitudes = torch.linspace(-90 + 90 / H, 90 - 90 / H, H, device=device) * math.pi / 180
    weight = (torch.cos(latitudes) / torch.cos(latitudes).mean())[:, None]
    half = asked["precision"] == "f16"
    scaler = torch.cuda.amp.GradScaler(enabled=half)
    call = torch.compile(model) if asked.get("compile") else model

    def predict():
        if not half:
            return call(x, lead)
        with torch.autocast(device, dtype=torch.float16):
            return call(x, lead)

    def forward():
        with torch.no_grad():
            predict()

    def step():
        optimiser.zero_grad(set_to_none=True)
        loss = ((predict().float() - y) ** 2 * weight).mean()
        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()

    model.train(asked["task"] == "step")
    answer["ms"] = clock(step if asked["task"] == "step" else forward, asked["rounds"])
    answer["peak_bytes"] = (
        torch.cuda.max_memory_allocated()
        if device == "cuda"
        else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    )
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
