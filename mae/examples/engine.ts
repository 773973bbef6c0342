// The bare engine: parameters, a loss from ops, gradients and an update, without a Trainer or a model class.
import { AdamW, Engine, linear, maskedMse, mlp, Parameters } from '../../engine/index.ts';
import { openDawn } from '../../engine/node/index.ts';

using device = await openDawn();
using engine = new Engine(device);
const shapes = { w1: [32, 48], b1: [32], w2: [48, 32], b2: [48], w3: [48, 48], b3: [48] };
const parameters = new Parameters(
  engine,
  'weights',
  Object.entries(shapes).map(([name, shape]) => ({ name, shape, trainable: true })),
);
parameters.load(
  new Map(
    Object.entries(shapes).map(([name, s]) => [
      name,
      Float32Array.from({ length: s[0] * (s[1] ?? 1) }, () => (Math.random() - 0.5) / 4),
    ]),
  ),
);
const optimizer = new AdamW(engine, parameters);
const [w1, b1, w2, b2, w3, b3] = Object.keys(shapes).map((name) => parameters.get(name));

const step = engine.compile({ x: 'f32', img: 'f32', mask: 'f32' }, ({ x, img, mask }, trace) => {
  const { y: hidden } = mlp({ x, w1, b1, w2, b2, r: x }, {}); // x + gelu(x w1 + b1) w2 + b2
  const { y: pred } = linear({ x: hidden, w: w3, b: b3, r: null }, {});
  const { loss } = maskedMse({ pred, img, mask }, { patch_size: 4, normPix: false });
  optimizer.accumulate(trace, trace.backward(loss), true);
  optimizer.update(trace);
  return { loss };
});

const random = (shape: number[]) => ({
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, Math.random),
  shape,
});
const [x, img, mask] = [random([2, 4, 48]), random([2, 3, 8, 8]), { data: new Float32Array(8).fill(1), shape: [2, 4] }];
optimizer.setLearningRate(engine, 1e-2);
for (let i = 0; i < 20; i++) console.log((await (await step.run({ x, img, mask })).read()).loss[0]);
process.exit(0);
