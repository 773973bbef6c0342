#!/usr/bin/env python3
"""Writes fixtures/randaugment.json: RandAugment's fifteen operations by Pillow on pieces of photographs, at several levels and signs.

    python3 test/oracle/randaugment.py FOLDER_OF_JPEGS            (Pillow 9.4)
    python3 test/oracle/randaugment.py FOLDER_OF_JPEGS OUT        whole images of 224 x 224 instead, as OUT/cases.json and OUT/*.rgb

Strengths of a level are timm's, for the set that grows with the magnitude (inc1); the reference's fill is (124, 116, 104), cubic interpolation.
"""
import base64
import json
import os
import pathlib
import sys

from PIL import Image, ImageEnhance, ImageOps

FILL = (124, 116, 104)
CUBIC = Image.BICUBIC


def affine(image, matrix):
    return image.transform(image.size, Image.AFFINE, matrix, resample=CUBIC, fillcolor=FILL)


def solarize_add(image, add):
    return image.point([min(255, i + add) if i < 128 else i for i in range(256)] * 3)


def enhance(kind):
    return lambda im, lv, s: kind(im).enhance(max(0.1, 1 + s * lv / 10 * 0.9))


OPS = {
    "AutoContrast": lambda im, lv, s: ImageOps.autocontrast(im),
    "Equalize": lambda im, lv, s: ImageOps.equalize(im),
    "Invert": lambda im, lv, s: ImageOps.invert(im),
    "Rotate": lambda im, lv, s: im.rotate(s * lv * 30 / 10, resample=CUBIC, fillcolor=FILL),
    "Posterize": lambda im, lv, s: ImageOps.posterize(im, 4 - int(lv / 10 * 4)) if 4 - int(lv / 10 * 4) > 0 else im.point([0] * 768),
    "Solarize": lambda im, lv, s: ImageOps.solarize(im, 256 - min(256, int(lv / 10 * 256))),
    "SolarizeAdd": lambda im, lv, s: solarize_add(im, min(128, int(lv / 10 * 110))),
    "Color": enhance(ImageEnhance.Color),
    "Contrast": enhance(ImageEnhance.Contrast),
    "Brightness": enhance(ImageEnhance.Brightness),
    "Sharpness": enhance(ImageEnhance.Sharpness),
    "ShearX": lambda im, lv, s: affine(im, (1, s * lv / 10 * 0.3, 0, 0, 1, 0)),
    "ShearY": lambda im, lv, s: affine(im, (1, 0, 0, s * lv / 10 * 0.3, 1, 0)),
    "TranslateX": lambda im, lv, s: affine(im, (1, 0, s * lv / 10 * 0.45 * im.size[0], 0, 1, 0)),
    "TranslateY": lambda im, lv, s: affine(im, (1, 0, 0, 0, 1, s * lv / 10 * 0.45 * im.size[1])),
}
files = sorted(pathlib.Path(sys.argv[1]).rglob("*.jpg"))
if len(sys.argv) > 2:
    out = pathlib.Path(sys.argv[2])
    out.mkdir(exist_ok=True)
    cases = []
    for i, path in enumerate(files[:50]):
        image = Image.open(path).convert("RGB").resize((224, 224), CUBIC)
        (out / ("in%02d.rgb" % i)).write_bytes(image.tobytes())
        for name, op in OPS.items():
            level, sign = 8.5 + (i % 4) * 0.37, (-1) ** i
            (out / ("%02d-%s.rgb" % (i, name))).write_bytes(op(image, level, sign).tobytes())
            cases.append(dict(image=i, op=name, level=level, sign=sign))
    (out / "cases.json").write_text(json.dumps(cases))
    sys.exit()
encoded = lambda image: base64.b64encode(image.tobytes()).decode()
images, cases = [], []
for path, (w, h) in zip(files[3::9], [(24, 18), (15, 22), (17, 17)]):
    piece = Image.open(path).convert("RGB")
    x, y = piece.width // 3, piece.height // 3
    piece = piece.crop((x, y, x + 4 * w, y + 4 * h)).resize((w, h), CUBIC)
    images.append(dict(width=w, height=h, rgb=encoded(piece)))
    for name, op in OPS.items():
        for level, sign in ((9.3, 1), (3.7, -1)):
            cases.append(dict(image=len(images) - 1, op=name, level=level, sign=sign, out=encoded(op(piece, level, sign))))
json.dump(dict(images=images, cases=cases), open(os.path.join(os.path.dirname(__file__), "fixtures", "randaugment.json"), "w"))
