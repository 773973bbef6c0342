// The conformance cases' linear probe: features of the unmasked encoder, and five full-batch LARS steps of its head.
import type { Engine } from '../../engine/engine.ts';
import { take } from '../../engine/ops/take.ts';
import { Lars } from '../../engine/optim/sgd.ts';
import { type RawTensor, rawTensor } from '../../engine/rawtensor.ts';
import type { HostTensor, Shape, Variable } from '../../engine/tensor.ts';
import { Trainer } from '../../engine/trainer.ts';
import type { MaskedAutoencoder } from '../model/model.ts';
import { LinearProbe } from './linprobe.ts';

/** What a case says of its optimizer. */
export interface CaseLars {
  readonly lr: number;
  readonly momentum: number;
  readonly trust: number;
  readonly wd: number;
  readonly steps: number;
  readonly classes: number;
}

interface CaseProbe {
  /** (n, C, H, W) */
  readonly img: HostTensor;
  /** (n), i32 */
  readonly labels: HostTensor;
  /** (classes, D) and (classes), before the first step */
  readonly weight0: Float32Array;
  readonly bias0: Float32Array;
}

/** Every tensor that the case names, computed with the model's weights as they are. */
export async function probeCase(
  engine: Engine,
  model: MaskedAutoencoder,
  { img, labels, weight0, bias0 }: CaseProbe,
  { lr, momentum, trust, wd, steps, classes }: CaseLars,
): Promise<Map<string, RawTensor>> {
  const [n] = img.shape;
  const dim = model.config.embed_dim;
  const program = engine.compile({ img: 'f32' }, (inputs) => {
    const cls = take({ x: model.encodeAll(inputs.img) }, { rows: [0] }).y;
    return { feature: cls.reshape(n, dim) };
  });
  const { feature } = await (await program.run({ img })).read();
  const begin = new Map([
    ['head.1.weight', weight0],
    ['head.1.bias', bias0],
  ]);
  const probe = new LinearProbe(engine, dim, classes, begin);
  const group = ({ shape }: Variable) => ({ weightDecay: shape.length > 1 ? wd : 0, lrScale: 1 });
  const optimizer = new Lars(probe.parameters, { momentum, trust, group });
  const trainer = new Trainer(engine, {
    inputs: { x: 'f32', labels: 'i32' },
    optimizer,
    loss: (inputs) => probe.loss(inputs.x, inputs.labels),
  });
  const x = { data: feature, shape: [n, dim] };
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const [result] = await trainer.step({ x, labels }, { lr });
    losses.push((await result.read()).loss[0]);
  }
  const judged = engine.compile({ x: 'f32' }, (inputs) => ({ logits: probe.forward(inputs.x, false) }));
  const { logits } = await (await judged.run({ x })).read();
  const head = await probe.read();
  const computed: [string, Shape, ArrayLike<number> | undefined][] = [
    ['feature', [n, dim], feature],
    ['loss', [steps], losses],
    ['head.weight', [classes, dim], head.get('head.1.weight')],
    ['head.bias', [classes], head.get('head.1.bias')],
    ['bn.running_mean', [dim], head.get('head.0.running_mean')],
    ['bn.running_var', [dim], head.get('head.0.running_var')],
    ['logits_eval', [n, classes], logits],
  ];
  return new Map(
    computed.map(([name, shape, data]) => [`probe.${name}`, rawTensor('F32', shape, Float32Array.from(data ?? []))]),
  );
}
