"""Masked autoencoders in PyTorch, as `tesserae bench gpu` holds itself against them."""

import torch
import torch.nn.functional as F
from torch import nn


def sdpa(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v)
    return (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1) @ v


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


def optimizer_of(model, fused):
    decayed = [p for p in model.parameters() if p.ndim >= 2 and p.shape[0] > 1]
    other = [p for p in model.parameters() if not (p.ndim >= 2 and p.shape[0] > 1)]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": other, "weight_decay": 0.0}]
    # The fused one is PyTorch's fastest; versions before it have the other.
    extra = {"fused": True} if fused else {}
    return torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.95), **extra)
