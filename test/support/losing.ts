// A device that is destroyed at a chosen call, and then again and again on the devices that take its place; every promise that it gives is watched.
import { type Device, useDevice } from '../../engine/device.ts';
import { gently, openDawn } from '../../engine/node/dawn.ts';

const QUEUE = ['submit', 'writeBuffer', 'onSubmittedWorkDone'] as const;
const DEVICE = ['createBuffer', 'createBindGroup', 'createComputePipelineAsync', 'createCommandEncoder'] as const;
const BUFFER = ['mapAsync', 'getMappedRange'] as const;

type Methods = Record<string, (...args: unknown[]) => unknown>;

export class Losing {
  /** Calls so far, on all devices. */
  calls = 0;
  /** Devices that were destroyed. */
  lost = 0;
  /** ms from a loss to the last promise of that device which settled. */
  slowest = 0;
  /** Promises that never settled. */
  readonly pending = new Set<Promise<unknown>>();
  readonly #at: (call: number) => boolean;
  #counting = false;

  /** @param at of calls, by their numbers from 1: whether the device is destroyed before it */
  constructor(at: (call: number) => boolean = () => false) {
    this.#at = at;
  }

  async open(): Promise<Device> {
    const again = () => this.#another();
    const device = await useDevice(await again(), { wait: gently, again, profile: 'simt' });
    this.#counting = true; // what was asked of it so far found out what it can do
    return device;
  }

  async #another(): Promise<GPUDevice> {
    const { gpu } = await openDawn({ profile: 'simt', raiseLimits: false });
    let destroyed = 0;
    const lose = (): void => {
      if (destroyed) return;
      destroyed = performance.now();
      this.lost++;
      gpu.destroy();
    };
    const wrap = (object: object, names: readonly string[]): void => {
      const methods = object as Methods;
      for (const name of names) {
        const original = methods[name].bind(object);
        const value = (...args: unknown[]): unknown => {
          if (this.#counting && this.#at(++this.calls)) lose();
          const result = original(...args);
          if (name === 'createBuffer') wrap(result as object, BUFFER);
          if (result instanceof Promise) {
            this.pending.add(result);
            const settled = (): void => {
              this.pending.delete(result);
              if (destroyed) this.slowest = Math.max(this.slowest, performance.now() - destroyed);
            };
            result.then(settled, settled);
          }
          return result;
        };
        Object.defineProperty(object, name, { value, configurable: true });
      }
    };
    wrap(gpu, DEVICE);
    wrap(gpu.queue, QUEUE);
    return gpu;
  }
}
