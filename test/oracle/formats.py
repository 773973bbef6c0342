"""Files as other programs write them: numpy's .npy in its versions and byte orders, tar archives of Python's tarfile.

/usr/bin/python3 test/oracle/formats.py writes test/oracle/fixtures/formats/, but for the two .parquet files: mutants that test/fast/fuzz-data
found. The expected values follow from the index: see values().
"""
import io
import pathlib
import tarfile

import numpy as np
from PIL import Image

here = pathlib.Path(__file__).parent / 'fixtures' / 'formats'
here.mkdir(parents=True, exist_ok=True)


def values(shape):
    return (np.arange(np.prod(shape)) * 7 % 256).reshape(shape)


shape = (3, 5, 6, 4)
np.save(here / 'u8.npy', values(shape).astype(np.uint8))
for version in [(1, 0), (2, 0), (3, 0)]:
    for name, dtype in [('le', '<f4'), ('be', '>f8'), ('u16', '>u2')]:
        with open(here / f'{name}-v{version[0]}.npy', 'wb') as out:
            np.lib.format.write_array(out, values(shape).astype(dtype), version)
np.save(here / 'fortran.npy', np.asfortranarray(values(shape).astype(np.float32)))
np.save(here / 'struct.npy', np.zeros(3, dtype=[('a', '<f4'), ('b', 'u1')]))


def png(value):
    out = io.BytesIO()
    Image.new('RGB', (3, 2), (value, 0, 0)).save(out, 'PNG')
    return out.getvalue()


for name, kind in [('ustar', tarfile.USTAR_FORMAT), ('gnu', tarfile.GNU_FORMAT), ('pax', tarfile.PAX_FORMAT)]:
    with tarfile.open(here / f'{name}.tar', 'w', format=kind) as out:
        folder = tarfile.TarInfo('folder')
        folder.type = tarfile.DIRTYPE
        out.addfile(folder)
        for i in range(3):
            # 120 characters and more: beyond the name field, within ustar's prefix.
            key = 'folder/' + 'x' * 60 + '/' + 'ü' * 20 * (name != 'ustar') + 'y' * 60 + str(i)
            for extension, body in [('png', png(40 * i)), ('cls', str(i).encode())]:
                info = tarfile.TarInfo(f'{key}.{extension}')
                info.size = len(body)
                out.addfile(info, io.BytesIO(body))
        link = tarfile.TarInfo('folder/link.png')
        link.type, link.linkname = tarfile.SYMTYPE, '/etc/passwd'
        out.addfile(link)
