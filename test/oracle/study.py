#!/usr/bin/env python3
"""The CIFAR-10 study of a recipe in PyTorch: what `tesserae study RECIPE` does, by other hands, for comparing the numbers.

    python3 test/oracle/study.py mae/recipes/cifar10-quick.yaml --data FOLDER_OF_BINARY_FILES --seed 0 --out study.json

Reads the same recipe file: pretrains a masked autoencoder, then kNN, linear probe and fine-tuning, each also from the encoder's random
initialisation. Needs torch, torchvision, Pillow and PyYAML (Debian: python3-torchvision python3-pil python3-yaml libopenblas0).
`--device cuda --parts none` pretrains alone, under bf16 autocast and with crops that are made on the card (crops.py).
The model is written from the paper's description; random numbers are torch's own, so runs agree in the mean, not bit by bit.
"""
import argparse
import json
import math
import time

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from PIL import Image
from torch import nn
from torchvision import transforms

MEAN, STD = (0.49139968, 0.48215841, 0.44653091), (0.24703223, 0.24348513, 0.26158784)
SIZES = {
    "mae_vit_nano_patch4_32": dict(side=32, patch=4, dim=96, depth=4, heads=3, dec_dim=64, dec_depth=2, dec_heads=4),
    "mae_vit_tiny_patch2_32": dict(side=32, patch=2, dim=192, depth=12, heads=3, dec_dim=192, dec_depth=4, dec_heads=3),
}


