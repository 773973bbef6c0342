// Without Dawn's checks nothing empties workgroup memory: kernels give the same results where it is full of what others left there.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Device } from '../engine/device.ts';
import { openDawn, UNCHECKED } from '../engine/node/dawn.ts';
import { attentionBackward } from '../kernels/attention/attention.ts';
import { wholeStrips } from '../kernels/attention/tune.ts';
import { catalogue } from '../kernels/index.ts';
import { random } from '../kernels/random/random.ts';
import { compare, prepare } from './support/kernel-run.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const rng = random(seed);
console.log(`SEED=${seed}`);
const WORDS = 4096; // 16 KiB, what every device has

const program = (body: string): string => `
  var<workgroup> memory: array<u32, ${WORDS}>;
  @group(0) @binding(0) var<storage, read_write> y: array<atomic<u32>, 1>;
  @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) t: u32) { ${body} }`;
/** Fills workgroup memory with NaN, as f32 and as f16; reading it back keeps the stores. */
const FILL = program(`
  for (var i = t; i < ${WORDS}u; i += 64u) { memory[i] = 0xffc2ffc2u; }
  workgroupBarrier();
  atomicMax(&y[0], memory[(t * 61u) % ${WORDS}u]);`);
const LOOK = program(`for (var i = t; i < ${WORDS}u; i += 64u) { atomicMax(&y[0], memory[i]); }`);

/** Runs it on more workgroups than a device has processors. @returns the largest number that it saw */
async function ran(device: Device, code: string): Promise<number> {
  const { gpu } = device;
  const y = gpu.createBuffer({ size: 4, usage: 128 | 4 });
  const staging = gpu.createBuffer({ size: 4, usage: 1 | 8 });
  const module = gpu.createShaderModule({ code });
  const pipeline = await gpu.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  const group = gpu.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: y } }],
  });
  const encoder = gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(512);
  pass.end();
  encoder.copyBufferToBuffer(y, 0, staging, 0, 4);
  gpu.queue.submit([encoder.finish()]);
  return new Uint32Array(await device.bytes(staging))[0];
}

for (const profile of ['simt', 'matrix'] as const) {
  test(`${profile}: kernels that use workgroup memory do not need it empty`, async () => {
    using device = await openDawn({ profile, raiseLimits: false, toggles: UNCHECKED });
    await ran(device, FILL);
    if ((await ran(device, LOOK)) === 0) {
      console.log(`${profile}: this driver empties workgroup memory by itself`);
      return;
    }
    let seen = 0;
    for (const kernel of catalogue) {
      const problem = kernel.cases[rng.below(kernel.cases.length)];
      const trial = prepare(kernel, problem, device, rng.below(2 ** 31));
      if (profile === 'matrix' && !kernel.variants.matrix) continue;
      if (!trial.program.code.includes('var<workgroup>')) continue;
      seen++;
      await ran(device, FILL);
      await compare(kernel, trial, device, Number.NaN).catch((error: Error) => {
        throw new Error(`${error.message}; case ${JSON.stringify(problem)}, SEED=${seed}`, { cause: error });
      });
    }
    assert.ok(seen > (profile === 'matrix' ? 2 : 20), `${seen} kernels`);
  });
}

test('matrix: attention.backward with all keys in a workgroup, by every tile that is offered', async () => {
  using device = await openDawn({ profile: 'matrix', raiseLimits: false, toggles: UNCHECKED });
  // Three strips of 8 keys: tiles of 16 and 32 rows reach past them.
  const problem = { batch: 1, tokens: 17, heads: 2, dim: 8, scale: 0.35, HALF: true };
  const tiles = wholeStrips(problem, device.traits);
  if (tiles.length === 0) return;
  for (const knobs of tiles) {
    const picks = new Map([[prepare(attentionBackward, problem, device, seed).program.shapeClass, { ...knobs }]]);
    const trial = prepare(attentionBackward, problem, { traits: { ...device.traits, picks } }, seed);
    assert.is(trial.program.knobs.TILE, knobs.TILE);
    await ran(device, FILL);
    await compare(attentionBackward, trial, device, Number.NaN);
  }
});

test.run();
