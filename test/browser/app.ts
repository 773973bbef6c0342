// An application in a page that owns its device and its frame loop: what it sees of two engines on one device, of a device that is lost
// between two frames, and of models that come and go.
import { gpu } from './gpu.ts';
import { DeviceLostError, Engine, gelu, linear, Parameters, useDevice } from '../../engine/index.ts';

const [ROWS, IN, OUT] = [5, 12, 7];
const SPECS = [
  { name: 'hidden', shape: [33, IN] },
  { name: 'out', shape: [OUT, 33] },
];

/** As an application makes it that asks for nothing: WebGPU's default limits, no features. */
async function plainDevice(): Promise<GPUDevice> {
  const adapter = await gpu().requestAdapter();
  if (!adapter) throw new Error('there is no adapter');
  return adapter.requestDevice();
}

const numbers = (n: number, seed: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(1.7 * i + 11 * seed));

async function read(gpu: GPUDevice, from: GPUBuffer): Promise<number[]> {
  const staging = gpu.createBuffer({ size: from.size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = gpu.createCommandEncoder();
  encoder.copyBufferToBuffer(from, 0, staging, 0, from.size);
  gpu.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const values = [...new Float32Array(staging.getMappedRange())];
  staging.destroy();
  return values;
}

/** A model in a loop: every frame has other numbers. */
async function looping(engine: Engine, seed: number) {
  const parameters = new Parameters(engine, 'net', SPECS);
  parameters.load(new Map(SPECS.map(({ name, shape: [rows, cols] }) => [name, numbers(rows * cols, seed)])));
  const program = engine.compile({ x: 'f32' }, ({ x }) => {
    const hidden = linear({ x, w: parameters.get('hidden'), b: null, r: null }, {}).y;
    return linear({ x: gelu({ x: hidden }, {}).y, w: parameters.get('out'), b: null, r: null }, {});
  });
  const { inputs, outputs, encode } = await program.record({ x: [ROWS, IN] });
  const frame = (i: number): void => {
    const { gpu } = engine.device;
    gpu.queue.writeBuffer(inputs.x, 0, numbers(ROWS * IN, i));
    const encoder = gpu.createCommandEncoder();
    encode(encoder);
    gpu.queue.submit([encoder.finish()]);
  };
  return { parameters, frame, y: () => read(engine.device.gpu, outputs.y.buffer) };
}

const different = (a: readonly number[], b: readonly number[]): number =>
  a.filter((x, i) => !Object.is(x, b[i])).length + Math.abs(a.length - b.length);

/** Values that differ where two engines take turns on a device, from what each gives alone. */
export async function twoEngines(): Promise<{ apart: number; between: number }> {
  const gpu = await plainDevice();
  using ours = await useDevice(gpu);
  const alone: number[][] = [];
  for (const seed of [1, 2]) {
    using engine = new Engine(ours);
    const { frame, y } = await looping(engine, seed);
    for (let i = 0; i < 3; i++) frame(i);
    alone.push(await y());
  }
  using first = new Engine(ours);
  using second = new Engine(await useDevice(gpu));
  const [a, b] = [await looping(first, 1), await looping(second, 2)];
  for (let i = 0; i < 3; i++) {
    a.frame(i);
    b.frame(i);
  }
  const together = [await a.y(), await b.y()];
  const apart = different(together[0], alone[0]) + different(together[1], alone[1]);
  return { apart, between: different(together[0], together[1]) };
}

/** The device goes in the middle of a loop; the application gets another, the engine begins anew, and computes as before. */
export async function lostBetweenFrames(): Promise<{ said: string[]; after: number; again: number }> {
  let gpu = await plainDevice();
  const said: string[] = [];
  using ours = await useDevice(gpu, {
    again: async () => {
      gpu = await plainDevice();
      return gpu;
    },
  });
  using engine = new Engine(ours);
  let { parameters, frame, y } = await looping(engine, 1);
  for (let i = 0; i < 3; i++) frame(i);
  const before = await y();
  const kept = await parameters.read();
  let after = 0;
  gpu.destroy();
  await gpu.lost;
  for (let i = 3; i < 6; i++) {
    try {
      frame(i);
      after++;
    } catch (error) {
      if (!(error instanceof DeviceLostError)) throw error;
      said.push(error.message);
    }
  }
  await parameters.read().catch((error: Error) => said.push(error.message));
  await engine.renew();
  ({ parameters, frame, y } = await looping(engine, 2));
  parameters.load(kept);
  for (let i = 0; i < 3; i++) frame(i);
  return { said, after, again: different(await y(), before) };
}

/** Buffers that are there after models came and went, one after another, on one engine and on engines of their own; and their bytes at most. */
export async function comeAndGo(count: number): Promise<{ left: number; most: number[] }> {
  const gpu = await plainDevice();
  const buffers = new Set<GPUBuffer>();
  const createBuffer = gpu.createBuffer.bind(gpu);
  gpu.createBuffer = (descriptor) => {
    const buffer = createBuffer(descriptor);
    buffers.add(buffer);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      buffers.delete(buffer);
      destroy();
    };
    return buffer;
  };
  using ours = await useDevice(gpu);
  const most: number[] = [];
  for (let i = 0; i < count; i++) {
    using engine = new Engine(ours);
    const { frame, y } = await looping(engine, i);
    frame(i);
    await y();
    most.push([...buffers].reduce((sum, { size }) => sum + size, 0));
  }
  return { left: buffers.size, most };
}
