// A masked autoencoder in a frame loop: every frame waves move on, three quarters of their picture are removed, the model rebuilds
// them, and the canvas shows original, what is left, and the reconstruction. Nothing is read back: the model's output is a
// GPUBuffer that the fragment shader reads, and compute and drawing share one command encoder. An application would load
// weights; here every frame also trains a step, so one can watch how the model learns (it sees through after about 500 frames).
import { AdamW, Engine, requirements, Trainer, useDevice } from 'tesserae/engine';
import { configure, lenKeep, MaskedAutoencoder } from 'tesserae/mae';

const SIDE = 32;
const PATCH = 8;
const PATCHES = (SIDE / PATCH) ** 2;
const KEEP = lenKeep(PATCHES, 0.75);
const BATCH = 16;

/** Pixels (3, SIDE, SIDE) of a wave at `phase`, in 0 to 1. */
function wave(phase: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: 3 * SIDE * SIDE }, (_, i) => {
    const [chan, row, col] = [Math.floor(i / SIDE ** 2), Math.floor(i / SIDE) % SIDE, i % SIDE];
    return 0.5 + 0.4 * Math.sin(0.23 * col + 0.16 * row + phase + chan);
  });
}
const anyNoise = (n: number) => Float32Array.from({ length: n }, Math.random);

/** Waves at any phase, and noise that decides what of each is removed. */
function anyBatch() {
  const waves = Array.from({ length: BATCH }, () => [...wave(2 * Math.PI * Math.random())]);
  return {
    img: { data: Float32Array.from(waves.flat()), shape: [BATCH, 3, SIDE, SIDE] },
    noise: { data: anyNoise(BATCH * PATCHES), shape: [BATCH, PATCHES] },
  };
}

/** Draws three panels: the image, its visible patches, and these with the prediction in the place of the others. */
const DRAW = `
const SIDE = ${SIDE}u;
const PATCH = ${PATCH}u;
@group(0) @binding(0) var<storage, read> img: array<f32>;  // (3, SIDE, SIDE)
@group(0) @binding(1) var<storage, read> pred: array<f32>; // (patches, PATCH * PATCH * 3)
@group(0) @binding(2) var<storage, read> mask: array<f32>; // (patches): 1 where a patch was removed
struct Corner { @builtin(position) at: vec4<f32>, @location(0) uv: vec2<f32> }
@vertex fn corner(@builtin(vertex_index) i: u32) -> Corner {
  let uv = vec2<f32>(f32((i << 1u) & 2u), f32(i & 2u)); // one triangle over everything
  return Corner(vec4<f32>(uv * 2.0 - 1.0, 0.0, 1.0), vec2<f32>(uv.x, 1.0 - uv.y));
}
@fragment fn colour(at: Corner) -> @location(0) vec4<f32> {
  let panel = min(2u, u32(at.uv.x * 3.0));
  let x = min(SIDE - 1u, u32(fract(at.uv.x * 3.0) * f32(SIDE)));
  let y = min(SIDE - 1u, u32(at.uv.y * f32(SIDE)));
  let tile = y / PATCH * (SIDE / PATCH) + x / PATCH;
  let inner = (tile * PATCH * PATCH + y % PATCH * PATCH + x % PATCH) * 3u;
  let pixel = y * SIDE + x;
  var rgb = vec3<f32>(img[pixel], img[SIDE * SIDE + pixel], img[2u * SIDE * SIDE + pixel]);
  if (panel > 0u && mask[tile] == 1.0) {
    rgb = select(vec3<f32>(0.5), vec3<f32>(pred[inner], pred[inner + 1u], pred[inner + 2u]), panel == 2u);
  }
  return vec4<f32>(rgb, 1.0);
}`;

export interface Screen {
  readonly format: GPUTextureFormat;
  /** Called once the device is there, as a canvas must be told. */
  configure(device: GPUDevice): void;
  /** What this frame is drawn into. */
  view(): GPUTextureView;
  /** Resolves when the next frame is due; false ends the loop. */
  next(frame: number): Promise<boolean>;
}

export async function run(gpu: GPU, print: (line: string) => void, screen: Screen): Promise<void> {
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('there is no WebGPU adapter');
  const device = await adapter.requestDevice(requirements(adapter));
  screen.configure(device);
  using ours = await useDevice(device);
  using engine = new Engine(ours);
  const heads = { num_heads: 4, decoder_num_heads: 4 };
  const sizes = { patch_size: PATCH, embed_dim: 64, depth: 2, decoder_embed_dim: 64, decoder_depth: 2, ...heads };
  const model = new MaskedAutoencoder(engine, configure('mae_vit_nano_patch4_32', sizes), 0);

  const trainer = new Trainer(engine, {
    inputs: { img: 'f32', noise: 'f32' },
    optimizer: new AdamW(model.parameters, { betas: [0.9, 0.95] }),
    loss: ({ img, noise }) => model.forward(img, noise, KEEP).loss,
  });

  // One image a frame: recorded once, encoded by us from then on.
  const program = engine.compile({ img: 'f32', noise: 'f32' }, ({ img, noise }) => {
    const { pred, mask } = model.forward(img, noise, KEEP);
    return { pred, mask };
  });
  const { inputs, outputs, encode } = await program.record({ img: [1, 3, SIDE, SIDE], noise: [1, PATCHES] });

  const module = device.createShaderModule({ code: DRAW });
  const draw = device.createRenderPipeline({
    layout: 'auto',
    vertex: { module, entryPoint: 'corner' },
    fragment: { module, entryPoint: 'colour', targets: [{ format: screen.format }] },
  });
  const shown = device.createBindGroup({
    layout: draw.getBindGroupLayout(0),
    entries: [inputs.img, outputs.pred.buffer, outputs.mask.buffer].map((buffer, binding) => ({
      binding,
      resource: { buffer },
    })),
  });

  let noise = anyNoise(PATCHES);
  let told: Promise<void> | undefined;
  for (let frame = 0; await screen.next(frame); frame++) {
    if (frame % 30 === 0) noise = anyNoise(PATCHES); // another mask every half second
    const [result] = await trainer.step(anyBatch(), { lr: 3e-3 * Math.min(1, (frame + 1) / 20) });
    if (frame % 100 === 0) told = result.read().then(({ loss }) => print(`frame ${frame}  loss ${loss[0].toFixed(4)}`));
    device.queue.writeBuffer(inputs.img, 0, wave(frame / 15));
    device.queue.writeBuffer(inputs.noise, 0, noise);
    const encoder = device.createCommandEncoder();
    encode(encoder);
    const pass = encoder.beginRenderPass({
      colorAttachments: [{ view: screen.view(), loadOp: 'clear', storeOp: 'store' }],
    });
    pass.setPipeline(draw);
    pass.setBindGroup(0, shown);
    pass.draw(3);
    pass.end();
    device.queue.submit([encoder.finish()]);
  }
  await told;
}
