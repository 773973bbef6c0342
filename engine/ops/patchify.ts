// Rows of pixels of chosen patches, in the order of a convolution's weight: the patch embedding is a linear layer on them.
import { patchBackward, patchForward } from '../../kernels/patch/patch.ts';
import { fail, shapeText } from '../errors.ts';
import { defineOp } from '../op.ts';
import type { Tensor } from '../tensor.ts';

interface Inputs extends Record<string, Tensor | null> {
  /** (batch, C, height, width) */
  img: Tensor;
  /** (batch, count), u32: which patches; null for all, in row-major order */
  ids: Tensor | null;
}

/** Order within a row of pixels (ORDER of kernels/patch): as a convolution's weight, (C, p, p). */
export const CONV_ORDER = 0;
/** As the reference's patchify, (p, p, C): so lie predictions and their targets. */
export const PATCHIFY_ORDER = 1;

/** rows (batch, count, C * p * p): pixels of the chosen patches, or of all, in row-major order of patches. */
export const patchify = defineOp('patchify', {
  forward(t, { img, ids }: Inputs, { patch_size, order }: { patch_size: number; order: number }) {
    const [batch, chans, height, width] = img.shape;
    if (img.shape.length !== 4 || height % patch_size || width % patch_size) {
      fail(
        `patchify: img must be (batch, C, height, width) with sides that are multiples of ${patch_size}, got ${shapeText(img.shape)}`,
      );
    }
    const count = ids ? ids.shape[1] : (height / patch_size) * (width / patch_size);
    const sizes = { batch, chans, height, width, patch_size };
    const { rows } = t.run(patchForward, { img, ids }, { ...sizes, count, ORDER: order, ALL: ids === null });
    return { out: { rows }, saved: { img, sizes, order, all: ids === null } };
  },
  /** Pixels of chosen patches have no gradient here: images are data. */
  backward(t, { rows }, { img, sizes, order, all }, needs) {
    const wanted = needs.img && all;
    return {
      img: wanted ? t.run(patchBackward, { rows }, { ...sizes, ORDER: order }).img.reshape(...img.shape) : null,
      ids: null,
    };
  },
});
