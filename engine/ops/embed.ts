// The encoder's tokens: cls token in front of the kept patches, positions added (MAE, section 3, "MAE encoder").
import { dclsGroups, gatherDcls, gatherDembed, gatherDpos, gatherEmbed } from '../../kernels/gather/gather.ts';
import { fail, shapeText } from '../errors.ts';
import { defineOp } from '../op.ts';
import { numel, sameShape, type Tensor } from '../tensor.ts';
import { columnSum } from './reduce.ts';

interface Inputs extends Record<string, Tensor | null> {
  /** (batch, keep, dim): embeddings of the kept patches */
  emb: Tensor;
  /** (1 + patches, dim), its first row for the cls token */
  pos: Tensor;
  /** (dim) */
  cls: Tensor;
  /** (batch, keep), u32 */
  ids_keep: Tensor;
  /** (batch, patches), u32 */
  ids_restore: Tensor;
}

/** x (batch, 1 + keep, dim): cls, then the kept patches, each with its position. */
export const embed = defineOp('embed', {
  forward(t, { emb, pos, cls, ids_keep, ids_restore }: Inputs, _: Record<never, never>) {
    const [batch, keep, dim] = emb.shape;
    const patches = numel(pos.shape) / dim - 1;
    if (!Number.isInteger(patches) || keep > patches || !sameShape(ids_restore.shape, [batch, patches])) {
      const got = [emb, pos, ids_restore].map((x) => shapeText(x.shape)).join(', ');
      fail(
        `embed: emb (batch, keep, dim), pos (1 + patches, dim) and ids_restore (batch, patches) must fit, got ${got}`,
      );
    }
    const sizes = { batch, keep, dim, patches };
    const { x } = t.run(gatherEmbed, { emb, pos, cls, ids_keep }, sizes);
    return { out: { x }, saved: { sizes, ids_restore, emb, pos, cls } };
  },
  backward(t, { x: dx }, { sizes, ids_restore, emb, pos, cls }, needs) {
    const { batch, keep, dim } = sizes;
    const groups = dclsGroups(batch);
    const dcls = needs.cls ? t.run(gatherDcls, { dx }, { batch, keep, dim, groups }).dcls : null;
    return {
      emb: needs.emb ? t.run(gatherDembed, { dx }, { batch, keep, dim }).demb.reshape(...emb.shape) : null,
      pos: needs.pos ? t.run(gatherDpos, { dx, ids_restore }, sizes).dpos.reshape(...pos.shape) : null,
      cls: dcls && (groups > 1 ? columnSum(t, dcls, groups, dim) : dcls).reshape(...cls.shape),
      ids_keep: null,
      ids_restore: null,
    };
  },
});
