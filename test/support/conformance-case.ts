// A conformance case of random sizes and weights, computed by the kernels' f64 references and a plain AdamW on the host.
import type { Engine } from '../../engine/engine.ts';
import { type RawTensor, rawTensor } from '../../engine/rawtensor.ts';
import { type ReferenceMemory, runReference } from '../../engine/reference.ts';
import { numel, type Tensor, type Variable } from '../../engine/tensor.ts';
import { Trace } from '../../engine/trace.ts';
import { random } from '../../kernels/random/random.ts';
import { checked, decays, type MaeConfig, patchesOf } from '../../mae/model/config.ts';
import { initialWeights } from '../../mae/model/init.ts';
import { MaskedAutoencoder } from '../../mae/model/model.ts';
import { LARS, probeOnHost } from './probe-case.ts';

const STEPS = 3;
const [BETA1, BETA2, EPS, DECAY] = [0.9, 0.95, 1e-8, 0.05];

interface MadeCase {
  readonly tensors: Map<string, RawTensor>;
  readonly metadata: Map<string, string>;
}

/** `engine` lends the model its variables; nothing is computed on it. */
export function makeCase(engine: Engine, seed: number): MadeCase {
  const rng = random(seed);
  const config: MaeConfig = checked({
    img_size: [4 * (2 + rng.below(2)), 12],
    patch_size: 4,
    in_chans: 1 + rng.below(3),
    embed_dim: 16,
    depth: 2,
    num_heads: 2,
    decoder_embed_dim: 8,
    decoder_depth: 1,
    decoder_num_heads: 1,
    mlp_ratio: 2,
    norm_pix_loss: rng.below(2) === 1,
    ln_eps: 1e-6,
    dropout: 0,
  });
  const [batch, patches] = [2, patchesOf(config)];
  const keep = 1 + rng.below(patches - 1);
  const tensors = new Map<string, RawTensor>();
  const put = (name: string, shape: readonly number[], data: ArrayLike<number>): Float32Array => {
    const floats = Float32Array.from(data);
    tensors.set(name, rawTensor('F32', shape, floats));
    return floats;
  };
  const draw = (shape: readonly number[], one: () => number) => Float32Array.from({ length: numel(shape) }, one);
  const imgShape = [batch, config.in_chans, ...config.img_size];
  const img = put('img', imgShape, draw(imgShape, rng.normal));
  const noise = put('noise', [batch, patches], draw([batch, patches], rng.uniform));

  const model = new MaskedAutoencoder(engine, config);
  const memory: ReferenceMemory = new Map(model.parameters.slabs.map((slab) => [slab, new Float64Array(slab.length)]));
  const values = ({ slab, offset, shape }: Variable) => memory.get(slab)!.subarray(offset, offset + numel(shape));
  for (const [name, data] of initialWeights(config, seed)) {
    // Biases and norms too, so that a forgotten one shows.
    const moved = name.endsWith('pos_embed') ? data : data.map((v) => v + 0.1 * rng.normal());
    values(model.parameters.get(name)).set(put(`param.${name}`, model.parameters.get(name).shape, moved));
  }

  const trace = new Trace(engine.device.traits);
  const inputs = { img: trace.input('img', imgShape, 'f32'), noise: trace.input('noise', [batch, patches], 'f32') };
  const watched: Record<string, Tensor> = {};
  const out = model.forward(inputs.img, inputs.noise, keep, { watch: (name, x) => (watched[`act.${name}`] = x) });
  const gradients = trace.backward(out.loss);
  const { ids_keep, ids_restore, mask, latent, pred, loss } = out;
  const grads = Object.fromEntries([...gradients].map(([v, grad]) => [`grad.${v.name}`, grad]));
  const outputs: Record<string, Tensor> = { ...watched, ...grads, ids_keep, ids_restore, mask, latent, pred, loss };
  for (const [name, numbers] of Object.entries(runReference(trace, outputs, { img, noise }, memory))) {
    const { shape } = outputs[name];
    if (name.startsWith('ids_')) tensors.set(name, rawTensor('I32', shape, Int32Array.from(numbers)));
    else put(name, shape, numbers);
  }

  const n = 7;
  const probe = new Trace(engine.device.traits);
  const probeShape = [n, config.in_chans, ...config.img_size];
  const probeImg = put('probe.img', probeShape, draw(probeShape, rng.normal));
  const all = { x: model.encodeAll(probe.input('img', probeShape, 'f32')) };
  const { x } = runReference(probe, all, { img: probeImg }, memory);
  const dim = config.embed_dim;
  // The cls token's row, which comes first.
  const feature = Float64Array.from(x).filter((_, i) => i % ((1 + patches) * dim) < dim);
  const labels = Array.from({ length: n }, () => rng.below(LARS.classes));
  tensors.set('probe.labels', rawTensor('I32', [n], Int32Array.from(labels)));
  const weight0 = put('probe.head.weight0', [LARS.classes, dim], draw([LARS.classes, dim], rng.normal));
  const bias0 = put('probe.head.bias0', [LARS.classes], draw([LARS.classes], rng.normal));
  const probed = probeOnHost({ feature, labels, weight0, bias0 });
  put('probe.feature', [n, dim], feature);
  put('probe.loss', [LARS.steps], probed.loss);
  put('probe.head.weight', [LARS.classes, dim], probed.weight);
  put('probe.head.bias', [LARS.classes], probed.bias);
  put('probe.bn.running_mean', [dim], probed.running_mean);
  put('probe.bn.running_var', [dim], probed.running_var);
  put('probe.logits_eval', [n, LARS.classes], probed.logits_eval);

  const losses: number[] = [];
  const moments = new Map(
    model.parameters.trainable.map((v) => [v, [new Float64Array(numel(v.shape)), new Float64Array(numel(v.shape))]]),
  );
  const images = put('train.img', [STEPS, ...imgShape], draw([STEPS, ...imgShape], rng.normal));
  const noises = put('train.noise', [STEPS, batch, patches], draw([STEPS, batch, patches], rng.uniform));
  const rates = put('train.lr', [STEPS], [1e-3, 2e-3, 5e-4]);
  for (let step = 0; step < STEPS; step++) {
    const part = (all: Float32Array) => all.subarray((step * all.length) / STEPS, ((step + 1) * all.length) / STEPS);
    const result = runReference(
      trace,
      { loss, ...grads },
      { img: part(images), noise: part(noises) },
      memory,
    ) as Record<string, Float64Array>;
    losses.push(result.loss[0]);
    for (const [v, [m, s]] of moments) {
      adamw(values(v) as Float64Array, result[`grad.${v.name}`], m, s, step + 1, rates[step], decays(v) ? DECAY : 0);
    }
  }
  put('train.loss', [STEPS], losses);
  for (const [name, variable] of model.parameters.variables) put(`final.${name}`, variable.shape, values(variable));
  put('other.weight', [1], [1]);

  const metadata = new Map([
    ['lars', JSON.stringify(LARS)],
    ['config', JSON.stringify(caseConfig(config, keep))],
    [
      'adamw',
      JSON.stringify({
        betas: [BETA1, BETA2],
        eps: EPS,
        weight_decay: DECAY,
        no_decay: model.parameters.trainable.filter((v) => !decays(v)).map((v) => v.name),
      }),
    ],
  ]);
  return { tensors, metadata };
}

const caseConfig = (c: MaeConfig, len_keep: number) => ({
  img: c.img_size,
  patch: c.patch_size,
  chans: c.in_chans,
  dim: c.embed_dim,
  depth: c.depth,
  heads: c.num_heads,
  dec_dim: c.decoder_embed_dim,
  dec_depth: c.decoder_depth,
  dec_heads: c.decoder_num_heads,
  mlp_ratio: c.mlp_ratio,
  norm_pix: c.norm_pix_loss,
  ln_eps: c.ln_eps,
  len_keep,
});

/** torch.optim.AdamW's update, in its own order of operations. */
function adamw(
  p: Float64Array,
  g: Float64Array,
  m: Float64Array,
  s: Float64Array,
  step: number,
  lr: number,
  decay: number,
): void {
  for (let i = 0; i < p.length; i++) {
    p[i] *= 1 - lr * decay;
    m[i] = BETA1 * m[i] + (1 - BETA1) * g[i];
    s[i] = BETA2 * s[i] + (1 - BETA2) * g[i] ** 2;
    p[i] -= (lr * (m[i] / (1 - BETA1 ** step))) / (Math.sqrt(s[i] / (1 - BETA2 ** step)) + EPS);
  }
}
