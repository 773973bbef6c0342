// In Node, where there is no canvas: one frame as a file. npx tesserae run mae/examples/canvas/node.ts [FILE.png [FRAMES]]
import sharp from 'sharp';
import { dawn } from 'tesserae/engine/node';
import { run } from './canvas.ts';

const [WIDTH, HEIGHT] = [960, 320];
const [file = 'canvas.png', count = '10'] = process.argv.slice(2);
const frames = Number(count);
// Lavapipe (Mesa 26.2) computes, but ends the process where it draws, with vectors of 512 bits.
if (process.env.LP_NATIVE_VECTOR_WIDTH === '512') process.env.LP_NATIVE_VECTOR_WIDTH = '256';
let device: GPUDevice;
let texture: GPUTexture;
await run(dawn(), console.log, {
  format: 'rgba8unorm',
  configure(made) {
    device = made;
    const usage = 0x10 | 0x1; // RENDER_ATTACHMENT | COPY_SRC
    texture = device.createTexture({ size: [WIDTH, HEIGHT], format: 'rgba8unorm', usage });
  },
  view: () => texture.createView(),
  next: async (frame) => frame < frames,
});
const pixels = device!.createBuffer({ size: WIDTH * HEIGHT * 4, usage: 0x1 | 0x8 }); // MAP_READ | COPY_DST
const encoder = device!.createCommandEncoder();
const layout = { buffer: pixels, bytesPerRow: WIDTH * 4 };
encoder.copyTextureToBuffer({ texture: texture! }, layout, [WIDTH, HEIGHT]);
device!.queue.submit([encoder.finish()]);
await pixels.mapAsync(1);
const raw = { width: WIDTH, height: HEIGHT, channels: 4 } as const;
await sharp(new Uint8Array(pixels.getMappedRange()), { raw }).png().toFile(file);
console.log(`frame ${frames} is in ${file}`);
device!.destroy();
