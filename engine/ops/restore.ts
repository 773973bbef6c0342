// The decoder's tokens: encoded ones back in their places, the mask token elsewhere, positions added.
import { dmaskGroups, gatherDmask, gatherDrestore, gatherRestore } from '../../kernels/gather/gather.ts';
import { fail, shapeText } from '../errors.ts';
import { defineOp } from '../op.ts';
import { numel, sameShape, type Tensor } from '../tensor.ts';
import { columnSum } from './reduce.ts';

interface Inputs extends Record<string, Tensor | null> {
  /** (batch, 1 + keep, dim) */
  y: Tensor;
  /** (dim) */
  mask_token: Tensor;
  /** (1 + patches, dim) */
  pos: Tensor;
  /** (batch, patches), u32 */
  ids_shuffle: Tensor;
  /** (batch, patches), u32 */
  ids_restore: Tensor;
}

/**
 * x (batch, 1 + patches, dim): cls and every patch in its place, each with its position (MAE, section 3, "MAE
 * decoder").
 */
export const restore = defineOp('restore', {
  forward(t, { y, mask_token, pos, ids_shuffle, ids_restore }: Inputs, _: Record<never, never>) {
    const [batch, tokens, dim] = y.shape;
    const patches = numel(pos.shape) / dim - 1;
    if (!Number.isInteger(patches) || tokens > 1 + patches || !sameShape(ids_shuffle.shape, [batch, patches])) {
      const got = [y, pos, ids_shuffle].map((x) => shapeText(x.shape)).join(', ');
      fail(
        `restore: y (batch, 1 + keep, dim), pos (1 + patches, dim) and ids_shuffle (batch, patches) must fit, got ${got}`,
      );
    }
    const sizes = { batch, keep: tokens - 1, dim, patches };
    const { x } = t.run(gatherRestore, { y, mask_token, pos, ids_restore }, sizes);
    return { out: { x }, saved: { sizes, ids_shuffle, mask_token, pos } };
  },
  backward(t, { x: dx }, { sizes, ids_shuffle, mask_token, pos }, needs) {
    const { batch, patches, dim } = sizes;
    const groups = dmaskGroups(batch);
    const dmask = needs.mask_token ? t.run(gatherDmask, { dx, ids_shuffle }, { ...sizes, groups }).dmask_token : null;
    return {
      y: needs.y ? t.run(gatherDrestore, { dx, ids_shuffle }, sizes).dy : null,
      mask_token: dmask && (groups > 1 ? columnSum(t, dmask, groups, dim) : dmask).reshape(...mask_token.shape),
      // Every position has a token here, so its gradient is a plain sum over the batch.
      pos: needs.pos ? columnSum(t, dx, batch, (1 + patches) * dim).reshape(...pos.shape) : null,
      ids_shuffle: null,
      ids_restore: null,
    };
  },
});
