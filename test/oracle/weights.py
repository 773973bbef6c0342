"""Weights as PyTorch itself writes them, in every layout that mae/weights reads, with what an independent forward pass makes of them.

/usr/bin/python3 test/oracle/weights.py tiny writes test/oracle/fixtures/weights/ (random weights, some 30 KB a file).
/usr/bin/python3 test/oracle/weights.py base FOLDER, or huge, writes the paper's sizes elsewhere: WEIGHTS_ORACLE=FOLDER makes
test/weights-oracle.test.ts check them.
"""
import argparse
import collections
import json
import pathlib
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F

# img, patch, D, depth, heads, decoder D, depth, heads, classes
SIZES = {
    'tiny': (16, 4, 16, 2, 2, 8, 1, 1, 5),
    'base': (224, 16, 768, 12, 12, 512, 8, 16, 1000),
    'huge': (224, 14, 1280, 32, 16, 512, 8, 16, 1000),
}


def positions(dim, grid):
    """facebookresearch/mae's layout: the column first."""
    omega = 1.0 / 10000 ** (np.arange(dim // 4, dtype=np.float64) / (dim / 4.0))
    y, x = np.meshgrid(np.arange(grid, dtype=np.float64), np.arange(grid, dtype=np.float64), indexing='ij')
    parts = []
    for coordinate in (x, y):
        angle = np.einsum('m,d->md', coordinate.reshape(-1), omega)
        parts += [np.sin(angle), np.cos(angle)]
    table = np.concatenate(parts, axis=1)
    return torch.from_numpy(np.concatenate([np.zeros([1, dim]), table])).float().unsqueeze(0)


def autoencoder(size, seed):
    """A state dict by facebookresearch/mae's names, in its order."""
    img, p, D, depth, _, E, layers, _, _ = size
    rng = torch.Generator().manual_seed(seed)
    draw = lambda *shape, scale=0.05: torch.randn(*shape, generator=rng) * scale
    grid = img // p
    sd = collections.OrderedDict()
    sd['cls_token'] = draw(1, 1, D)
    sd['pos_embed'] = positions(D, grid)
    sd['mask_token'] = draw(1, 1, E)
    sd['decoder_pos_embed'] = positions(E, grid)

    def linear(name, out, dim):
        sd[f'{name}.weight'] = draw(out, dim, scale=dim ** -0.5)
        sd[f'{name}.bias'] = draw(out)

    def norm(name, dim):
        sd[f'{name}.weight'] = 1 + draw(dim)
        sd[f'{name}.bias'] = draw(dim)

    def blocks(name, count, dim):
        for i in range(count):
            norm(f'{name}.{i}.norm1', dim)
            linear(f'{name}.{i}.attn.qkv', 3 * dim, dim)
            linear(f'{name}.{i}.attn.proj', dim, dim)
            norm(f'{name}.{i}.norm2', dim)
            linear(f'{name}.{i}.mlp.fc1', 4 * dim, dim)
            linear(f'{name}.{i}.mlp.fc2', dim, 4 * dim)

    sd['patch_embed.proj.weight'] = draw(D, 3, p, p, scale=(3 * p * p) ** -0.5)
    sd['patch_embed.proj.bias'] = draw(D)
    blocks('blocks', depth, D)
    norm('norm', D)
    linear('decoder_embed', E, D)
    blocks('decoder_blocks', layers, E)
    norm('decoder_norm', E)
    linear('decoder_pred', p * p * 3, E)
    return sd


# The forward pass, from the paper and the reference's names.

def stack(sd, name, x, depth, heads, eps):
    for i in range(depth):
        w = lambda part: (sd[f'{name}.{i}.{part}.weight'], sd[f'{name}.{i}.{part}.bias'])
        n, t, d = x.shape
        y = F.layer_norm(x, (d,), *w('norm1'), eps)
        q, k, v = F.linear(y, *w('attn.qkv')).reshape(n, t, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
        a = torch.softmax(q @ k.transpose(-2, -1) * (d // heads) ** -0.5, -1)
        x = x + F.linear((a @ v).transpose(1, 2).reshape(n, t, d), *w('attn.proj'))
        y = F.layer_norm(x, (d,), *w('norm2'), eps)
        x = x + F.linear(F.gelu(F.linear(y, *w('mlp.fc1'))), *w('mlp.fc2'))
    return x


def encode(sd, size, img, eps, ids=None):
    _, p, D, depth, heads, *_ = size
    x = F.conv2d(img, sd['patch_embed.proj.weight'], sd['patch_embed.proj.bias'], stride=p).flatten(2).transpose(1, 2)
    x = x + sd['pos_embed'][:, 1:]
    if ids is not None:
        x = torch.gather(x, 1, ids.unsqueeze(-1).expand(-1, -1, D))
    cls = (sd['cls_token'] + sd['pos_embed'][:, :1]).expand(len(x), -1, -1)
    return stack(sd, 'blocks', torch.cat([cls, x], 1), depth, heads, eps)


def normed(sd, name, x, eps):
    return F.layer_norm(x, x.shape[-1:], sd[f'{name}.weight'], sd[f'{name}.bias'], eps)


def rebuild(sd, size, img, noise, eps):
    """(N, L, p * p * 3) for every patch; three quarters are hidden."""
    _, _, _, _, _, E, layers, heads, _ = size
    shuffle = torch.argsort(noise, 1)
    restore = torch.argsort(shuffle, 1)
    keep = int(noise.shape[1] * 0.25)
    latent = normed(sd, 'norm', encode(sd, size, img, eps, shuffle[:, :keep]), eps)
    x = F.linear(latent, sd['decoder_embed.weight'], sd['decoder_embed.bias'])
    rest = sd['mask_token'].expand(len(x), noise.shape[1] - keep, -1)
    y = torch.gather(torch.cat([x[:, 1:], rest], 1), 1, restore.unsqueeze(-1).expand(-1, -1, E))
    x = torch.cat([x[:, :1], y], 1) + sd['decoder_pos_embed']
    x = normed(sd, 'decoder_norm', stack(sd, 'decoder_blocks', x, layers, heads, eps), eps)
    return F.linear(x, sd['decoder_pred.weight'], sd['decoder_pred.bias'])[:, 1:]


def logits(sd, size, img, eps):
    x = encode(sd, size, img, eps)
    if 'fc_norm.weight' in sd:
        x = normed(sd, 'fc_norm', x[:, 1:].mean(1), eps)
    else:
        x = normed(sd, 'norm', x, eps)[:, 0]
    if 'head.1.weight' in sd:
        x = (x - sd['head.0.running_mean']) / torch.sqrt(sd['head.0.running_var'] + 1e-6)
        return F.linear(x, sd['head.1.weight'], sd['head.1.bias'])
    return F.linear(x, sd['head.weight'], sd['head.bias'])


# Names and files of others.

OUTSIDE = {
    'cls_token': 'embeddings.cls_token', 'pos_embed': 'embeddings.position_embeddings',
    'patch_embed.proj.weight': 'embeddings.patch_embeddings.projection.weight',
    'patch_embed.proj.bias': 'embeddings.patch_embeddings.projection.bias',
    'norm.weight': 'layernorm.weight', 'norm.bias': 'layernorm.bias',
}
FOUR = {
    'norm1': 'layernorm_before', 'attn.proj': 'attention.output.dense', 'norm2': 'layernorm_after',
    'mlp.fc1': 'intermediate.dense', 'mlp.fc2': 'output.dense',
    'q': 'attention.attention.query', 'k': 'attention.attention.key', 'v': 'attention.attention.value',
}
FIVE = {
    'norm1': 'layernorm_before', 'attn.proj': 'attention.o_proj', 'norm2': 'layernorm_after',
    'mlp.fc1': 'mlp.fc1', 'mlp.fc2': 'mlp.fc2',
    'q': 'attention.q_proj', 'k': 'attention.k_proj', 'v': 'attention.v_proj',
}


def hugging(sd, prefix='vit.', names=FOUR, layers='encoder.layer', decoder='decoder.decoder_layers'):
    out = collections.OrderedDict()
    for name, tensor in sd.items():
        if name in OUTSIDE:
            out[prefix + OUTSIDE[name]] = tensor
        elif name.startswith('head.'):
            out[name.replace('head', 'classifier')] = tensor
        elif 'blocks.' in name:
            first, i, inside = name.split('.', 2)
            part, kind = inside.rsplit('.', 1)
            before = f'{prefix}{layers}' if first == 'blocks' else decoder
            if part == 'attn.qkv':
                for letter, piece in zip('qkv', tensor.chunk(3)):
                    out[f'{before}.{i}.{names[letter]}.{kind}'] = piece
            else:
                out[f'{before}.{i}.{names[part]}.{kind}'] = tensor
        else:
            out[f'decoder.{name}'] = tensor
    return out


TYPES = {torch.float32: 'F32', torch.float16: 'F16', torch.bfloat16: 'BF16', torch.int64: 'I64'}


def safetensors(path, sd, metadata=None):
    header, at, data = {'__metadata__': metadata or {'format': 'pt'}}, 0, []
    for name, tensor in sd.items():
        tensor = tensor.contiguous()
        raw = (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy().tobytes()
        header[name] = {'dtype': TYPES[tensor.dtype], 'shape': list(tensor.shape), 'data_offsets': [at, at + len(raw)]}
        at += len(raw)
        data.append(raw)
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    with open(path, 'wb') as out:
        out.write(struct.pack('<Q', len(text)) + text)
        for raw in data:
            out.write(raw)


def config(size, kind, eps=1e-12, **more):
    img, p, D, depth, heads, E, layers, decoder_heads, classes = size
    c = {
        'architectures': [kind], 'model_type': 'vit' if 'Class' in kind else 'vit_mae', 'hidden_size': D,
        'num_hidden_layers': depth, 'num_attention_heads': heads, 'intermediate_size': 4 * D, 'hidden_act': 'gelu',
        'layer_norm_eps': eps, 'image_size': img, 'patch_size': p, 'num_channels': 3, 'qkv_bias': True,
    }
    if 'Class' not in kind:
        c |= {'decoder_hidden_size': E, 'decoder_num_hidden_layers': layers, 'decoder_num_attention_heads': decoder_heads,
              'decoder_intermediate_size': 4 * E, 'mask_ratio': 0.75, 'norm_pix_loss': False}
    else:
        c['id2label'] = {str(i): f'kind {i}' for i in range(classes)}
    return c | more


def folder(path, c, mean=(0.5, 0.5, 0.5)):
    path.mkdir(parents=True, exist_ok=True)
    (path / 'config.json').write_text(json.dumps(c, indent=2))
    (path / 'preprocessor_config.json').write_text(json.dumps({'image_mean': mean, 'image_std': (0.25,) * 3, 'do_normalize': True}))
    return path


def main(which, home):
    size = SIZES[which]
    home.mkdir(parents=True, exist_ok=True)
    img_size, p, D, depth, heads, E, layers, decoder_heads, classes = size
    sd = autoencoder(size, 1)
    encoder = collections.OrderedDict((k, v) for k, v in sd.items() if not k.startswith(('decoder', 'mask')))
    rng = torch.Generator().manual_seed(2)
    tuned = collections.OrderedDict((k, v) for k, v in encoder.items() if not k.startswith('norm.'))
    tuned['pos_embed'] = tuned['pos_embed'] + 0.02 * torch.randn(tuned['pos_embed'].shape, generator=rng)
    cls = collections.OrderedDict(encoder)
    for target, norm in ((tuned, True), (cls, False)):
        if norm:
            target['fc_norm.weight'] = 1 + 0.05 * torch.randn(D, generator=rng)
            target['fc_norm.bias'] = 0.05 * torch.randn(D, generator=rng)
        target['head.weight'] = torch.randn(classes, D, generator=rng) * D ** -0.5
        target['head.bias'] = torch.randn(classes, generator=rng)
    probe = collections.OrderedDict(encoder)
    probe['head.0.running_mean'] = torch.randn(D, generator=rng)
    probe['head.0.running_var'] = 0.5 + torch.rand(D, generator=rng)
    probe['head.0.num_batches_tracked'] = torch.tensor(7)
    probe['head.1.weight'] = torch.randn(classes, D, generator=rng) * 0.1
    probe['head.1.bias'] = torch.randn(classes, generator=rng)

    n = 2 if which == 'tiny' else 1
    img = torch.randn(n, 3, img_size, img_size, generator=rng)
    noise = torch.rand(n, (img_size // p) ** 2, generator=rng)
    half = lambda values, dtype: {k: v.to(dtype).float() for k, v in values.items()}
    expected = {'img': img, 'noise': noise}
    with torch.no_grad():
        for eps, name in ((1e-6, ''), (1e-12, '.hf')):
            expected[f'pred{name}'] = rebuild(sd, size, img, noise, eps)
            expected[f'features{name}'] = normed(sd, 'norm', encode(sd, size, img, eps), eps)
            expected[f'logits.cls{name}'] = logits(cls, size, img, eps)
        expected['logits.gap'] = logits(tuned, size, img, 1e-6)
        expected['logits.probe'] = logits(probe, size, img, 1e-6)
        if which == 'tiny':
            expected['pred.f16'] = rebuild(half(sd, torch.float16), size, img, noise, 1e-6)
            expected['pred.bf16'] = rebuild(half(sd, torch.bfloat16), size, img, noise, 1e-6)
    safetensors(home / 'expected.safetensors', expected)

    args = argparse.Namespace(model=f'mae_vit_{which}', mask_ratio=0.6, norm_pix_loss=True, blr=1.5e-4, resume='', distributed=False,
                              lr=None, betas=(0.9, 0.95), seed=2 ** 63 - 1)
    whole = {'model': sd, 'epoch': 3, 'args': args, 'scaler': {'scale': 65536.0, 'growth_tracker': 1}}
    if which == 'tiny':
        # An optimizer over a few of them: a whole one would treble the file.
        some = [torch.nn.Parameter(v.clone()) for k, v in sd.items() if k.endswith('bias')][:3]
        optimizer = torch.optim.AdamW([{'params': some, 'weight_decay': 0.05}], lr=1e-3, betas=(0.9, 0.95))
        sum(q.sum() for q in some).backward()
        optimizer.step()
        whole['optimizer'] = optimizer.state_dict()
    module = torch.nn.Module()  # a state_dict with the `_metadata` that real ones have
    real = module.state_dict()
    real.update(sd)
    torch.save({**whole, 'model': real}, home / 'full.pth')
    torch.save({'model': tuned}, home / 'finetuned.pth')
    folder(home / 'hf', config(size, 'ViTMAEForPreTraining'))
    safetensors(home / 'hf/model.safetensors', hugging(sd))
    if which != 'tiny':
        folder(home / 'hf-classifier', config(size, 'ViTForImageClassification'))
        safetensors(home / 'hf-classifier/model.safetensors', hugging(cls))
        return
    torch.save({**whole, 'model': real}, home / 'full-legacy.pth', _use_new_zipfile_serialization=False)
    torch.save({'model': encoder}, home / 'encoder.pth', pickle_protocol=4)
    torch.save(collections.OrderedDict((f'module.{k}', torch.nn.Parameter(v)) for k, v in encoder.items()), home / 'wrapped.pth')
    torch.save({'model': probe, 'args': args, 'best': np.float64(3.5)}, home / 'probe.pth', _use_new_zipfile_serialization=False)
    # All weights as views of one storage, some of them transposed.
    flat = torch.cat([torch.zeros(3)] + [(v.t() if v.dim() == 2 else v).reshape(-1) for v in encoder.values()])
    views, at = collections.OrderedDict(), 3
    for k, v in encoder.items():
        piece = flat[at:at + v.numel()]
        views[k] = piece.view(v.shape[1], v.shape[0]).t() if v.dim() == 2 else piece.view(v.shape)
        at += v.numel()
    torch.save(views, home / 'views.pth')
    torch.save({'model': {k: v.half() for k, v in sd.items()}}, home / 'half.pth')
    safetensors(home / 'bfloat16.safetensors', {k: v.bfloat16() for k, v in sd.items()})
    safetensors(home / 'timm.safetensors', cls)
    five = dict(names=FIVE, layers='layers')
    folder(home / 'hf-five', config(size, 'ViTMAEForPreTraining'))
    shards = list(hugging(sd, **five).items())
    files = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']
    for file, part in zip(files, (shards[:40], shards[40:])):
        safetensors(home / 'hf-five' / file, dict(part))
    index = {'metadata': {'total_size': 0}, 'weight_map': {k: files[i >= 40] for i, (k, _) in enumerate(shards)}}
    (home / 'hf-five/model.safetensors.index.json').write_text(json.dumps(index))
    folder(home / 'hf-model', config(size, 'ViTMAEModel'))
    safetensors(home / 'hf-model/model.safetensors', hugging(encoder, prefix=''))
    folder(home / 'hf-classifier', config(size, 'ViTForImageClassification'))
    torch.save(dict(hugging(cls)), home / 'hf-classifier/pytorch_model.bin')


if __name__ == '__main__':
    which = sys.argv[1]
    home = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else pathlib.Path(__file__).parent / 'fixtures' / 'weights'
    main(which, home)
