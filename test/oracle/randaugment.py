#!/usr/bin/env python3
"""Writes fixtures/randaugment.json: RandAugment's fifteen operations by Pillow on the pieces of 50 photographs, each at a level and sign of its own.

    python3 test/oracle/randaugment.py                       (Pillow 9.4)
    python3 test/oracle/randaugment.py FOLDER_OF_JPEGS OUT   whole photographs of 224 x 224 instead, for ORACLE=OUT npm test -- --only randaugment

Strengths of a level are timm's, for the set that grows with the magnitude (inc1); the reference's fill is (124, 116, 104), cubic interpolation.
"""
import json
import pathlib
import random
import sys

from PIL import Image, ImageEnhance, ImageOps

from pieces import digest, encoded, pieces, write

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
# Where Pillow computes in floating point, all bytes are kept.
INEXACT = ("AutoContrast", "Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY")
random.seed(15)
drawn = lambda: (round(random.choice((random.uniform(0, 10), min(10, random.gauss(9, 0.5)))), 3), random.choice((1, -1)))

if len(sys.argv) > 2:
    out = pathlib.Path(sys.argv[2])
    out.mkdir(exist_ok=True)
    cases = []
    for i, path in enumerate(sorted(pathlib.Path(sys.argv[1]).rglob("*.jpg"))[:50]):
        photo = Image.open(path).convert("RGB").resize((224, 224), CUBIC)
        (out / ("in%02d.rgb" % i)).write_bytes(photo.tobytes())
        for name, op in OPS.items():
            level, sign = drawn()
            (out / ("%02d-%s.rgb" % (i, name))).write_bytes(op(photo, level, sign).tobytes())
            cases.append(dict(image=i, op=name, level=level, sign=sign))
    (out / "randaugment.json").write_text(json.dumps(cases))
else:
    cases = []
    for i, piece in enumerate(pieces()):
        piece = piece.crop((0, 0, 16, 12))
        for name, op in OPS.items():
            level, sign = drawn()
            done = op(piece, level, sign)
            cases.append(dict(image=i, op=name, level=level, sign=sign, **(dict(out=encoded(done)) if name in INEXACT else dict(sha256=digest(done)))))
    write("randaugment.json", cases)
