// Checks the op of silu.ts: the kernel on the device against its reference, the gradient against finite differences.
import { Engine, openDevice, type Tensor } from 'tesserae/engine';
import { checkKernel, devicecheck, gradcheck, normal, random } from 'tesserae/engine/testing';
import { silu, siluKernel } from './silu.ts';

export async function run(gpu: GPU, print: (line: string) => void): Promise<void> {
  using device = await openDevice(gpu);
  using engine = new Engine(device);
  for (const problem of siluKernel.cases) {
    const error = await checkKernel(engine, siluKernel, problem);
    if (!(error <= 1))
      throw new Error(`silu at ${JSON.stringify(problem)} is ${error} tolerances away from its reference`);
  }
  print(`the kernel is right at ${siluKernel.cases.length} sizes`);
  const example = {
    inputs: { x: normal([3, 7], random(1)) },
    forward: ({ x }: Record<string, Tensor>) => silu({ x }, {}),
  };
  gradcheck(example);
  print('the gradient is what finite differences say, in f64 on the reference');
  await devicecheck(engine, example);
  print('and so it is on the device, in f32');
}
