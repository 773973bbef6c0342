// What pretraining by these options will cost on a device: planned as a run would plan it, with no data and no weights.
import type { Engine } from '../../engine/engine.ts';
import { fail } from '../../engine/errors.ts';
import { largestBatch } from '../../engine/fit.ts';
import { deviceMemory } from '../../engine/node/devicememory.ts';
import type { Plan } from '../../engine/plan.ts';
import type { Optimizer } from '../../engine/optim/optimizer.ts';
import type { Slab, Variable } from '../../engine/tensor.ts';
import type { Dataset } from '../data/dataset.ts';
import { lenKeep, type MaeConfig, patchesOf } from '../model/config.ts';
import { parameterCount } from '../model/parameter-count.ts';
import { Heldout } from './heldout.ts';
import { modelConfig } from './configured.ts';
import type { PretrainOptions } from './options.ts';
import { ProgressPictures } from './progress-pictures.ts';
import { cutToFit, lack, type Limit, plansOf, type Room, roomFor } from './room.ts';
import { stepParts } from './stepparts.ts';
import { type Cutting, Updates } from './updates.ts';

export interface Foreseen {
  readonly config: MaeConfig;
  readonly parameters: number;
  /** Of the run as it would be cut; of whole passes where no cut helps. */
  readonly room: Room;
  /** Bytes of the room by what they are for. */
  readonly parts: Readonly<
    Record<'weights' | 'gradients' | 'optimizer' | 'activations' | 'inputs' | 'others' | 'saving', number>
  >;
  readonly limit: Limit | null;
  /** Why whole passes have no room; null where they have. */
  readonly lack: string | null;
  /** Sizes of the micro-batches of a pass. */
  readonly micro: readonly number[];
  /** Images of the largest pass that has room without being cut; 0: none. */
  readonly largest: number;
  /** Every plan of an update, in order: images on the device, forward, backward, optimizer. */
  readonly step: readonly Plan[];
  readonly flops: number;
  /** Bytes that kernels read and write. */
  readonly traffic: number;
  readonly dispatches: number;
}

/** Where the search for the largest batch ends. */
const MOST_IMAGES = 2 ** 16;

export async function foresee(engine: Engine, options: PretrainOptions): Promise<Foreseen> {
  const config = modelConfig(options);
  const {
    batch_size,
    accum_iter,
    mask_ratio,
    seed,
    heldout,
    train_images,
    drop_last,
    pictures,
    output_dir: folder,
  } = options;
  const channels = Array.from({ length: config.in_chans }, () => 0.5);
  const data = { mean: channels, std: channels };
  const made = stepParts(engine, options, config, data, { ratio: { now: mask_ratio } });
  const { model, preparer, trainer } = made;
  const keep = (): number => lenKeep(patchesOf(config), mask_ratio);
  const unread = (length: number): Dataset => ({
    ...{ name: 'images', length, classes: null, channels: config.in_chans, ...data },
    read: () => fail('plan: nothing is read'),
  });
  const note = (): void => {};
  const shown = { folder, count: pictures, keep, seed, note };
  const looks = [
    ...(pictures ? [new ProgressPictures(engine, model, preparer, unread(heldout || pictures), shown)] : []),
    ...(heldout ? [new Heldout(engine, model, preparer, unread(heldout), { keep, seed })] : []),
  ];
  const plans = { ...made.plans, looks };
  const limit =
    options.memory === undefined
      ? await deviceMemory(engine.device.adapter)
      : { bytes: options.memory, of: '--memory' };
  const cutting: Cutting = { images: train_images ?? batch_size * accum_iter, batch_size, accum_iter, drop_last };
  const roomOf = (updates: Updates): Room => roomFor(plansOf(plans, updates));
  const missing = lack(() => roomOf(new Updates(cutting)).peak, limit);
  const largest = largestBatch(
    (n) => roomOf(new Updates({ images: n, batch_size: n, accum_iter: 1, drop_last })).peak,
    limit?.bytes ?? Number.POSITIVE_INFINITY,
    MOST_IMAGES,
  );
  const updates =
    missing === null || largest === 0 ? new Updates(cutting) : cutToFit(plans, cutting, limit, null, note);
  const sizes = updates.parts(0);
  const step = [...sizes.map((n) => plans.prepare(n, sizes[0])), ...plans.step(sizes)];
  const sum = (of: (plan: Plan) => number): number => step.reduce((total, plan) => total + of(plan), 0);
  const room = roomOf(updates);
  return {
    config,
    parameters: parameterCount(model.parameters.trainable),
    room,
    parts: partsOf(room, model.parameters.slabs, trainer.optimizer),
    limit,
    lack: missing,
    micro: sizes.slice(0, sizes.length / accum_iter),
    largest,
    step,
    flops: sum((plan) => plan.flops),
    traffic: sum((plan) => plan.traffic),
    dispatches: sum((plan) => plan.dispatches),
  };
}

/** A slab of a parameter's gradient, moment or momentum is told by whose it is; what is left is the optimizer's tables, or inputs. */
function partsOf(
  { memory, saving }: Room,
  weights: readonly Slab[],
  { gradients, slots }: Pick<Optimizer, 'gradients' | 'slots'>,
): Foreseen['parts'] {
  const slabsOf = (mirror: ReadonlyMap<unknown, Variable>): Slab[] => [...mirror.values()].map(({ slab }) => slab);
  const homes = {
    weights: new Set(weights.flatMap((slab) => [slab, slab.half])),
    gradients: new Set(slabsOf(gradients)),
    optimizer: new Set(Object.values(slots).flatMap(slabsOf)),
  };
  const parts = { weights: 0, gradients: 0, optimizer: 0 };
  let [inputs, others] = [memory.inputs, memory.others];
  for (const [slab, bytes] of memory.slabs) {
    const name = (['weights', 'gradients', 'optimizer'] as const).find((kind) => homes[kind].has(slab));
    if (name) parts[name] += bytes;
    else if (/^(images|noise) \d/.test(slab.label)) inputs += bytes;
    else others += bytes;
  }
  return { ...parts, activations: memory.transients, inputs, others, saving };
}
