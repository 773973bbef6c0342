"""torchvision's RandomResizedCrop (bicubic, as Pillow computes it) and flip for a whole batch at once, on any device.

Of one picture after the other the two take longer than a training step on a GPU. Crops are at most as large as the picture, so that the filter is never
widened: an output pixel is a sum over four columns and four rows of the crop, which is two matrix products.
"""
import math

import torch


def boxes(n, side, scale, device):
    """(n,) each: left, top, width, height, drawn as RandomResizedCrop.get_params does; of ten tries the first that fits, else all of the picture."""
    area = side * side * (torch.rand(n, 10, device=device) * (scale[1] - scale[0]) + scale[0])
    ratio = torch.exp((torch.rand(n, 10, device=device) * 2 - 1) * math.log(4 / 3))
    width, height = (area * ratio).sqrt().round().long(), (area / ratio).sqrt().round().long()
    fits = (width > 0) & (width <= side) & (height > 0) & (height <= side)
    first = fits.float().argmax(1, keepdim=True)
    whole = ~fits.any(1)
    width, height = (torch.where(whole, side, x.gather(1, first)[:, 0]) for x in (width, height))
    place = lambda size: (torch.rand(n, device=device) * (side - size + 1)).long()
    return place(width), place(height), width, height


def weights(start, size, side):
    """(n, side, side): how much every source pixel counts in every output pixel, along one axis."""
    at = torch.arange(side, device=start.device).float()
    centre = (at[None] + 0.5) * size[:, None] / side + start[:, None]
    x = (at[None, None] + 0.5 - centre[..., None]).abs()
    a = -0.5
    near, far = ((a + 2) * x - (a + 3)) * x * x + 1, (((x - 5) * x + 8) * x - 4) * a
    w = torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
    inside = (at[None] >= start[:, None]) & (at[None] < (start + size)[:, None])
    w = w * inside[:, None]
    return w / w.sum(2, keepdim=True)


def crop(pictures, box):
    """(n, 3, side, side) bytes to the same, as floats that are whole: what Pillow would have rounded to, horizontally first."""
    left, top, width, height = box
    side = pictures.shape[-1]
    rounded = lambda x: x.round().clamp(0, 255)
    x = rounded(pictures.float() @ weights(left, width, side).transpose(1, 2)[:, None])
    return rounded(weights(top, height, side)[:, None] @ x)


def cropped(pictures, scale):
    n, side = len(pictures), pictures.shape[-1]
    x = crop(pictures, boxes(n, side, scale, pictures.device))
    return torch.where(torch.rand(n, 1, 1, 1, device=x.device) < 0.5, x.flip(3), x)
