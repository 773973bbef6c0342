// `navigator.gpu` for libraries that were written for browsers: our Dawn, and our way of waiting for it.
import { create, globals } from 'webgpu';
import { gently } from '../../engine/node/dawn.ts';

Object.assign(globalThis, globals);

/** Kept: dawn.node crashes once the object that create() gave is collected. */
let gpu: GPU | null = null;

/** Puts the adapter that this process was launched for where a browser has it, and mends its busy waiting. */
export function installGpu(): void {
  const adapter = process.env.TESSERAE_DAWN_ADAPTER;
  gpu = create(['enable-dawn-features=allow_unsafe_apis', ...(adapter ? [`adapter=${adapter}`] : [])]);
  installNavigator({ gpu });
  // Dawn polls without a pause while one of these is pending, and so takes a core from a software adapter.
  const { mapAsync } = GPUBuffer.prototype;
  GPUBuffer.prototype.mapAsync = function (...args) {
    return gently(mapAsync.apply(this, args));
  };
  const { onSubmittedWorkDone } = GPUQueue.prototype;
  GPUQueue.prototype.onSubmittedWorkDone = function () {
    return gently(onSubmittedWorkDone.call(this));
  };
}

/** Node 20 has no navigator, and a later one has no GPU in it. */
export function installNavigator(more: object = {}): void {
  const value = { userAgent: `Node.js/${process.versions.node}`, ...more };
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true, writable: true });
}

/** The adapter in its own words. */
export async function deviceName(): Promise<string> {
  const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' });
  return adapter?.info.description ?? 'no adapter';
}
