// This engine as a peer: the same pieces of work through its public ops, timed as everyone is.
import { openDawn } from '../../engine/node/dawn.ts';
import { Engine } from '../../engine/engine.ts';
import { attention } from '../../engine/ops/attention.ts';
import { layernorm } from '../../engine/ops/layernorm.ts';
import { product } from '../../engine/ops/product.ts';
import { AdamW } from '../../engine/optim/adamw.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Trace } from '../../engine/trace.ts';
import { Trainer } from '../../engine/trainer.ts';
import { NN } from '../../kernels/gemm/gemm.ts';
import type { Profile } from '../../kernels/kernel.ts';
import { decays, lenKeep, patchesOf } from '../../mae/model/config.ts';
import { usePicks } from '../../mae/cli/picks.ts';
import { MaskedAutoencoder } from '../../mae/model/model.ts';
import { type Inputs, type Prepared, serve } from './serve.ts';
import type { StepWork } from './protocol.ts';
import { configOf } from './work.ts';

// Either may be ''.
const [, , profile, untuned] = process.argv;
const device = await openDawn({ profile: (profile || undefined) as Profile | undefined });
await usePicks(device, Boolean(untuned), (line) => process.stderr.write(`${line}\n`));

serve({
  hello: async () => ({
    version: 'this clone',
    device: `${device.adapter.description}, profile ${device.traits.profile}`,
    settings: untuned ? 'none measured (--untuned)' : `${device.picks.size} measured (tesserae tune, or shipped)`,
  }),
  prepare: async (work, inputs) => {
    const engine = new Engine(device);
    const on = (name: string) => engine.variable(name, inputs[name].shape, { data: inputs[name].data });
    if (work.kind === 'step') return trainingStep(engine, work, inputs);
    if (work.kind === 'gemm') {
      const [a, b] = [on('a'), on('b')];
      const { m, n, k } = work;
      return operation(engine, (t) => product(t, { a: t.use(a), b: t.use(b), m, n, k, LAYOUT: NN }).c);
    }
    if (work.kind === 'layernorm') {
      const [x, w, b] = [on('x'), on('w'), on('b')];
      return operation(engine, (t) => layernorm({ x: t.use(x), r: null, w, b }, { eps: work.eps }).y);
    }
    const { batch, tokens, heads, dim } = work;
    const data = fuse(inputs, batch * tokens, heads * dim);
    const qkv = engine.variable('qkv', [batch, tokens, 3 * heads * dim], { data });
    return operation(engine, (t) => attention({ qkv: t.use(qkv) }, { heads }).o);
  },
});

/** q, k and v side by side in every row, as a fused projection leaves them. */
function fuse(inputs: Inputs, rows: number, width: number): Float32Array {
  const data = new Float32Array(rows * 3 * width);
  for (const [i, name] of ['q', 'k', 'v'].entries()) {
    for (let r = 0; r < rows; r++)
      data.set(inputs[name].data.subarray(r * width, (r + 1) * width), (3 * r + i) * width);
  }
  return data;
}

/** Timed without reading its result back; `read` runs it once more. */
function operation(engine: Engine, compute: (t: Trace) => Tensor): Prepared {
  const program = engine.compile({}, (_, t: Trace) => {
    compute(t);
    return {} as Record<never, Tensor>;
  });
  return {
    run: async (times) => {
      for (let i = 0; i < times; i++) await program.run({});
      await engine.finish();
      return undefined;
    },
    read: async () => {
      const results = await engine.compile({}, (_, t: Trace) => ({ y: compute(t) })).run({});
      return (await results.read()).y as Float32Array;
    },
    dispose: () => engine.dispose(),
  };
}

/** The whole of it: masks from noise, patches and target from images, forward, backward, AdamW. */
function trainingStep(engine: Engine, work: StepWork, inputs: Inputs): Prepared {
  const config = configOf(work);
  const values = (name: string) => [name, inputs[name].data] as const;
  const names = [...work.weights, 'pos_embed', 'decoder_pos_embed'];
  const model = new MaskedAutoencoder(engine, config, new Map(names.map(values)));
  const images = engine.variable('images', inputs.images.shape, { data: inputs.images.data });
  const keep = lenKeep(patchesOf(config), work.mask_ratio);
  const optimizer = new AdamW(model.parameters, {
    betas: work.betas,
    eps: work.eps,
    group: (variable) => ({ weightDecay: decays(variable) ? work.weight_decay : 0, lrScale: 1 }),
  });
  const trainer = new Trainer(engine, {
    inputs: { noise: 'f32' },
    optimizer,
    loss: ({ noise }, t) => model.forward(t.use(images), noise, keep).loss,
  });
  const noise = { data: inputs.noise.data, shape: [...inputs.noise.shape] };
  return {
    run: async (times) => {
      let loss = Number.NaN;
      for (let i = 0; i < times; i++) {
        const [result] = await trainer.step({ noise }, { lr: work.lr });
        loss = (await result.read()).loss[0];
      }
      return loss;
    },
    dispose: () => engine.dispose(),
  };
}
