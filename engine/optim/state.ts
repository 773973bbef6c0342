// What training goes on from, as tensors by name: written to a file and put back, the next steps have the bits that they would have had.
import { fail, shapeText } from '../errors.ts';
import { readVariables } from '../parameters.ts';
import { type RawTensor, rawTensor, toFloat32, viewAs } from '../rawtensor.ts';
import { sameShape, type Variable } from '../tensor.ts';
import type { Optimizer } from './optimizer.ts';

/** Every f32 that is kept, by its name in checkpoints: parameters, and what the optimizer keeps of each. */
function kept({ name, parameters, slots }: Optimizer): Map<string, Variable> {
  const moments = Object.entries(slots).flatMap(([slot, mirror]) =>
    [...mirror].map(([parameter, variable]) => [`${name}.${slot}.${parameter.name}`, variable] as const),
  );
  return new Map([...parameters.variables, ...moments]);
}

/**
 * Everything that training goes on from, for `writeSafetensors`: parameters by their names, `adamw.m.NAME` and the like for what the
 * optimizer keeps of each, `adamw.step` (1), u32, and where there is a loss scale `lossscale.scale` (1) and `lossscale.steps` (2).
 */
export async function trainingState(optimizer: Optimizer): Promise<Map<string, RawTensor>> {
  const { engine } = optimizer.parameters;
  const variables = kept(optimizer);
  const tensors = new Map<string, RawTensor>();
  for (const [name, data] of await readVariables(engine, variables))
    tensors.set(name, rawTensor('F32', (variables.get(name) as Variable).shape, data));
  tensors.set(`${optimizer.name}.step`, rawTensor('U32', [1], Uint32Array.from(await engine.read(optimizer.step))));
  if (!optimizer.lossScale) return tensors;
  const { scale, good, skipped } = optimizer.lossScale;
  const steps = [await engine.read(good), await engine.read(skipped)].flatMap((one) => [...one]);
  tensors.set('lossscale.scale', rawTensor('F32', [1], Float32Array.from(await engine.read(scale))));
  return tensors.set('lossscale.steps', rawTensor('U32', [2], Uint32Array.from(steps)));
}

/**
 * Puts back what `trainingState` gave, into an optimizer of the same kind over parameters of the same names and shapes.
 * @throws TesseraeError where a tensor is missing or of another shape; nothing is changed then
 */
export function restoreTraining(optimizer: Optimizer, tensors: ReadonlyMap<string, RawTensor>): void {
  const { engine } = optimizer.parameters;
  const found = (name: string, shape: readonly number[]): RawTensor => {
    const tensor = tensors.get(name) ?? fail(`restore: ${name} ${shapeText(shape)} is missing`);
    if (!sameShape(tensor.shape, shape))
      fail(`restore: ${name} must be ${shapeText(shape)}, got ${shapeText(tensor.shape)}`);
    return tensor;
  };
  const words = (name: string, count: number): Uint32Array => viewAs(found(name, [count]), 'U32');
  const values = [...kept(optimizer)].map(
    ([name, variable]) => [variable, toFloat32(found(name, variable.shape))] as const,
  );
  const step = words(`${optimizer.name}.step`, 1);
  const { lossScale } = optimizer;
  const scale = lossScale && toFloat32(found('lossscale.scale', [1]));
  const steps = lossScale && words('lossscale.steps', 2);
  for (const [variable, data] of values) engine.write(variable, data);
  engine.write(optimizer.step, step);
  if (!lossScale || !scale || !steps) return;
  engine.write(lossScale.scale, scale);
  engine.write(lossScale.good, steps.slice(0, 1));
  engine.write(lossScale.skipped, steps.slice(1));
}
