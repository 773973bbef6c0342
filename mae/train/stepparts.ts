// What the steps of a pretraining run are made of, and how to plan them: by runs and by `tesserae plan`, which has no data.
import type { Engine } from '../../engine/engine.ts';
import type { Variable } from '../../engine/tensor.ts';
import { capacitiesFor } from '../data/pack.ts';
import { lenKeep, type MaeConfig, patchesOf } from '../model/config.ts';
import { GUIDES, isDrawn, patchNumbers } from '../model/masks.ts';
import { MaskedAutoencoder } from '../model/model.ts';
import type { DataInfo } from './checkpoint.ts';
import type { PretrainOptions } from './options.ts';
import { Preparer } from './prepare.ts';
import type { RunPlans } from './room.ts';
import { pretrainStep } from './step.ts';

/** @param weights undefined: none are uploaded, to plan */
export function stepParts(
  engine: Engine,
  options: PretrainOptions,
  config: MaeConfig,
  { mean, std }: Pick<DataInfo, 'mean' | 'std'>,
  { weights, ratio }: { weights?: ReadonlyMap<string, Float32Array>; ratio: { now: number } },
) {
  const model = new MaskedAutoencoder(engine, config, weights);
  const preparer = new Preparer(engine, config, { mean, std });
  const { mask, mask_guidance: guidance, ids_keep } = options;
  const patches = patchesOf(config);
  const given = ids_keep === undefined ? null : patchNumbers('--ids_keep', ids_keep, patches);
  const noises = new Map<number, Variable>();
  const noise = (batch: number): Variable => {
    const made = noises.get(batch) ?? engine.variable(`noise ${batch}`, [batch, patches]);
    noises.set(batch, made);
    return made;
  };
  const by = GUIDES.find((name) => name === mask);
  const trainer = pretrainStep(engine, model, (batch) => preparer.images(batch), {
    ...options,
    noise: given || isDrawn(mask) ? noise : null,
    guide: by ? { by, guidance } : null,
    keep: () => lenKeep(patches, ratio.now),
  });
  const [height, width] = config.img_size;
  const output = { chans: config.in_chans, height, width, maxBytes: engine.device.traits.maxBindingBytes };
  const plans: Omit<RunPlans, 'looks'> = {
    // Images of another size than the model's need more or less than that; how much shows only when they are read.
    prepare: (images, most) => preparer.plan(images, capacitiesFor(most, { height, width }, output)),
    step: (sizes) => {
      const all = sizes.reduce((sum, n) => sum + n, 0);
      return trainer.plans(
        sizes.map((n) => ({ ids: [n], clock: [2] })),
        sizes.map((n) => n / all),
      );
    },
  };
  return { model, preparer, trainer, noise, given, plans };
}
