// The bare engine: parameters, a loss from ops, gradients, an update. npx tesserae run mae/examples/engine.ts
import { AdamW, Engine, maskedMse, mlp, Parameters } from 'tesserae/engine';
import { openDawn } from 'tesserae/engine/node';

using engine = new Engine(await openDawn());
const shapes = { w1: [32, 48], b1: [32], w2: [48, 32], b2: [48] };
const named = Object.entries(shapes);
const uniform = (shape: number[]) => Float32Array.from({ length: shape.reduce((a, b) => a * b) }, Math.random);
const specs = named.map(([name, shape]) => ({ name, shape }));
const parameters = new Parameters(engine, 'weights', specs);
parameters.load(new Map(named.map(([name, shape]) => [name, uniform(shape).map((x) => (x - 0.5) / 4)])));
const [w1, b1, w2, b2] = named.map(([name]) => parameters.get(name));
const optimizer = new AdamW(parameters);

const step = engine.compile({ x: 'f32', img: 'f32', mask: 'f32' }, ({ x, img, mask }, trace) => {
  const { y: pred } = mlp({ x, w1, b1, w2, b2, r: x }, {}); // x + gelu(x w1 + b1) w2 + b2
  const { loss } = maskedMse({ pred, img, mask }, { patch_size: 4, normPix: false });
  optimizer.accumulate(trace, trace.backward(loss), true);
  optimizer.update(trace);
  return { loss };
});

const [x, img] = [
  [2, 4, 48],
  [2, 3, 8, 8],
].map((shape) => ({ data: uniform(shape), shape }));
const mask = { data: new Float32Array(8).fill(1), shape: [2, 4] };
optimizer.setLearningRate(1e-2);
for (let i = 0; i < 20; i++) console.log('loss', (await step.run({ x, img, mask }).read()).loss[0].toFixed(4));
