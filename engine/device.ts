// A GPUDevice that the engine opened or was given, with what kernels may know of it. Browser and Node alike.
import type { AdapterTraits, MatrixShape, Profile } from '../kernels/kernel.ts';
import type { Picks } from '../kernels/picks.ts';
import {
  type AdapterSummary,
  lanesOf,
  MATRIX,
  matricesOf,
  requestAdapter,
  requirements,
  summaryOf,
  UNTOLD,
} from './adapter.ts';
import { DeviceHungError, DeviceLostError, fail, TesseraeError } from './errors.ts';
import { picksOf, shippedTable } from './picks.ts';
import { probe, type Probed } from './probe.ts';
import { Watchdog, type WatchOptions } from './watchdog.ts';

/** How a device is opened, or used: all of it can be left out. */
export interface DeviceOptions {
  /** Kernel profile; by default cpu on a software adapter with subgroups, else simt. */
  profile?: Profile;
  /** Raise limits of buffers and workgroups to what the adapter has (default true); false keeps WebGPU's defaults. */
  raiseLimits?: boolean;
  /** Features that are not asked for even where the adapter has them: to meet what other adapters lack. */
  without?: readonly string[];
  /** What is told of where there is no adapter: how to get one. */
  advice?: string;
  /** How to wait for the GPU without spinning; the Node entry gives one for Dawn. */
  wait?: <T>(promise: Promise<T>) => Promise<T>;
  /** Gives another device like this one when it was lost; who opens devices here need not say how. */
  again?: () => Promise<GPUDevice>;
  /** How long to wait for a device that does not answer. */
  watch?: WatchOptions;
}

/** GPUMapMode.READ: the global exists only after Dawn or a browser defined it. */
const MAP_READ = 1;

/** A lost device tells its promises first, now and then: so many ms are waited for the reason. */
const REASON_MS = 100;
/** A driver that was reset takes a while: so long, in ms, is waited before each try. */
const AGAIN_MS = [0, 100, 500, 2000, 5000] as const;

/** A GPUDevice and what was found out about it. Made by `openDevice` or `useDevice`. */
export class Device {
  /** What kernels choose their variant and tuning by; features that turned out wrong when they were tried are not among its features. */
  readonly traits: AdapterTraits;
  /** For people: names, driver, and the key under which measurements are kept. */
  readonly adapter: AdapterSummary;
  /** Measured settings that engines made from here on begin with; at first those that ship for such adapters. */
  picks: Picks;
  /** Gives up a device that does not answer in time. */
  readonly watchdog: Watchdog;
  readonly #wait: <T>(promise: Promise<T>) => Promise<T>;
  readonly #owned: boolean;
  readonly #again: (() => Promise<GPUDevice>) | null;
  #gpu: GPUDevice;
  #unwatch = (): void => {};
  #failure: TesseraeError | null = null;

  /** Wraps a probed device; `owned` devices are destroyed by dispose(), one that was passed in never is. */
  private constructor(
    gpu: GPUDevice,
    info: GPUAdapterInfo,
    options: DeviceOptions,
    owned: boolean,
    matrices: readonly MatrixShape[],
    probed: Probed,
  ) {
    this.#gpu = gpu;
    this.#owned = owned;
    this.#again = options.again ?? null;
    this.#wait = options.wait ?? ((promise) => promise);
    const features = new Set<string>(gpu.features as unknown as Iterable<string>);
    if (!probed.subgroups) features.delete('subgroups');
    if (!probed.matrices) features.delete(MATRIX);
    const { min, max } = lanesOf(info);
    this.adapter = summaryOf(info);
    const { software } = this.adapter;
    this.picks = picksOf(shippedTable(this.adapter));
    this.watchdog = new Watchdog(software, options.watch);
    this.traits = {
      profile: options.profile ?? (software && features.has('subgroups') && min === max ? 'cpu' : 'simt'),
      vendor: info.vendor,
      subgroupMinSize: min,
      subgroupMaxSize: max,
      features,
      maxWorkgroupStorageBytes: gpu.limits.maxComputeWorkgroupStorageSize,
      maxWorkgroupInvocations: gpu.limits.maxComputeInvocationsPerWorkgroup,
      maxBindingBytes: gpu.limits.maxStorageBufferBindingSize,
      // Lavapipe (Mesa 26.2) ends the process while it compiles any matrix for subgroups of 16; for 8 it works.
      matrices: features.has(MATRIX) && !(software && max > 8) ? matrices : [],
    };
    this.#watch(gpu);
  }

  /** Another one after `reopen`. */
  get gpu(): GPUDevice {
    return this.#gpu;
  }

  /** Whether it is gone: everything ends with a DeviceLostError until `reopen`. */
  get lost(): boolean {
    return this.#failure instanceof DeviceLostError;
  }

  #watch(gpu: GPUDevice): void {
    const failed = (error: TesseraeError): void => {
      // A loss is told even after another error: there is a remedy for it.
      if (gpu === this.#gpu && !this.lost && (!this.#failure || error instanceof DeviceLostError))
        this.#failure = error;
    };
    // Dawn drops a whole submit after a validation error, silently: any uncaptured error ends the work.
    const listener = (event: Event): void =>
      failed(new TesseraeError(`GPU error: ${(event as GPUUncapturedErrorEvent).error.message}`));
    gpu.addEventListener('uncapturederror', listener);
    this.#unwatch = () => gpu.removeEventListener('uncapturederror', listener);
    void gpu.lost.then(({ reason, message }) => {
      failed(new DeviceLostError(`GPU device was ${reason === 'destroyed' ? 'destroyed' : 'lost'}: ${message}`));
    });
  }

