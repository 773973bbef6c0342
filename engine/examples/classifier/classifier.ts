// Training something that is not an MAE on the bare engine: a classifier of points on three spirals, with a hidden layer.
import { AdamW, classTargets, crossEntropy, Engine, mlp, openDevice, Parameters, Trainer } from 'tesserae/engine';
import { random } from 'tesserae/kernels';

const CLASSES = 3;
const POINTS = 100; // of each class
const HIDDEN = 64;
const STEPS = 300;

/** Points (CLASSES * POINTS, 2) and their labels. */
function spirals(): { points: Float32Array; labels: Int32Array } {
  const rng = random(1);
  const labels = Int32Array.from({ length: CLASSES * POINTS }, (_, i) => i % CLASSES);
  const points = Float32Array.from(
    [...labels].flatMap((label, i) => {
      const radius = i / labels.length;
      const angle = 4 * radius + (2 * Math.PI * label) / CLASSES + 0.1 * rng.normal();
      return [radius * Math.cos(angle), radius * Math.sin(angle)];
    }),
  );
  return { points, labels };
}

export async function run(gpu: GPU, print: (line: string) => void): Promise<void> {
  using device = await openDevice(gpu);
  using engine = new Engine(device);
  const shapes = { w1: [HIDDEN, 2], b1: [HIDDEN], w2: [CLASSES, HIDDEN], b2: [CLASSES] };
  const specs = Object.entries(shapes).map(([name, shape]) => ({ name, shape }));
  const parameters = new Parameters(engine, 'weights', specs);
  const rng = random(2);
  const initial = specs.map(({ name, shape }) => {
    const spread = name.startsWith('w') ? 1 / Math.sqrt(shape[1]) : 0;
    return [name, Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => spread * rng.normal())] as const;
  });
  parameters.load(new Map(initial));
  const [w1, b1, w2, b2] = specs.map(({ name }) => parameters.get(name));

  const trainer = new Trainer(engine, {
    inputs: { x: 'f32', labels: 'i32' },
    optimizer: new AdamW(parameters),
    loss: ({ x, labels }) => {
      const { y: logits } = mlp({ x, w1, b1, w2, b2, r: null }, {}); // (points, CLASSES)
      return crossEntropy({ logits, targets: classTargets({ labels }, { classes: CLASSES }) }, {}).loss;
    },
  });
  const predict = engine.compile({ x: 'f32' }, ({ x }) => ({ logits: mlp({ x, w1, b1, w2, b2, r: null }, {}).y }));

  const { points, labels } = spirals();
  const x = { data: points, shape: [labels.length, 2] };
  const batch = { x, labels: { data: labels, shape: [labels.length] } };
  for (let step = 0; step <= STEPS; step++) {
    const [result] = await trainer.step(batch, { lr: 1e-2 });
    if (step % 100 === 0) print(`step ${step}  loss ${(await result.read()).loss[0].toFixed(4)}`);
  }
  const { logits } = await predict.run({ x }).read();
  const right = labels.filter((label, i) => {
    const row = [...logits.subarray(i * CLASSES, (i + 1) * CLASSES)];
    return row.indexOf(Math.max(...row)) === label;
  }).length;
  print(`${right} of ${labels.length} points are classified right`);
}
