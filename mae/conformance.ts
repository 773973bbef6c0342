// Recomputes a conformance case (weights, images, noise in a safetensors file) and holds every tensor against the file's.
import type { Engine } from '../engine/engine.ts';
import { fail } from '../engine/errors.ts';
import { CONV_ORDER, patchify } from '../engine/ops/patchify.ts';
import { embed } from '../engine/ops/embed.ts';
import { linear } from '../engine/ops/linear.ts';
import { take } from '../engine/ops/take.ts';
import { AdamW } from '../engine/optim/adamw.ts';
import { LossScale } from '../engine/optim/lossscale.ts';
import { readVariables } from '../engine/parameters.ts';
import { type RawTensor, rawTensor, toFloat32, viewAs } from '../engine/rawtensor.ts';
import type { Safetensors } from '../engine/safetensors.ts';
import { numel, type Tensor } from '../engine/tensor.ts';
import { lossTarget } from '../kernels/loss/loss.ts';
import { BOUNDS, type ConformanceResult, HALF_BOUNDS, judge } from './agreement.ts';
import { type CaseLars, probeCase } from './evaluate/conformance.ts';
import { checked, type MaeConfig, parameterSpecs } from './model/config.ts';
import { MaskedAutoencoder } from './model/model.ts';

/** The `config` of a case. */
interface CaseConfig {
  img: number | [number, number];
  patch: number;
  chans?: number;
  dim: number;
  depth: number;
  heads: number;
  dec_dim: number;
  dec_depth: number;
  dec_heads: number;
  mlp_ratio: number;
  norm_pix?: boolean;
  ln_eps: number;
  len_keep: number;
}

interface CaseAdamW {
  betas: [number, number];
  eps: number;
  weight_decay: number;
  no_decay: string[];
}

/** Keeps gradients of f16 tensors off the numbers that f16 lacks; taken off again before anything is compared. */
const STATIC_SCALE = 1024;

function parse<T>(file: Safetensors, key: string): T {
  const text =
    file.metadata.get(key) ?? fail(`conformance: the file's metadata has no ${key}; is it a conformance case?`);
  try {
    return JSON.parse(text) as T;
  } catch {
    return fail(`conformance: the metadata's ${key} is not JSON`);
  }
}

export function caseConfig(file: Safetensors): MaeConfig & { len_keep: number } {
  const c = parse<CaseConfig>(file, 'config');
  return {
    ...checked({
      img_size: Array.isArray(c.img) ? c.img : [c.img, c.img],
      patch_size: c.patch,
      in_chans: c.chans ?? 3,
      embed_dim: c.dim,
      depth: c.depth,
      num_heads: c.heads,
      decoder_embed_dim: c.dec_dim,
      decoder_depth: c.dec_depth,
      decoder_num_heads: c.dec_heads,
      mlp_ratio: c.mlp_ratio,
      norm_pix_loss: c.norm_pix ?? false,
      ln_eps: c.ln_eps,
      dropout: 0,
    }),
    len_keep: c.len_keep,
  };
}

/** A case while it is recomputed. */
interface Case {
  readonly engine: Engine;
  readonly model: MaskedAutoencoder;
  readonly file: Safetensors;
  /** Patches that the encoder sees of an image. */
  readonly keep: number;
  /** By the names that the file gives its own. */
  readonly computed: Map<string, RawTensor>;
}

/** @throws where the file is no conformance case or lacks a tensor of one */
export async function runConformance(engine: Engine, file: Safetensors): Promise<ConformanceResult> {
  const config = caseConfig(file);
  const weights = new Map(parameterSpecs(config).map(({ name }) => [name, floats(file, `param.${name}`).data]));
  const model = new MaskedAutoencoder(engine, config, weights);
  const its: Case = { engine, model, file, keep: config.len_keep, computed: new Map() };
  await forwardAndGradients(its);
  // At the initial weights: before they are trained.
  if (file.tensors.has('probe.img')) await linearProbe(its);
  await trainingSteps(its);
  return judge(file, its.computed, config, engine.precision === 'f16' ? HALF_BOUNDS : BOUNDS);
}

function floats(file: Safetensors, name: string): { data: Float32Array; shape: readonly number[] } {
  const tensor = file.tensors.get(name) ?? fail(`conformance: the case has no tensor ${name}`);
  return { data: toFloat32(tensor), shape: tensor.shape };
}

