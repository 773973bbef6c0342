#!/usr/bin/env python3
"""Writes fixtures/evaltransform.json: torchvision's Resize(bicubic) and CenterCrop, as the reference evaluates, on pieces of photographs.

    python3 test/oracle/evaltransform.py FOLDER_OF_JPEGS            (Pillow 9.4, torchvision 0.14)
    python3 test/oracle/evaltransform.py FOLDER_OF_JPEGS 224 OUT    whole images instead, as OUT/NAME.rgb (224 x 224 x 3 bytes)
"""
import base64
import json
import os
import pathlib
import sys

from PIL import Image
from torchvision import transforms


def transform(size):
    part = 224 / 256 if size <= 224 else 1.0
    return transforms.Compose([transforms.Resize(int(size / part), interpolation=transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(size)])


files = sorted(pathlib.Path(sys.argv[1]).rglob("*.jpg"))
if len(sys.argv) > 2:
    os.makedirs(sys.argv[3], exist_ok=True)
    for i, path in enumerate(files[:50]):
        image = transform(int(sys.argv[2]))(Image.open(path).convert("RGB"))
        pathlib.Path(sys.argv[3], "%02d.rgb" % i).write_bytes(image.tobytes())
    pathlib.Path(sys.argv[3], "files.json").write_text(json.dumps([str(p) for p in files[:50]]))
    sys.exit()
cases = []
for path, (w, h), size in zip(files[::7], [(61, 47), (40, 73), (36, 36), (90, 31), (20, 26)], [32, 32, 32, 24, 28]):
    piece = Image.open(path).convert("RGB")
    piece = piece.crop((piece.width // 3, piece.height // 3, piece.width // 3 + w, piece.height // 3 + h))
    encoded = lambda image: base64.b64encode(image.tobytes()).decode()
    cases.append(dict(width=w, height=h, size=size, rgb=encoded(piece), out=encoded(transform(size)(piece))))
json.dump(cases, open(os.path.join(os.path.dirname(__file__), "fixtures", "evaltransform.json"), "w"))
