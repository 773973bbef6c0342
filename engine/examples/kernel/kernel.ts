// One kernel in someone else's application: particles fly by the application's own kernel, and ours sorts them by depth, in the
// same command encoder, on the application's own buffers. Nothing else of the engine runs, nothing is copied.
import { borrowKernel, requirements, useDevice } from 'tesserae/engine';
import { argsortMask } from 'tesserae/kernels';

const COUNT = 500;
const FRAMES = 3;

const MOVE = `
@group(0) @binding(0) var<storage, read> speed: array<f32>;
@group(0) @binding(1) var<storage, read_write> depth: array<f32>;
@compute @workgroup_size(64, 1, 1)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < arrayLength(&depth)) { depth[id.x] = fract(depth[id.x] + speed[id.x]); }
}`;

export async function run(gpu: GPU, print: (line: string) => void): Promise<void> {
  // The application makes its device, with what kernels are faster with where the adapter has it.
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('there is no WebGPU adapter');
  const needs = requirements(adapter);
  print(`features to ask for: ${needs.requiredFeatures.join(', ') || 'none'}`);
  const device = await adapter.requestDevice(needs);

  // The application's own buffers and pipeline.
  const buffer = (values: ArrayLike<number> | number): GPUBuffer => {
    const size = typeof values === 'number' ? values : values.length * 4;
    const made = device.createBuffer({ size, usage: 0x80 | 0x4 | 0x8 }); // STORAGE | COPY_SRC | COPY_DST
    if (typeof values !== 'number') device.queue.writeBuffer(made, 0, Float32Array.from(values));
    return made;
  };
  const depth = buffer(Array.from({ length: COUNT }, Math.random));
  const speed = buffer(Array.from({ length: COUNT }, () => Math.random() / 10));
  const module = device.createShaderModule({ code: MOVE });
  const move = device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  const moving = device.createBindGroup({
    layout: move.getBindGroupLayout(0),
    entries: [speed, depth].map((b, binding) => ({ binding, resource: { buffer: b } })),
  });

  // The borrowed kernel: its sizes say which buffers it wants and of how many bytes.
  const ours = await useDevice(device);
  const sort = await borrowKernel(ours, argsortMask, { batch: 1, patches: COUNT, keep: COUNT });
  const order = buffer(sort.bytes.ids_shuffle); // front to back: what the application will draw by
  const rest = { ids_restore: buffer(COUNT * 4), ids_keep: buffer(COUNT * 4), mask: buffer(COUNT * 4) };
  const sorting = sort.bind({ noise: depth, ids_shuffle: order, ...rest });

  for (let frame = 0; frame < FRAMES; frame++) {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(move);
    pass.setBindGroup(0, moving);
    pass.dispatchWorkgroups(Math.ceil(COUNT / 64));
    sort.encode(pass, sorting);
    pass.end();
    device.queue.submit([encoder.finish()]);
  }

  // For a test: the kernel's own plain reference says what must have come out.
  const sorted = new Uint32Array(await read(device, order));
  const want = sort.reference({ noise: new Float32Array(await read(device, depth)) }).ids_shuffle as Uint32Array;
  const wrong = sorted.filter((id, i) => id !== want[i]).length;
  print(
    `${COUNT} particles in ${sort.grid.join(' x ')} workgroups, nearest first: ${[...sorted.slice(0, 5)].join(', ')}`,
  );
  print(wrong ? `${wrong} of them are in the wrong place` : 'the reference agrees');
  sort.dispose();
  ours.dispose(); // leaves the application's device alone
  device.destroy();
}

async function read(device: GPUDevice, from: GPUBuffer): Promise<ArrayBuffer> {
  const staging = device.createBuffer({ size: from.size, usage: 0x1 | 0x8 }); // MAP_READ | COPY_DST
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(from, 0, staging, 0, from.size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(1);
  return staging.getMappedRange().slice(0);
}
