"""The same work in PyTorch on the same card, for `tesserae bench gpu`: products, attention, and the whole MAE step.

    python3 torch_step.py '{"what": "step" | "kernels" | "compile", "device": "cuda" | "cpu", "budget_s": 60, ...}'

Rows go to stdout as marked JSON lines. Warm-up is excluded, CUDA events are used, medians are told. Needs nothing but torch.
"""

import json
import math
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

BEGAN = time.monotonic()
REQUEST = json.loads(sys.argv[1])
CUDA = REQUEST["device"] == "cuda"
DEVICE = torch.device(REQUEST["device"])
BEYOND_CACHE = 192 * 2**20


def send(message):
    print("@@ " + json.dumps(message), flush=True)


def left():
    return REQUEST["budget_s"] - (time.monotonic() - BEGAN)


def synchronize():
    if CUDA:
        torch.cuda.synchronize()


def elapsed(run, times):
    """Milliseconds of one of `times` runs, by the device's clock where it has one."""
    if not CUDA:
        began = time.perf_counter()
        for i in range(times):
            run(i)
        return 1000 * (time.perf_counter() - began) / times
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for i in range(times):
        run(i)
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / times


def median_ms(run, samples=3, sample_ms=8.0):
    """Median over samples that each repeat `run(i)` for about `sample_ms`."""
    for i in range(3):
        run(i)
    synchronize()
    once = min(elapsed(run, 1), elapsed(run, 1))
    times = max(1, min(400, math.ceil(sample_ms / max(once, 0.005))))
    return statistics.median(elapsed(run, times) for _ in range(samples))


class Precision:
    """How PyTorch multiplies: plain fp32, with TF32 tensor cores, or under bf16 autocast."""

    def __init__(self, name):
        self.name = name
        self.dtype = torch.bfloat16 if name == "bf16" else torch.float32

    def __enter__(self):
        if CUDA:
            torch.backends.cuda.matmul.allow_tf32 = self.name == "tf32"
            torch.backends.cudnn.allow_tf32 = self.name == "tf32"
        self.cast = torch.autocast(DEVICE.type, torch.bfloat16, enabled=self.name == "bf16")
        self.cast.__enter__()
        return self

    def __exit__(self, *problem):
        return self.cast.__exit__(*problem)


PRECISIONS = ["fp32", "tf32", "bf16"] if CUDA else ["fp32"]


# --- products and attention ---------------------------------------------------------------------------------------------


def several(make, nbytes):
    """Enough sets of inputs that they do not fit the card's cache together."""
    count = min(8, max(1, math.ceil(BEYOND_CACHE / nbytes))) if CUDA else 1
    return [make() for _ in range(count)]


def gemm(shape, dtype):
    m, n, k, direction = (shape[name] for name in ("m", "n", "k", "direction"))
    size = {"forward": ((m, k), (n, k)), "dX": ((m, k), (k, n)), "dW": ((k, m), (k, n))}[direction]
    nbytes = (m * k + k * n + m * n) * (2 if dtype == torch.bfloat16 else 4)
    sets = several(lambda: [torch.randn(s, device=DEVICE, dtype=dtype) for s in size], nbytes)
    bias = torch.randn(n, device=DEVICE, dtype=dtype)

    def run(i):
        a, b = sets[i % len(sets)]
        if direction == "forward":
            return F.linear(a, b, bias)
        return a @ b if direction == "dX" else a.t() @ b

    return run, 2 * m * n * k


def sdpa(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v)
    return (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1) @ v


def attention(shape, dtype):
    batch, tokens, heads, dim = (shape[name] for name in ("batch", "tokens", "heads", "dim"))
    backward = shape["direction"] == "backward"
    size = (batch, tokens, 3, heads, dim)
    nbytes = 4 * batch * tokens * heads * dim * (2 if dtype == torch.bfloat16 else 4)

    def make():
        qkv = torch.randn(size, device=DEVICE, dtype=dtype, requires_grad=backward)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        o = sdpa(q, k, v) if backward else None
        return qkv, (q, k, v), o, torch.randn_like(o) if backward else None

    sets = several(make, nbytes)

    def run(i):
        qkv, parts, o, do = sets[i % len(sets)]
        if backward:
            return torch.autograd.grad(o, qkv, do, retain_graph=True)
        with torch.no_grad():
            return sdpa(*parts)

    return run, (10 if backward else 4) * batch * heads * tokens * tokens * dim


