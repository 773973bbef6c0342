// The masked autoencoder's loss in plain f64 loops.

export interface Sizes {
  batch: number;
  chans: number;
  height: number;
  width: number;
  patch_size: number;
  NORM: boolean;
}

/** (batch, patches, patch_size * patch_size * chans) in the order (i, j, c). */
function targets(img: Float64Array, { batch, chans, height, width, patch_size, NORM }: Sizes): Float64Array {
  const [down, across, size] = [height / patch_size, width / patch_size, patch_size * patch_size * chans];
  const out = new Float64Array(batch * down * across * size);
  let o = 0;
  for (let b = 0; b < batch; b++) {
    for (let gy = 0; gy < down; gy++) {
      for (let gx = 0; gx < across; gx++) {
        const first = o;
        let mean = 0;
        for (let i = 0; i < patch_size; i++) {
          for (let j = 0; j < patch_size; j++) {
            for (let c = 0; c < chans; c++, o++) {
              out[o] = img[((b * chans + c) * height + gy * patch_size + i) * width + gx * patch_size + j];
              mean += out[o] / size;
            }
          }
        }
        if (!NORM) continue;
        let variance = 0;
        for (let k = first; k < o; k++) variance += (out[k] - mean) ** 2 / Math.max(1, size - 1);
        for (let k = first; k < o; k++) out[k] = (out[k] - mean) / Math.sqrt(variance + 1e-6);
      }
    }
  }
  return out;
}

type Named<N extends string> = { [name in N]: Float64Array };

export function target(a: Named<'img' | 'targets'>, sizes: Sizes): void {
  a.targets.set(targets(a.img, sizes));
}

export function forward(a: Named<'img' | 'pred' | 'mask' | 'rowloss'>, sizes: Sizes & { L1: boolean }): void {
  const t = targets(a.img, sizes);
  const size = sizes.patch_size ** 2 * sizes.chans;
  for (let k = 0; k < t.length; k++) {
    const row = Math.floor(k / size);
    const d = Math.abs(a.pred[k] - t[k]);
    a.rowloss[row] += (a.mask[row] * (sizes.L1 ? d : d ** 2)) / size;
  }
}

export function finish(a: Named<'rowloss' | 'mask' | 'loss' | 'total'>): void {
  const sum = (v: Float64Array): number => v.reduce((s, x) => s + x, 0);
  const masked = sum(a.mask);
  a.loss[0] = masked === 0 ? 0 : sum(a.rowloss) / masked;
  a.total.set([a.loss[0], masked]);
}

export function backward(
  a: Named<'img' | 'pred' | 'mask' | 'total' | 'dloss' | 'dpred'>,
  sizes: Sizes & { L1: boolean },
): void {
  const t = targets(a.img, sizes);
  const size = sizes.patch_size ** 2 * sizes.chans;
  for (let k = 0; k < t.length; k++) {
    const weight = a.mask[Math.floor(k / size)];
    const d = a.pred[k] - t[k];
    a.dpred[k] = weight === 0 ? 0 : (((a.dloss[0] * weight) / a.total[1]) * (sizes.L1 ? Math.sign(d) : 2 * d)) / size;
  }
}
