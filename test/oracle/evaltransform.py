#!/usr/bin/env python3
"""Writes fixtures/evaltransform.json: torchvision's Resize(bicubic) and CenterCrop, as the reference evaluates, of the pieces of 50 photographs.

    python3 test/oracle/evaltransform.py                       (Pillow 9.4, torchvision 0.14)
    python3 test/oracle/evaltransform.py FOLDER_OF_JPEGS OUT   whole photographs to 224 x 224 instead, for ORACLE=OUT npm test -- --only evaltransform
"""
import json
import pathlib
import sys

from PIL import Image
from torchvision import transforms

from pieces import digest, pieces, write

SIZES = (16, 24, 32, 48)


def transform(size):
    part = 224 / 256 if size <= 224 else 1.0
    return transforms.Compose([transforms.Resize(int(size / part), interpolation=transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(size)])


if len(sys.argv) > 2:
    out = pathlib.Path(sys.argv[2])
    out.mkdir(exist_ok=True)
    cases = []
    for i, path in enumerate(sorted(pathlib.Path(sys.argv[1]).rglob("*.jpg"))[:50]):
        photo = Image.open(path).convert("RGB")
        (out / ("%02d.rgb" % i)).write_bytes(photo.tobytes())
        cases.append(dict(width=photo.width, height=photo.height, size=224, sha256=digest(transform(224)(photo))))
    (out / "evaltransform.json").write_text(json.dumps(cases))
else:
    sized = [(piece, SIZES[i % len(SIZES)]) for i, piece in enumerate(pieces())]
    write("evaltransform.json", [dict(size=size, sha256=digest(transform(size)(piece))) for piece, size in sized])