def measure_kernels():
    makers = {"gemm": gemm, "attention": attention}
    for item in REQUEST["kernels"]:
        for name in PRECISIONS:
            row = {"what": item["what"], "shape": item["shape"], "mode": "torch " + name}
            if left() <= 0:
                send({"row": {**row, "error": "not measured: out of time"}})
                continue
            try:
                # Operands are of the type already: what autocast casts is part of the step, not of the product.
                with Precision(name if name != "bf16" else "fp32"):
                    run, flops = makers[item["kind"]](item, Precision(name).dtype)
                    ms = median_ms(run)
                send({"row": {**row, "ms": ms, "gflop_s": flops / ms / 1e6}})
            except Exception as error:  # one shape that fails must not end the others
                send({"row": {**row, "error": str(error).split("\n")[0][:300]}})
            if CUDA:
                torch.cuda.empty_cache()
        send({"note": f"{item['what']} {item['shape']}"})


# --- the step -----------------------------------------------------------------------------------------------------------


class Block(nn.Module):
    def __init__(self, dim, heads, ratio):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.fc1, self.fc2 = nn.Linear(dim, int(dim * ratio)), nn.Linear(int(dim * ratio), dim)

    def forward(self, x):
        batch, tokens, dim = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(batch, tokens, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        x = x + self.proj(sdpa(q, k, v).transpose(1, 2).reshape(batch, tokens, dim))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


def patchify(images, p):
    batch, chans, height, width = images.shape
    cells = images.reshape(batch, chans, height // p, p, width // p, p)
    return cells.permute(0, 2, 4, 3, 5, 1).reshape(batch, (height // p) * (width // p), p * p * chans)


class Mae(nn.Module):
    """Masked autoencoder (He et al. 2021): an encoder of the kept patches, a decoder of all, loss on the removed ones."""

    def __init__(self, c, mask_ratio):
        super().__init__()
        dim, wide, self.p = c["embed_dim"], c["decoder_embed_dim"], c["patch_size"]
        height, width = c["img_size"]
        values, patches = self.p**2 * c["in_chans"], (height // self.p) * (width // self.p)
        self.keep, self.norm_pix = int(patches * (1 - mask_ratio)), c["norm_pix_loss"]
        self.embed = nn.Linear(values, dim)
        self.cls, self.mask = nn.Parameter(0.02 * torch.randn(1, 1, dim)), nn.Parameter(0.02 * torch.randn(1, 1, wide))
        self.register_buffer("pos", 0.02 * torch.randn(1, patches + 1, dim))
        self.register_buffer("decoder_pos", 0.02 * torch.randn(1, patches + 1, wide))
        self.blocks = nn.Sequential(*[Block(dim, c["num_heads"], c["mlp_ratio"]) for _ in range(c["depth"])])
        self.norm, self.decoder_norm = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(wide, eps=1e-6)
        self.decoder_embed, self.pred = nn.Linear(dim, wide), nn.Linear(wide, values)
        heads = c["decoder_num_heads"]
        self.decoder = nn.Sequential(*[Block(wide, heads, c["mlp_ratio"]) for _ in range(c["decoder_depth"])])

    def forward(self, images):
        target = patchify(images, self.p)
        batch, patches, _ = target.shape
        order = torch.rand(batch, patches, device=images.device).argsort(1)
        restore, kept = order.argsort(1), order[:, : self.keep]
        mask = (restore >= self.keep).float()

        def pick(x, ids):
            return x.gather(1, ids.unsqueeze(-1).expand(-1, -1, x.shape[-1]))

        x = self.embed(pick(target, kept)) + pick(self.pos[:, 1:].expand(batch, -1, -1), kept)
        x = torch.cat([(self.cls + self.pos[:, :1]).expand(batch, -1, -1).to(x.dtype), x], 1)
        x = self.decoder_embed(self.norm(self.blocks(x)))
        filled = torch.cat([x[:, 1:], self.mask.to(x.dtype).expand(batch, patches - self.keep, -1)], 1)
        x = torch.cat([x[:, :1], pick(filled, restore)], 1) + self.decoder_pos
        pred = self.pred(self.decoder_norm(self.decoder(x))[:, 1:])
        if self.norm_pix:
            mean, var = target.mean(-1, keepdim=True), target.var(-1, keepdim=True)
            target = (target - mean) / (var + 1e-6).sqrt()
        return (((pred.float() - target) ** 2).mean(-1) * mask).sum() / mask.sum()


def optimizer_of(model):
    decayed = [p for p in model.parameters() if p.ndim >= 2 and p.shape[0] > 1]
    other = [p for p in model.parameters() if not (p.ndim >= 2 and p.shape[0] > 1)]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": other, "weight_decay": 0.0}]
    # The fused one is PyTorch's fastest; versions before it have the other.
    extra = {"fused": True} if CUDA else {}
    return torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.95), **extra)


def measure_step(item, precision, compiled):
    torch.manual_seed(0)
    config, batch = item["config"], item["batch"]
    if CUDA:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    model = Mae(config, item["mask_ratio"]).to(DEVICE)
    optimizer = optimizer_of(model)
    images = torch.rand(batch, config["in_chans"], *config["img_size"], device=DEVICE) * 2 - 1
    forward = torch.compile(model) if compiled else model
    losses = []

    def step(_):
        with Precision(precision):
            loss = forward(images)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.detach())

    began = time.monotonic()
    for i in range(3):
        step(i)
    synchronize()
    warm = time.monotonic() - began
    # The last of the warm-up steps tells how many to measure: about a second of them, from 3 to 10.
    count = 3 if REQUEST["quick"] else max(3, min(10, int(1000 / max(elapsed(step, 1), 0.1))))
    hosted = []
    for i in range(3):
        before = time.perf_counter()
        step(i)
        hosted.append(1000 * (time.perf_counter() - before))
    synchronize()
    # Groups, as the engine's own steps are timed: the host may run ahead of the device.
    group = max(1, math.ceil(25 / max(elapsed(step, 1), 0.1)))
    ms = statistics.median(elapsed(step, group) for _ in range(max(3, count // group)))
    if not all(math.isfinite(float(loss)) for loss in losses):
        raise RuntimeError("the loss is not finite")
    return {
        "ms": ms,
        "images_per_s": 1000 * batch / ms,
        "host_ms": statistics.median(hosted) if CUDA else None,
        "peak_bytes": torch.cuda.max_memory_allocated() if CUDA else None,
        "warmup_s": warm,
        "loss": float(losses[-1]),
    }


def measure_steps(compiled):
    for item in REQUEST["steps"]:
        for precision in ["bf16"] if compiled and CUDA else PRECISIONS:
            mode = f"torch {precision}{' compiled' if compiled else ''}"
            row = {"model": item["model"], "batch": item["batch"], "mode": mode}
            if left() <= 0:
                send({"row": {**row, "error": "not measured: out of time"}})
                continue
            send({"note": f"{mode} {item['model']} batch {item['batch']}"})
            try:
                send({"row": {**row, **measure_step(item, precision, compiled)}})
            except Exception as error:  # out of memory, or a compiler that is missing
                send({"row": {**row, "error": f"{type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else ''}"}})


def main():
    if CUDA and not torch.cuda.is_available():
        raise SystemExit("torch sees no CUDA device")
    send({"note": f"torch {torch.__version__}"})
    {"kernels": measure_kernels, "step": lambda: measure_steps(False), "compile": lambda: measure_steps(True)}[REQUEST["what"]]()


main()
