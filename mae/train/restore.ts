// The state of a run's optimizer, off the device and on it.
import type { Engine } from '../../engine/engine.ts';
import { fail } from '../../engine/errors.ts';
import type { LossScale } from '../../engine/optim/lossscale.ts';
import type { Optimizer } from '../../engine/optim/optimizer.ts';
import { readVariables } from '../../engine/parameters.ts';
import type { LossScaleState, OptimizerState } from './modelfile.ts';

/** What bits depend on, besides the recipe and the picks. */
export const adapterOf = ({ device }: Engine): string => `${device.adapter.id}, profile ${device.traits.profile}`;

export async function optimizerState(engine: Engine, optimizer: Optimizer): Promise<OptimizerState> {
  const slots: Record<string, Map<string, Float32Array>> = {};
  for (const [slot, mirror] of Object.entries(optimizer.slots)) {
    slots[slot] = await readVariables(engine, new Map([...mirror].map(([p, kept]) => [p.name, kept])));
  }
  return {
    name: optimizer.name,
    slots,
    step: (await engine.read(optimizer.step))[0],
    lossScale: optimizer.lossScale && (await lossScaleState(engine, optimizer.lossScale)),
  };
}

/** Reads where the loss scale stands. */
export async function lossScaleState(engine: Engine, { scale, good, skipped }: LossScale): Promise<LossScaleState> {
  return {
    scale: (await engine.read(scale))[0],
    good: (await engine.read(good))[0],
    skipped: (await engine.read(skipped))[0],
  };
}

/** Puts a checkpoint's state into an optimizer of the same kind. */
export function restoreOptimizer(
  engine: Engine,
  optimizer: Optimizer,
  { optimizer: state }: { readonly optimizer: OptimizerState | null },
): void {
  if (!state) return;
  if (state.name !== optimizer.name)
    fail(`resume: the checkpoint was trained with ${state.name}, this run would go on with ${optimizer.name}`);
  for (const [slot, mirror] of Object.entries(optimizer.slots)) {
    for (const [parameter, kept] of mirror) {
      const data = state.slots[slot].get(parameter.name);
      engine.write(kept, data ?? fail(`resume: the checkpoint lacks ${state.name}.${slot}.${parameter.name}`));
    }
  }
  engine.write(optimizer.step, Uint32Array.of(state.step));
  if (!optimizer.lossScale || !state.lossScale) return;
  engine.write(optimizer.lossScale.scale, Float32Array.of(state.lossScale.scale));
  engine.write(optimizer.lossScale.good, Uint32Array.of(state.lossScale.good));
  engine.write(optimizer.lossScale.skipped, Uint32Array.of(state.lossScale.skipped));
}
