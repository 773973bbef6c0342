#!/usr/bin/env python3
"""Writes fixtures/heads.json: what PyTorch makes of the parts of probing and fine-tuning, on small random inputs.

    python3 test/oracle/heads.py          (torch 1.13 of Debian's python3-torch made the committed file)

LARS, which torch lacks, is written out here from facebookresearch/mae's description: 2-d tensors alone get weight decay and the ratio
trust * |p| / |g + wd p|. timm's mixup targets and layer decay likewise from their definitions.
"""
import json
import os

import torch
import torch.nn.functional as F

torch.manual_seed(6)
torch.set_default_dtype(torch.float64)
out = {"torch": torch.__version__}


def f32(t):
    """Rounded to f32, so that both sides begin with the same numbers."""
    return t.to(torch.float32).to(torch.float64)


def listed(t):
    return [float("%.8g" % v) for v in t.detach().flatten().tolist()]


# Optimizers: the gradient of every step is given, so that only the update is compared.
SHAPES = {"w": (7, 13), "b": (7,), "long": (3, 50), "zero": (4, 4), "one": (1,)}
RATES = [0.0, 0.3, 0.5, 0.2, 0.1]


def steps_of(make):
    params = {k: torch.nn.Parameter(f32(torch.zeros(s) if k == "zero" else torch.randn(s))) for k, s in SHAPES.items()}
    begin = {k: listed(p) for k, p in params.items()}
    grads = [{k: f32(torch.randn(s) * (0 if k == "one" and i == 0 else 1)) for k, s in SHAPES.items()} for i in range(len(RATES))]
    step = make(params)
    for lr, g in zip(RATES, grads):
        for k, p in params.items():
            p.grad = g[k].clone()
        step(lr)
    end = {k: listed(p) for k, p in params.items()}
    return {"begin": begin, "grads": [{k: listed(v) for k, v in g.items()} for g in grads], "end": end}


def torch_step(opt):
    def step(lr):
        for group in opt.param_groups:
            group["lr"] = lr
        opt.step()
    return step


def lars(params, momentum, trust, wd):
    mu = {k: torch.zeros_like(p) for k, p in params.items()}

    def step(lr):
        with torch.no_grad():
            for k, p in params.items():
                g = p.grad
                if p.ndim > 1:
                    g = g + wd * p
                    if p.norm() > 0 and g.norm() > 0:
                        g = g * trust * p.norm() / g.norm()
                mu[k] = momentum * mu[k] + g
                p -= lr * mu[k]
    return step


out["rates"] = RATES
out["sgd"] = steps_of(lambda p: torch_step(torch.optim.SGD(p.values(), lr=0, momentum=0.9, weight_decay=0.01)))
out["nesterov"] = steps_of(lambda p: torch_step(torch.optim.SGD(p.values(), lr=0, momentum=0.8, nesterov=True)))
out["adamw"] = steps_of(lambda p: torch_step(torch.optim.AdamW(p.values(), lr=0, betas=(0.9, 0.999), weight_decay=0.05)))
out["lars"] = steps_of(lambda p: lars(p, 0.9, 0.001, 0.02))

# Batch norm without affine part, two training steps, then evaluation; and the gradient of the second step.
bn = torch.nn.BatchNorm1d(5, affine=False, eps=1e-6)
xs = [f32(3 + 2 * torch.randn(9, 5)) for _ in range(2)]
dy = f32(torch.randn(9, 5))
bn(xs[0])
x = xs[1].clone().requires_grad_()
y = bn(x)
y.backward(dy)
bn.eval()
out["batchnorm"] = dict(x0=listed(xs[0]), x1=listed(xs[1]), dy=listed(dy), y=listed(y), dx=listed(x.grad), mean=listed(bn.running_mean), var=listed(bn.running_var), eval=listed(bn(xs[0])))

# Cross-entropy against smoothed and mixed labels (timm's mixup_target), and its gradient.
logits = f32(3 * torch.randn(6, 11)).requires_grad_()
labels, s, lam = torch.tensor([0, 10, 3, 3, 7, 5]), 0.1, 0.3
hot = lambda l: F.one_hot(l, 11) * (1 - s) + s / 11
targets = lam * hot(labels) + (1 - lam) * hot(labels.flip(0))
loss = (-targets * F.log_softmax(logits, 1)).sum(1).mean()
loss.backward()
out["crossentropy"] = dict(logits=listed(logits), labels=labels.tolist(), smoothing=s, lam=lam, targets=listed(targets), loss=loss.item(), grad=listed(logits.grad),
                           smoothed=F.cross_entropy(logits, labels, label_smoothing=s).item())

# Schedules after the warm-up, at whole epochs.
p = torch.nn.Parameter(torch.zeros(1))
opt = torch.optim.SGD([p], lr=0.4)
step = torch.optim.lr_scheduler.StepLR(opt, step_size=3, gamma=0.2)
rates = []
for _ in range(10):
    rates.append(opt.param_groups[0]["lr"])
    opt.step()
    step.step()
out["step"] = rates
opt = torch.optim.SGD([p], lr=0.4)
flat = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, factor=0.5, patience=2)
losses = [1.0, 0.9, 0.95, 0.9, 0.91, 0.92, 0.8, 0.79999, 0.81, 0.82, 0.83, 0.84, 0.5]
rates = []
for value in losses:
    flat.step(value)
    rates.append(opt.param_groups[0]["lr"])
out["plateau"] = dict(losses=losses, rates=rates)

# Positions for another grid.
table = f32(torch.randn(1, 1 + 3 * 4, 8))
grid = table[:, 1:].reshape(1, 3, 4, 8).permute(0, 3, 1, 2)
for name, size in (("larger", (5, 7)), ("smaller", (2, 3))):
    new = F.interpolate(grid, size=size, mode="bicubic", align_corners=False).permute(0, 2, 3, 1).reshape(1, -1, 8)
    out[name] = dict(table=listed(table), to=size, out=listed(torch.cat([table[:, :1], new], 1)))

# L1 over removed patches, with per-patch-normalised targets, and its gradient.
pred = f32(torch.randn(2, 4, 12)).requires_grad_()
img = f32(torch.randn(2, 3, 4, 4))
mask = torch.tensor([[1.0, 0, 1, 1], [0, 1, 0, 1]])
target = img.reshape(2, 3, 2, 2, 2, 2).permute(0, 2, 4, 3, 5, 1).reshape(2, 4, 12)
target = (target - target.mean(-1, True)) / (target.var(-1, keepdim=True) + 1e-6) ** 0.5
l1 = ((pred - target).abs().mean(-1) * mask).sum() / mask.sum()
l1.backward()
out["l1"] = dict(pred=listed(pred), img=listed(img), mask=listed(mask), loss=l1.item(), grad=listed(pred.grad))

json.dump(out, open(os.path.join(os.path.dirname(__file__), "fixtures", "heads.json"), "w"))
