// The MAE loss: mean squared error of the removed patches against the image's own pixels, normalised per patch or raw.
import { lossBackward, lossFinish, lossForward } from '../../kernels/loss/loss.ts';
import { fail, shapeText } from '../errors.ts';
import { defineOp } from '../op.ts';
import { numel, type Tensor } from '../tensor.ts';

interface Inputs extends Record<string, Tensor | null> {
  /** (batch, patches, p * p * C) in the reference's patchify order */
  pred: Tensor;
  /** (batch, C, height, width); no gradient */
  img: Tensor;
  /** (batch, patches), 1 = removed; no gradient */
  mask: Tensor;
}

interface Attributes {
  patch_size: number;
  /** The target is normalised per patch. */
  normPix: boolean;
  /** Mean absolute error instead of squared. */
  l1?: boolean;
}

/**
 * loss (1): the mean over removed patches of their pixels' mean squared error (MAE, section 3, "Reconstruction
 * target").
 */
export const maskedMse = defineOp('maskedMse', {
  forward(t, { pred, img, mask }: Inputs, { patch_size, normPix, l1 = false }: Attributes) {
    const [batch, chans, height, width] = img.shape;
    const values = (chans * height * width * batch) / numel(mask.shape);
    const divides = height % patch_size === 0 && width % patch_size === 0;
    if (!divides || numel(pred.shape) !== numel(img.shape) || values !== patch_size ** 2 * chans) {
      fail(
        `maskedMse: pred ${shapeText(pred.shape)} and mask ${shapeText(mask.shape)} must fit img ${shapeText(img.shape)} with patches of ${patch_size}`,
      );
    }
    const sizes = { batch, chans, height, width, patch_size, NORM: normPix, L1: l1 };
    const { rowloss } = t.run(lossForward, { img, pred, mask }, sizes);
    const { loss, total } = t.run(lossFinish, { rowloss, mask }, { count: numel(mask.shape) });
    return { out: { loss }, saved: { pred, img, mask, total, sizes } };
  },
  backward(t, { loss: dloss }, { pred, img, mask, total, sizes }) {
    const { dpred } = t.run(lossBackward, { img, pred, mask, total, dloss }, sizes);
    return { pred: dpred.reshape(...pred.shape), img: null, mask: null };
  },
});