def read(folder, names):
    raw = np.concatenate([np.fromfile(f"{folder}/{n}", np.uint8).reshape(-1, 3073) for n in names])
    return np.ascontiguousarray(raw[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), torch.from_numpy(raw[:, 0].astype(np.int64))


def sincos(dim, grid):
    """[sin column, cos column, sin row, cos row] of every patch, zeros for the cls token."""
    omega = 10000.0 ** (-np.arange(dim // 4) / (dim / 4))
    rows, cols = np.divmod(np.arange(grid * grid), grid)
    parts = [f(np.outer(at, omega)) for at in (cols, rows) for f in (np.sin, np.cos)]
    return torch.from_numpy(np.concatenate([np.zeros((1, dim)), np.concatenate(parts, 1)])).float()[None]


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x, keep=None):
        n, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        fused = getattr(F, "scaled_dot_product_attention", None)
        a = fused(q, k, v) if fused else (q @ k.transpose(-2, -1) * (d // self.heads) ** -0.5).softmax(-1) @ v
        thin = (lambda y: y) if keep is None else (lambda y: y * (torch.rand(n, 1, 1) < keep) / keep)
        x = x + thin(self.proj(a.transpose(1, 2).reshape(n, t, d)))
        return x + thin(self.fc2(F.gelu(self.fc1(self.norm2(x)))))


class Mae(nn.Module):
    def __init__(self, side, patch, dim, depth, heads, dec_dim, dec_depth, dec_heads, norm_pix=False, learned=False):
        super().__init__()
        self.patch, self.grid, self.norm_pix = patch, side // patch, norm_pix
        self.embed = nn.Linear(3 * patch * patch, dim)
        self.cls, self.mask_token = nn.Parameter(torch.zeros(1, 1, dim)), nn.Parameter(torch.zeros(1, 1, dec_dim))
        self.pos = nn.Parameter(sincos(dim, self.grid), requires_grad=False)
        self.dec_pos = nn.Parameter(sincos(dec_dim, self.grid), requires_grad=False)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm, self.dec_norm = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dec_dim, eps=1e-6)
        self.dec_embed = nn.Linear(dim, dec_dim)
        self.dec_blocks = nn.ModuleList(Block(dec_dim, dec_heads) for _ in range(dec_depth))
        self.pred = nn.Linear(dec_dim, 3 * patch * patch)
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.xavier_uniform_(m.weight)
                nn.init.zeros_(m.bias)
        bound = 1 / math.sqrt(3 * patch * patch)  # the patch embedding is a convolution, whose bias keeps torch's default
        nn.init.uniform_(self.embed.bias, -bound, bound)
        nn.init.normal_(self.cls, std=0.02)
        nn.init.normal_(self.mask_token, std=0.02)
        if learned:
            for pos in (self.pos, self.dec_pos):
                nn.init.normal_(pos.requires_grad_(), std=0.02)

    def patches(self, img, order):
        n, p, g = len(img), self.patch, self.grid
        return img.view(n, 3, g, p, g, p).permute(*order).reshape(n, g * g, 3 * p * p)

    def tokens(self, img):
        return self.embed(self.patches(img, (0, 2, 4, 1, 3, 5))) + self.pos[:, 1:]

    def encode(self, x):
        x = torch.cat([(self.cls + self.pos[:, :1]).expand(len(x), -1, -1), x], 1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def forward(self, img, noise, keep):
        x = self.tokens(img)
        n, length, d = x.shape
        shuffle = noise.argsort(1)
        restore = shuffle.argsort(1)
        mask = (restore >= keep).float()
        x = self.dec_embed(self.encode(x.gather(1, shuffle[:, :keep, None].expand(-1, -1, d))))
        e = x.shape[-1]
        full = torch.cat([x[:, 1:], self.mask_token.to(x.dtype).expand(n, length - keep, -1)], 1).gather(1, restore[..., None].expand(-1, -1, e))
        y = torch.cat([x[:, :1], full], 1) + self.dec_pos
        for block in self.dec_blocks:
            y = block(y)
        target = self.patches(img, (0, 2, 4, 3, 5, 1))
        if self.norm_pix:
            target = (target - target.mean(-1, True)) / (target.var(-1, keepdim=True) + 1e-6) ** 0.5
        error = ((self.pred(self.dec_norm(y))[:, 1:].float() - target) ** 2).mean(-1)
        return (error * mask).sum() / mask.sum()


def scaled(x):
    return (x.float() / 255 - torch.tensor(MEAN, device=x.device).view(3, 1, 1)) / torch.tensor(STD, device=x.device).view(3, 1, 1)


def normalised(pictures):
    return scaled(torch.from_numpy(pictures).permute(0, 3, 1, 2))


def cropper(scale):
    crop = transforms.Compose([transforms.RandomResizedCrop(32, scale=scale, interpolation=transforms.InterpolationMode.BICUBIC),
                               transforms.RandomHorizontalFlip()])
    return lambda pictures: normalised(np.stack([np.asarray(crop(Image.fromarray(p))) for p in pictures]))


def rate(epoch, lr, min_lr, warmup, epochs):
    if epoch < warmup:
        return lr * epoch / warmup
    return min_lr + (lr - min_lr) * 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (epochs - warmup)))


def batches(n, size, device="cpu"):
    order = torch.randperm(n, device=device)
    return [order[i * size:(i + 1) * size] for i in range(n // size)]


def pretrain(model, train, heldout, o, log, device):
    card = device != "cpu"
    keep = int(model.grid ** 2 * (1 - o.get("mask_ratio", 0.75)))
    decay = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    opt = torch.optim.AdamW([dict(params=decay, weight_decay=o.get("weight_decay", 0.05)), dict(params=plain, weight_decay=0)], lr=0, betas=(0.9, 0.95))
    lr, fixed = o["blr"] * o["batch_size"] / 256, torch.rand(len(heldout), model.grid ** 2, device=device)
    if card:
        from crops import cropped
        train = torch.from_numpy(train).permute(0, 3, 1, 2).contiguous().to(device)
        crop = lambda pictures: scaled(cropped(pictures, (0.2, 1)))
    else:
        crop = cropper((0.2, 1))
    evaluation = normalised(heldout).to(device)
    cast = lambda: torch.autocast("cuda" if card else "cpu", torch.bfloat16, enabled=card)
    began = time.time()
    for epoch in range(o["epochs"]):
        steps, total = batches(len(train), o["batch_size"], device), 0.0
        for i, ids in enumerate(steps):
            for g in opt.param_groups:
                g["lr"] = rate(epoch + i / len(steps), lr, o.get("min_lr", 0), o["warmup_epochs"], o["epochs"])
            with cast():
                loss = model(crop(train[ids]), torch.rand(len(ids), model.grid ** 2, device=device), keep)
            opt.zero_grad()
            loss.backward()
            opt.step()
            # Added up on the device: reading every loss would have the host wait for each step.
            total += loss.detach()
        with torch.no_grad(), cast():
            held = sum(model(evaluation[i:i + 500], fixed[i:i + 500], keep).item() for i in range(0, len(heldout), 500)) / (len(heldout) / 500)
        log.append(dict(epoch=epoch, train_loss=total.item() / len(steps), heldout_loss=held, seconds=round(time.time() - began, 2)))
        print(json.dumps(log[-1]), flush=True)


@torch.no_grad()
def features(model, pictures):
    parts = [model.encode(model.tokens(normalised(pictures[i:i + 1000]))) for i in range(0, len(pictures), 1000)]
    return dict(cls=torch.cat([x[:, 0] for x in parts]), gap=torch.cat([x[:, 1:].mean(1) for x in parts]))


def knn(train, labels, x, y, k=20, temperature=0.07):
    train, x, right = F.normalize(train, dim=1), F.normalize(x, dim=1), 0
    for i in range(0, len(x), 1000):
        near, at = (x[i:i + 1000] @ train.T).topk(k, 1)
        votes = torch.zeros(len(near), 10).scatter_add_(1, labels[at], (near / temperature).exp())
        right += (votes.argmax(1) == y[i:i + 1000]).sum().item()
    return 100 * right / len(x)


class Lars(torch.optim.Optimizer):
    def __init__(self, params, lr=0, momentum=0.9, trust=0.001):
        super().__init__(params, dict(lr=lr, momentum=momentum, trust=trust))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                g = p.grad
                if p.ndim > 1 and p.norm() > 0 and g.norm() > 0:
                    g = g * group["trust"] * p.norm() / g.norm()
                mu = self.state[p].setdefault("mu", torch.zeros_like(p))
                mu.mul_(group["momentum"]).add_(g)
                p.sub_(group["lr"] * mu)


def linear_probe(train, labels, x, y, blr, epochs, batch, warmup):
    head = nn.Sequential(nn.BatchNorm1d(train.shape[1], affine=False, eps=1e-6), nn.Linear(train.shape[1], 10))
    nn.init.normal_(head[1].weight, std=0.01)
    nn.init.zeros_(head[1].bias)
    opt, lr = Lars(head[1].parameters()), blr * batch / 256
    for epoch in range(epochs):
        steps = batches(len(train), batch)
        for i, ids in enumerate(steps):
            opt.param_groups[0]["lr"] = rate(epoch + i / len(steps), lr, 0, warmup, epochs)
            loss = F.cross_entropy(head(train[ids]), labels[ids])
            opt.zero_grad()
            loss.backward()
            opt.step()
    head.eval()
    with torch.no_grad():
        return head, 100 * (head(x).argmax(1) == y).float().mean().item()


def best_probe(train, labels, val, val_labels, test, test_labels, o):
    found = [linear_probe(train, labels, val, val_labels, blr, o["epochs"], o["batch_size"], o["warmup_epochs"]) for blr in o["blr"]]
    head, _ = max(found, key=lambda f: f[1])
    with torch.no_grad():
        return 100 * (head(test).argmax(1) == test_labels).float().mean().item()


class Classifier(nn.Module):
    """GAP over patches, a new norm, a head; positions are trained, as in the reference's fine-tuning."""

    def __init__(self, mae, drop_path):
        super().__init__()
        d = mae.norm.weight.numel()
        self.mae, self.fc_norm, self.head = mae, nn.LayerNorm(d, eps=1e-6), nn.Linear(d, 10)
        nn.init.trunc_normal_(self.head.weight, std=2e-5)
        nn.init.zeros_(self.head.bias)
        self.keeps = [None if drop_path == 0 else 1 - r for r in np.linspace(0, drop_path, len(mae.blocks))]
        for name, p in mae.named_parameters():
            p.requires_grad = not (name.startswith(("dec_", "pred", "mask_token", "norm.")))

    def forward(self, img):
        m = self.mae
        x = torch.cat([(m.cls + m.pos[:, :1]).expand(len(img), -1, -1), m.tokens(img)], 1)
        for block, keep in zip(m.blocks, self.keeps):
            x = block(x, keep if self.training else None)
        return self.head(self.fc_norm(x[:, 1:].mean(1)))

    def groups(self, decay, layer_decay):
        depth = len(self.mae.blocks)
        for name, p in self.named_parameters():
            if not p.requires_grad:
                continue
            layer = depth + 1
            if name.startswith(("mae.cls", "mae.pos", "mae.embed")):
                layer = 0
            elif name.startswith("mae.blocks."):
                layer = int(name.split(".")[2]) + 1
            exempt = p.ndim <= 1 or name in ("mae.cls", "mae.pos")
            yield dict(params=[p], weight_decay=0 if exempt else decay, scale=layer_decay ** (depth + 1 - layer))


def finetune(model, train, labels, test, test_labels, o):
    opt = torch.optim.AdamW(list(model.groups(o.get("weight_decay", 0.05), o.get("layer_decay", 0.75))), lr=0)
    lr, crop = o["blr"] * o["batch_size"] / 256, cropper((0.2, 1))
    for epoch in range(o["epochs"]):
        model.train()
        steps = batches(len(train), o["batch_size"])
        for i, ids in enumerate(steps):
            for g in opt.param_groups:
                g["lr"] = g["scale"] * rate(epoch + i / len(steps), lr, o.get("min_lr", 1e-6), o["warmup_epochs"], o["epochs"])
            loss = F.cross_entropy(model(crop(train[ids])), labels[ids], label_smoothing=o.get("smoothing", 0.1))
            opt.zero_grad()
            loss.backward()
            opt.step()
    model.eval()
    with torch.no_grad():
        right = sum((model(normalised(test[i:i + 1000])).argmax(1) == test_labels[i:i + 1000]).sum().item() for i in range(0, len(test), 1000))
    return 100 * right / len(test)


def main():
    cli = argparse.ArgumentParser()
    cli.add_argument("recipe")
    cli.add_argument("--data", required=True)
    cli.add_argument("--seed", type=int, default=0)
    cli.add_argument("--out", required=True)
    cli.add_argument("--parts", default="probe,finetune", help="of probe and finetune; none: pretrain alone")
    cli.add_argument("--device", default="cpu")
    cli.add_argument("--epochs", type=int, help="instead of the recipe's")
    a = cli.parse_args()
    recipe = yaml.safe_load(open(a.recipe))
    study = recipe.pop("study", {})
    o = {}
    for section in recipe.values():
        o.update(section)
    o["epochs"] = a.epochs or o["epochs"]
    torch.manual_seed(a.seed)
    pictures, labels = read(a.data, [f"data_batch_{i}.bin" for i in range(1, 6)])
    test, test_labels = read(a.data, ["test_batch.bin"])
    kept = o.get("heldout", 2000)
    train, heldout = pictures[:-kept], pictures[-kept:]
    labels, held_labels = labels[:-kept], labels[-kept:]
    sizes = dict(SIZES[o["model"]], norm_pix=o.get("norm_pix_loss", False), learned=o.get("pos_embed") == "learned")
    sizes["patch"] = o.get("patch_size", sizes["patch"])
    started = time.time()
    result = dict(seed=a.seed, torch=torch.__version__, recipe=a.recipe, curve=[], rows=[])
    random, model = Mae(**sizes), Mae(**sizes)
    model.load_state_dict(random.state_dict())
    pretrain(model.to(a.device), train, heldout, o, result["curve"], a.device)
    model = model.cpu()
    result["seconds"] = dict(pretrain=time.time() - started)
    if "probe" in a.parts:
        for name, encoder in (("random", random), ("mae", model)):
            f, v, t = features(encoder, train), features(encoder, heldout), features(encoder, test)
            for kind in ("cls", "gap"):
                row = dict(encoder=name, feature=kind, knn=knn(f[kind], labels, t[kind], test_labels))
                row["linear"] = best_probe(f[kind], labels, v[kind], held_labels, t[kind], test_labels, study["linprobe"])
                result["rows"].append(row)
                print(json.dumps(row), flush=True)
    if "finetune" in a.parts:
        for name, encoder in (("random", random), ("mae", model)):
            classifier = Classifier(encoder, study["finetune"].get("drop_path", 0))
            row = dict(encoder=name, finetune=finetune(classifier, train, labels, test, test_labels, study["finetune"]))
            result["rows"].append(row)
            print(json.dumps(row), flush=True)
    result["seconds"]["all"] = time.time() - started
    json.dump(result, open(a.out, "w"), indent=1)


if __name__ == "__main__":
    main()
