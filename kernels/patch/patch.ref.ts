// Patches of an image by plain loops: the oracle of patch.forward and patch.backward.

export interface Sizes {
  batch: number;
  chans: number;
  height: number;
  width: number;
  patch_size: number;
  ORDER: number;
}

/** Calls `visit` for every pixel of patch `l` of image `b`: its index in the image and its place within the patch's row. */
function pixels(s: Sizes, b: number, l: number, visit: (pixel: number, place: number) => void): void {
  const top = Math.floor(l / (s.width / s.patch_size)) * s.patch_size;
  const left = (l % (s.width / s.patch_size)) * s.patch_size;
  for (let c = 0; c < s.chans; c++) {
    for (let i = 0; i < s.patch_size; i++) {
      for (let j = 0; j < s.patch_size; j++) {
        const place = s.ORDER === 0 ? (c * s.patch_size + i) * s.patch_size + j : (i * s.patch_size + j) * s.chans + c;
        visit(((b * s.chans + c) * s.height + top + i) * s.width + left + j, place);
      }
    }
  }
}

export function forward(
  { img, ids, rows }: { img: Float64Array; ids: Uint32Array; rows: Float64Array },
  s: Sizes & { count: number; ALL: boolean },
): void {
  const size = s.chans * s.patch_size * s.patch_size;
  for (let b = 0; b < s.batch; b++) {
    for (let k = 0; k < s.count; k++) {
      const l = s.ALL ? k : ids[b * s.count + k];
      pixels(s, b, l, (pixel, place) => (rows[(b * s.count + k) * size + place] = img[pixel]));
    }
  }
}

export function backward({ rows, img }: { rows: Float64Array; img: Float64Array }, s: Sizes): void {
  const size = s.chans * s.patch_size * s.patch_size;
  const patches = (s.height / s.patch_size) * (s.width / s.patch_size);
  for (let b = 0; b < s.batch; b++) {
    for (let l = 0; l < patches; l++) {
      pixels(s, b, l, (pixel, place) => (img[pixel] = rows[(b * patches + l) * size + place]));
    }
  }
}
