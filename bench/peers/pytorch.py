"""PyTorch on the CPU: the same protocol as serve.ts, and the same masked autoencoder in torch's own words."""
import array
import json
import math
import os
import resource
import sys
import time

import torch
import torch.nn.functional as F

MARK = "@peer "
torch.set_num_threads(os.cpu_count() or 1)


def load(file, arrays):
    with open(file, "rb") as f:
        everything = torch.frombuffer(bytearray(f.read()), dtype=torch.float32)
    return {
        name: everything[p["offset"] // 4 :][: math.prod(p["shape"])].clone().reshape(p["shape"])
        for name, p in arrays.items()
    }


class Operation:
    def __init__(self, compute, arrange=lambda y: y):
        self.compute, self.arrange, self.last = compute, arrange, None

    def run(self, times):
        with torch.no_grad():
            for _ in range(times):
                self.last = self.compute()

    def read(self):
        return self.arrange(self.last)


class TrainingStep:
    read = None

    def __init__(self, work, x):
        self.work, self.x = work, x
        self.weights = {name: x[name].requires_grad_() for name in work["weights"]}
        decaying = set(work["decaying"])
        groups = [
            {"params": [w for n, w in self.weights.items() if (n in decaying) == decays], "weight_decay": decay}
            for decays, decay in ((True, work["weight_decay"]), (False, 0.0))
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=work["lr"], betas=tuple(work["betas"]), eps=work["eps"])

    def linear(self, x, name):
        return F.linear(x, self.weights[name + ".weight"].flatten(1), self.weights[name + ".bias"])

    def norm(self, x, name):
        w = self.weights[name + ".weight"]
        return F.layer_norm(x, w.shape, w, self.weights[name + ".bias"], self.work["ln_eps"])

    def block(self, x, name, heads):
        n, tokens, width = x.shape
        qkv = self.linear(self.norm(x, name + ".norm1"), name + ".attn.qkv")
        q, k, v = qkv.reshape(n, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4).unbind(0)
        o = ((q @ k.transpose(-2, -1)) * (width // heads) ** -0.5).softmax(-1) @ v
        x = x + self.linear(o.transpose(1, 2).reshape(n, tokens, width), name + ".attn.proj")
        hidden = F.gelu(self.linear(self.norm(x, name + ".norm2"), name + ".mlp.fc1"))
        return x + self.linear(hidden, name + ".mlp.fc2")

    def loss(self):
        work, given, w = self.work, self.x, self.weights
        cls = (w["cls_token"] + given["pos_embed"][:, :1]).expand(work["batch"], -1, -1)
        x = torch.cat([cls, self.linear(given["rows"], "patch_embed.proj") + given["positions"]], 1)
        for i in range(work["depth"]):
            x = self.block(x, f"blocks.{i}", work["num_heads"])
        y = self.linear(self.norm(x, "norm"), "decoder_embed")
        mask = given["mask"]
        rebuilt = given["spread"] @ y[:, 1:] + mask[..., None] * w["mask_token"]
        x = torch.cat([y[:, :1], rebuilt], 1) + given["decoder_pos_embed"]
        for i in range(work["decoder_depth"]):
            x = self.block(x, f"decoder_blocks.{i}", work["decoder_num_heads"])
        pred = self.linear(self.norm(x, "decoder_norm")[:, 1:], "decoder_pred")
        return (((pred - given["target"]) ** 2).mean(-1) * mask).sum() / mask.sum()

    def run(self, times):
        for _ in range(times):
            loss = self.loss()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return loss.item()


def prepare(work, x):
    kind = work["kind"]
    if kind == "step":
        return TrainingStep(work, x)
    if kind == "gemm":
        return Operation(lambda: x["a"] @ x["b"])
    if kind == "layernorm":
        return Operation(lambda: F.layer_norm(x["x"], x["w"].shape, x["w"], x["b"], work["eps"]))
    q, k, v = (x[name].transpose(1, 2).contiguous() for name in "qkv")
    scale = work["dim"] ** -0.5
    return Operation(lambda: ((q @ k.transpose(-2, -1)) * scale).softmax(-1) @ v, lambda o: o.transpose(1, 2))


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def blas():
    """The library behind matrix products: Debian's torch takes whatever libblas.so.3 is, and the reference one is 20 times slower."""
    torch.ones(8, 8) @ torch.ones(8, 8)
    try:
        with open("/proc/self/maps") as f:
            loaded = f.read()
    except OSError:
        return "BLAS unknown"
    for word, name in (("openblas", "OpenBLAS"), ("blis", "BLIS"), ("mkl_", "MKL"), ("atlas", "ATLAS")):
        if word in loaded:
            return name
    return "reference BLAS (slow: install libopenblas0)" if "libblas.so" in loaded else "its own BLAS"


prepared = None


def timed(times):
    cpu, began = cpu_seconds(), time.perf_counter()
    loss = prepared.run(times)
    timing = {
        "ms": (time.perf_counter() - began) * 1000 / times,
        "cpu_ms": (cpu_seconds() - cpu) * 1000 / times,
    }
    return timing if loss is None else {**timing, "loss": loss}


def answer(request):
    global prepared
    if request["do"] == "hello":
        return {"version": "torch " + torch.__version__, "device": f"CPU, {torch.get_num_threads()} threads, {blas()}", "blas": blas()}
    if request["do"] == "measure":
        return timed(request["times"])
    prepared = None
    if request["do"] == "drop":
        return {}
    prepared = prepare(request["work"], load(request["file"], request["arrays"]))
    first = timed(1)
    if prepared.read:
        with open(request["out"], "wb") as f:
            array.array("f", prepared.read().flatten().tolist()).tofile(f)
    return first


for line in sys.stdin:
    try:
        said = {"ok": answer(json.loads(line))}
    except Exception as error:  # told to whoever asked
        said = {"error": f"{type(error).__name__}: {error}"}
    print(MARK + json.dumps(said), flush=True)
