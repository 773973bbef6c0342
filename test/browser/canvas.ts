// A canvas that WebGPU paints, so that tests see whether pictures of pages show what is on it.
import { gpu } from './gpu.ts';

interface Context {
  configure(options: { device: GPUDevice; format: GPUTextureFormat }): void;
  getCurrentTexture(): GPUTexture;
}
interface Page {
  document: { querySelector(name: string): { getContext(kind: 'webgpu'): Context } };
  requestAnimationFrame(then: () => void): void;
}

/** Fills the page's canvas with a colour of values in [0, 1]. */
export async function paint(r: number, g: number, b: number): Promise<void> {
  const page = globalThis as unknown as Page;
  const device = await (await gpu().requestAdapter())!.requestDevice();
  const context = page.document.querySelector('canvas').getContext('webgpu');
  context.configure({ device, format: gpu().getPreferredCanvasFormat() });
  const encoder = device.createCommandEncoder();
  const view = context.getCurrentTexture().createView();
  const clear = { view, loadOp: 'clear', storeOp: 'store', clearValue: [r, g, b, 1] } as const;
  encoder.beginRenderPass({ colorAttachments: [clear] }).end();
  device.queue.submit([encoder.finish()]);
  await device.queue.onSubmittedWorkDone();
  for (let frame = 0; frame < 2; frame++) await new Promise<void>((shown) => page.requestAnimationFrame(shown));
}
