#!/usr/bin/env python3
"""Writes fixtures/photographs.json: small pieces of 50 photographs (CC0), five of each of ten kinds of clothes, for the other oracles and for tests.

    python3 test/oracle/photographs.py FOLDER_OF_FOLDERS_OF_JPEGS
"""
import base64
import json
import os
import pathlib
import random
import sys

from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
random.seed(50)
pieces = []
for kind in sorted(p for p in pathlib.Path(sys.argv[1]).iterdir() if p.is_dir())[:10]:
    for path in sorted(kind.glob("*.jpg"))[:5]:
        w, h = random.randint(20, 40), random.randint(18, 34)
        photo = Image.open(path).convert("RGB")
        x, y = photo.width // 3, photo.height // 3
        piece = photo.crop((x, y, x + 3 * w, y + 3 * h)).resize((w, h), Image.BICUBIC)
        pieces.append(dict(kind=kind.name, width=w, height=h, rgb=base64.b64encode(piece.tobytes()).decode()))
json.dump(pieces, open(os.path.join(HERE, "fixtures", "photographs.json"), "w"))
print(len(pieces))