  /** Finds out what the adapter's features are worth, then wraps the device. */
  static async wrap(gpu: GPUDevice, info: GPUAdapterInfo, options: DeviceOptions, owned: boolean): Promise<Device> {
    const matrices = matricesOf(info);
    const probed = await probe(gpu, { matrix: matrices[0], lanes: lanesOf(info).max }, options.wait);
    return new Device(gpu, info, options, owned, matrices, probed);
  }

  /** Waits for a promise of the device's, without spinning. @throws DeviceHungError where the device does not answer */
  readonly wait = async <T>(promise: Promise<T>): Promise<T> => {
    const gpu = this.#gpu;
    try {
      return await this.watchdog.guard(this.#wait(promise));
    } catch (error) {
      if (error instanceof DeviceHungError && gpu === this.#gpu) this.fault(error);
      throw error;
    }
  };

  /** From here on everything ends with this error, unless with an earlier one; but a loss is told in any case, as there is a remedy. */
  fault(error: TesseraeError): void {
    if (!this.lost && (!this.#failure || error instanceof DeviceLostError)) this.#failure = error;
  }

  /** Throws the first error that the GPU reported, if any. */
  check(): void {
    if (this.#failure) throw this.#failure;
  }

  /** Waits for a buffer that can be mapped and copies what it holds; a failure is told as the first error that the GPU reported. */
  async bytes(buffer: GPUBuffer): Promise<ArrayBuffer> {
    try {
      await this.wait(buffer.mapAsync(MAP_READ));
      this.check();
      return buffer.getMappedRange().slice(0);
    } catch (error) {
      await this.reason();
      return fail(`GPU: ${buffer.label} cannot be read: ${(error as Error).message || (error as Error).name}`);
    }
  }

  /** After something failed: throws why, where the device knows or is about to be told. */
  async reason(): Promise<void> {
    if (!this.#failure) await Promise.race([this.#gpu.lost, new Promise((later) => setTimeout(later, REASON_MS))]);
    this.check();
  }

  /**
   * A new device in the place of one that was lost; nothing where it was not. Engines on it must be renewed. Where it hung, or with
   * `cautious`, the runs that led there are made call by call, so that the next error names the kernel.
   * @throws DeviceLostError where there is none to be had, or another adapter than before
   */
  async reopen(cautious = false): Promise<void> {
    if (!this.lost) return;
    const before = (this.#failure as DeviceLostError).message;
    const careful = cautious || this.#failure instanceof DeviceHungError;
    if (!this.#again)
      throw new DeviceLostError(`${before}; it was opened elsewhere (DeviceOptions.again can give another)`);
    let why = '';
    for (const ms of AGAIN_MS) {
      await new Promise((later) => setTimeout(later, ms));
      try {
        const gpu = await this.#wait(this.#again());
        // Where devices do not say what adapter they are of, nothing says that it is another.
        const { id } = gpu.adapterInfo ? summaryOf(gpu.adapterInfo) : this.adapter;
        if (id !== this.adapter.id)
          throw new DeviceLostError(`${before}; now there is another adapter, ${id}: start again on it`);
        this.#gpu = gpu;
        this.#failure = null;
        this.#watch(gpu);
        this.watchdog.restart(careful);
        return;
      } catch (error) {
        if (error instanceof DeviceLostError) throw error;
        why = (error as Error).message;
      }
    }
    throw new DeviceLostError(`${before}; no other can be opened: ${why}`);
  }

  /** Destroys the GPUDevice if `openDevice` made it; one that was passed in only loses what was attached to it. */
  dispose(): void {
    this.#unwatch();
    if (this.#owned) this.gpu.destroy();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Opens a device on `gpu` (navigator.gpu, or Dawn's through the Node entry). */
export async function openDevice(gpu: GPU, options: DeviceOptions = {}): Promise<Device> {
  const open = async (): Promise<{ device: GPUDevice; info: GPUAdapterInfo }> => {
    const adapter = await requestAdapter(gpu, options.advice);
    const device = await adapter.requestDevice({ label: 'tesserae', ...requirements(adapter, options) });
    return { device, info: adapter.info ?? UNTOLD };
  };
  const { device, info } = await open();
  return Device.wrap(device, info, { again: async () => (await open()).device, ...options }, true);
}

/**
 * Uses a device that the application already owns (`requirements` lists what to make it with); it is never destroyed here.
 * Dawn drops a whole submit after a validation error, so any error that the device reports, the application's own too, ends
 * what runs on it here: `check` and later runs throw it.
 */
export async function useDevice(gpu: GPUDevice, options: DeviceOptions = {}): Promise<Device> {
  if (!gpu?.queue)
    fail('useDevice: give it a GPUDevice, which await adapter.requestDevice(requirements(adapter)) makes');
  return Device.wrap(gpu, gpu.adapterInfo ?? UNTOLD, options, false);
}
