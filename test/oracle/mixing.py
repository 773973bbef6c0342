#!/usr/bin/env python3
"""Writes fixtures/mixing.json: what else fine-tuning does, by PyTorch and from the definitions of timm and facebookresearch/mae.

    python3 test/oracle/mixing.py          (torch 1.13 of Debian's python3-torch made the committed file)

Stochastic depth, mixup and cutmix with their boxes, random erasing, layer-wise learning rates, the cosine after a warm-up. Where a draw decides,
it is made by Philox 4x32-10, written here from Salmon et al. (2011) with Python's whole numbers, under the keys that mae/data/streams.ts names.
"""
import math
import random

import torch

from pieces import write

random.seed(16)
torch.manual_seed(16)
torch.set_default_dtype(torch.float64)
out = {"torch": torch.__version__}
WORD = 2 ** 32
ERASE, ERASE_NOISE = 8, 9


def f32(t):
    return t.to(torch.float32).to(torch.float64)


def listed(t):
    return [float("%.9g" % v) for v in t.detach().flatten().tolist()]


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b % WORD, (a >> 32) ^ c[3] ^ k[1], a % WORD]
        k = [(k[0] + 0x9E3779B9) % WORD, (k[1] + 0xBB67AE85) % WORD]
    return c


# Stochastic depth: timm's drop_path, x / keep * coin, with the coins of the samples.
ids, epoch, seed, stream, rate = [random.randrange(WORD) for _ in range(12)], 5, 77, 3001, 0.375
x, r, dy = (f32(torch.randn(12, 3, 4)) for _ in range(3))
x.requires_grad_()
r.requires_grad_()
coins = torch.tensor([float((philox((0, i, epoch, 0), (seed, stream))[0] >> 8) / 2 ** 24 >= rate) for i in ids]).view(-1, 1, 1)
y = r + x / (1 - rate) * coins
y.backward(dy)
out["droppath"] = dict(ids=ids, epoch=epoch, seed=seed, stream=stream, rate=rate, x=listed(x), r=listed(r), dy=listed(dy), y=listed(y), dx=listed(x.grad), dr=listed(r.grad))

# Mixup and cutmix of a batch with itself, last image first.
x, lam = f32(torch.randn(4, 2, 5, 6)), 0.375
cut = x.clone()
cut[:, :, 1:4, 2:6] = x.flip(0)[:, :, 1:4, 2:6]
out["blend"] = dict(x=listed(x), lam=lam, mixup=listed(x * lam + x.flip(0) * (1 - lam)), box=[1, 2, 4, 6], cutmix=listed(cut))


def rand_bbox(height, width, lam, cy, cx):
    """timm's rand_bbox and the lambda that its cutmix_bbox_and_lam makes of the box that is left within the image."""
    ratio = math.sqrt(1 - lam)
    h, w = int(height * ratio), int(width * ratio)
    clip = lambda v, most: max(0, min(v, most))
    box = [clip(cy - h // 2, height), clip(cx - w // 2, width), clip(cy + h // 2, height), clip(cx + w // 2, width)]
    return box, 1 - (box[2] - box[0]) * (box[3] - box[1]) / (height * width)


boxes = []
for _ in range(200):
    height, width, lam = random.randint(4, 240), random.randint(4, 240), random.betavariate(1, 1)
    cy, cx = random.randrange(height), random.randrange(width)
    box, left = rand_bbox(height, width, lam, cy, cx)
    boxes.append(dict(size=[height, width], lam=lam, centre=[cy, cx], box=box, left=left))
out["boxes"] = boxes


def erased(height, width, sample, probability):
    """timm's RandomErasing of one image: probability, up to ten tries, log-uniform aspect, a box within the image."""
    words = lambda block: [w / WORD for w in philox((block, sample, epoch, 0), (seed, ERASE))]
    if words(0)[0] >= probability:
        return [0, 0, 0, 0]
    for attempt in range(1, 11):
        u = words(attempt)
        area = (0.02 + u[0] * (1 / 3 - 0.02)) * height * width
        aspect = math.exp(math.log(0.3) + u[1] * (math.log(1 / 0.3) - math.log(0.3)))
        h, w = int(round(math.sqrt(area * aspect))), int(round(math.sqrt(area / aspect)))
        if 1 <= w < width and 1 <= h < height:
            return [int(u[2] * (height - h + 1)), int(u[3] * (width - w + 1)), h, w]
    return [0, 0, 0, 0]


height, width, chans, ids = 7, 9, 2, list(range(40, 46))
boxes = [erased(height, width, i, 0.9) for i in ids]
x = f32(torch.randn(len(ids), chans, height, width))
y = x.clone()
for n, (top, left, h, w) in enumerate(boxes):
    for c in range(chans):
        for row in range(top, top + h):
            for column in range(left, left + w):
                words = philox(((c * height + row) * width + column, ids[n], epoch, 0), (seed, ERASE_NOISE))
                radius = math.sqrt(-2 * math.log(((words[0] >> 8) + 1) / 2 ** 24))
                y[n, c, row, column] = radius * math.cos(2 * math.pi * ((words[1] >> 8) / 2 ** 24 - 0.5))
many = [erased(32, 48, i, 0.25) for i in range(500)]
out["erasing"] = dict(seed=seed, epoch=epoch, size=[height, width], chans=chans, ids=ids, boxes=boxes, x=listed(x), y=listed(y), many=many)

# Layer-wise learning rates and decay groups: facebookresearch/mae's param_groups_lrd and get_layer_id_for_vit.
depth, decay, weight_decay = 4, 0.65, 0.05
shapes = {"cls_token": 3, "pos_embed": 3, "patch_embed.proj.weight": 4, "patch_embed.proj.bias": 1, "fc_norm.weight": 1, "fc_norm.bias": 1, "norm.weight": 1, "head.weight": 2, "head.bias": 1}
for i in range(depth):
    for part in ("norm1", "norm2"):
        shapes["blocks.%d.%s.weight" % (i, part)] = shapes["blocks.%d.%s.bias" % (i, part)] = 1
    for part in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"):
        shapes["blocks.%d.%s.weight" % (i, part)], shapes["blocks.%d.%s.bias" % (i, part)] = 2, 1


def layer_id(name, layers):
    if name in ("cls_token", "pos_embed") or name.startswith("patch_embed"):
        return 0
    return int(name.split(".")[1]) + 1 if name.startswith("blocks") else layers


scales = [decay ** (depth + 1 - i) for i in range(depth + 2)]
out["layers"] = dict(depth=depth, decay=decay, weight_decay=weight_decay, groups=[
    dict(name=n, ndim=ndim, lr=scales[layer_id(n, depth + 1)], wd=0.0 if ndim == 1 or n in ("pos_embed", "cls_token") else weight_decay) for n, ndim in shapes.items()])

# facebookresearch/mae's adjust_learning_rate.
lr, min_lr, warmup, epochs = 1.5e-3, 1e-6, 2.5, 11
rate_at = lambda e: lr * e / warmup if e < warmup else min_lr + (lr - min_lr) * 0.5 * (1.0 + math.cos(math.pi * (e - warmup) / (epochs - warmup)))
at = [i / 7 for i in range(77)]
out["cosine"] = dict(lr=lr, min_lr=min_lr, warmup_epochs=warmup, epochs=epochs, at=at, rates=[rate_at(e) for e in at])

write("mixing.json", out)