async function forwardAndGradients({ engine, model, file, keep, computed }: Case): Promise<void> {
  const { config } = model;
  const scale = engine.precision === 'f16' ? STATIC_SCALE : 1;
  const shapes = new Map<string, readonly number[]>();
  const program = engine.compile({ img: 'f32', noise: 'f32' }, ({ img, noise }, t) => {
    const tensors: Record<string, Tensor> = {};
    const forward = model.forward(img, noise, keep, { watch: (name, value) => (tensors[`act.${name}`] = value) });
    for (const name of ['ids_keep', 'ids_restore', 'mask', 'latent', 'pred', 'loss'] as const)
      tensors[name] = forward[name];
    // What the model never computes: embeddings of the patches that it drops, and the target as a tensor.
    tensors['act.embed'] = t.noGrad(() => embedAll(model, img));
    const [batch, chans, height, width] = img.shape;
    const sizes = { batch, chans, height, width, patch_size: config.patch_size, NORM: config.norm_pix_loss };
    tensors.target = t.run(lossTarget, { img }, sizes).targets.reshape(...forward.pred.shape);
    for (const [variable, grad] of t.backward(forward.loss, scale)) tensors[`grad.${variable.name}`] = grad;
    for (const [name, tensor] of Object.entries(tensors)) shapes.set(name, tensor.shape);
    return tensors;
  });
  const results = await (await program.run({ img: floats(file, 'img'), noise: floats(file, 'noise') })).read();
  for (const [name, data] of Object.entries(results)) {
    const shape = shapes.get(name) as readonly number[];
    const integer = name.startsWith('ids_');
    const unscale = name.startsWith('grad.') ? 1 / scale : 1;
    computed.set(
      name,
      integer
        ? rawTensor('I32', shape, Int32Array.from(data))
        : rawTensor(
            'F32',
            shape,
            Float32Array.from(data, (x) => x * unscale),
          ),
    );
  }
}

async function linearProbe({ engine, model, file, computed }: Case): Promise<void> {
  const labels = file.tensors.get('probe.labels') ?? fail('conformance: the case has no tensor probe.labels');
  const given = {
    img: floats(file, 'probe.img'),
    labels: { data: viewAs(labels, 'I32'), shape: labels.shape },
    weight0: floats(file, 'probe.head.weight0').data,
    bias0: floats(file, 'probe.head.bias0').data,
  };
  for (const [name, tensor] of await probeCase(engine, model, given, parse<CaseLars>(file, 'lars')))
    computed.set(name, tensor);
}

/** (N, L, D): every patch's embedding with its position. */
function embedAll({ config, parameters }: MaskedAutoencoder, img: Tensor): Tensor {
  const { rows } = patchify({ img, ids: null }, { patch_size: config.patch_size, order: CONV_ORDER });
  const proj = { w: parameters.get('patch_embed.proj.weight'), b: parameters.get('patch_embed.proj.bias') };
  const { y: emb } = linear({ x: rows, ...proj, r: null }, {});
  const [batch, patches] = emb.shape;
  const all = img.trace.constant(
    Uint32Array.from({ length: batch * patches }, (_, i) => i % patches),
    [batch, patches],
  );
  const { x } = embed(
    { emb, pos: parameters.get('pos_embed'), cls: parameters.get('cls_token'), ids_keep: all, ids_restore: all },
    {},
  );
  return take({ x }, { rows: Array.from({ length: patches }, (_, i) => i + 1) }).y;
}

async function trainingSteps({ engine, model, file, keep, computed }: Case): Promise<void> {
  const { betas, eps, weight_decay, no_decay } = parse<CaseAdamW>(file, 'adamw');
  const optimizer = new AdamW(model.parameters, {
    betas,
    eps,
    group: ({ name }) => ({ weightDecay: no_decay.includes(name) ? 0 : weight_decay, lrScale: 1 }),
    lossScale: engine.precision === 'f16' ? new LossScale(engine, { initial: STATIC_SCALE }) : undefined,
  });
  const program = engine.compile({ img: 'f32', noise: 'f32' }, ({ img, noise }, t) => {
    const { loss } = model.forward(img, noise, keep);
    optimizer.accumulate(t, t.backward(loss, optimizer.lossScale?.seed(t, 1)), true);
    optimizer.update(t);
    return { loss };
  });
  const images = floats(file, 'train.img');
  const noises = floats(file, 'train.noise');
  const rates = floats(file, 'train.lr').data;
  const part = ({ data, shape }: { data: Float32Array; shape: readonly number[] }, i: number) => {
    const n = numel(shape.slice(1));
    return { data: data.slice(i * n, (i + 1) * n), shape: shape.slice(1) };
  };
  const losses: number[] = [];
  for (const [i, lr] of rates.entries()) {
    optimizer.setLearningRate(lr);
    const { loss } = await (await program.run({ img: part(images, i), noise: part(noises, i) })).read();
    losses.push(loss[0]);
  }
  computed.set('train.loss', rawTensor('F32', [losses.length], Float32Array.from(losses)));
  for (const [name, data] of await readVariables(engine, model.parameters.variables)) {
    computed.set(`final.${name}`, rawTensor('F32', model.parameters.get(name).shape, data));
  }
}
