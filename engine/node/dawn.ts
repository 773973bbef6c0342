// Dawn in Node: opens a device, and waits for it without the busy loop that steals a core from software Vulkan.
import { create, globals } from 'webgpu';
import { type Device, type DeviceOptions, openDevice } from '../device.ts';

Object.assign(globalThis, globals);

/** How Dawn is set up, besides what holds for any device. */
export interface DawnOptions extends DeviceOptions {
  /** Substring of the adapter's name; default: what the launcher chose, else the first adapter. */
  adapter?: string;
  /** Further Dawn toggles, as `disable_robustness`. */
  toggles?: readonly string[];
}

/**
 * Toggles that leave out Dawn's checks: bounds of memory, validity of calls, zeros in workgroup memory. For programs whose
 * accesses are known to be right, as ours are tested to be with the checks on; other bits may come out where zeros were relied on.
 */
export const UNCHECKED: readonly string[] = ['disable_robustness', 'skip_validation', 'disable_workgroup_init'];

/** Subgroup matrices are behind the first toggle; NVIDIA's Vulkan hides shader-f16 behind the second. */
const TOGGLES = ['allow_unsafe_apis', 'vulkan_enable_f16_on_nvidia'];

/** Dawn's counterpart of a page's `navigator.gpu`, for an application that makes its own device (give `useDevice` `wait: gently`). */
export function dawn(options: DawnOptions = {}): GPU {
  const adapter = options.adapter ?? process.env.TESSERAE_DAWN_ADAPTER;
  const toggles = [...TOGGLES, ...(options.toggles ?? [])].join(',');
  // Rounded to 65,536 ns, against spying web pages, timestamps are of no use for kernels.
  const flags = [`enable-dawn-features=${toggles}`, 'disable-dawn-features=timestamp_quantization'];
  if (adapter) flags.push(`adapter=${adapter}`);
  // Lavapipe's matrices work for subgroups of 8 lanes (256 bits) alone; other drivers do not read this. With fewer lanes it
  // offers none, which does no harm: a user who chose that keeps it.
  const chosen = Number(process.env.LP_NATIVE_VECTOR_WIDTH || Infinity);
  if (options.profile === 'matrix' && !(chosen <= 256)) process.env.LP_NATIVE_VECTOR_WIDTH = '256';
  const gpu = create(flags);
  instances.add(gpu);
  return gpu;
}

/**
 * Opens a device on Dawn. Software adapters are waited for gently, as they need the cores; beside a GPU Dawn polls without pauses, so
 * that what is decoded meanwhile is taken up at once. @throws TesseraeError where there is no adapter
 */
export async function openDawn(options: DawnOptions = {}): Promise<Device> {
  let software = true;
  const wait = <T>(promise: Promise<T>): Promise<T> => (software ? gently(promise) : promise);
  const device = await openDevice(dawn(options), { wait, advice: LAUNCHER, ...options });
  software = device.adapter.software;
  return device;
}

/** A program that was started by `node` itself does not have the driver that the launcher finds. */
const LAUNCHER =
  'npx tesserae doctor says why; where its adapter is a software one, start the program by npx tesserae run FILE, which brings that along';

/** dawn.node crashes in later calls once the object that create() gave is collected, so it is kept to the end. */
const instances = new Set<GPU>();

const sleeper = new Int32Array(new SharedArrayBuffer(4));
let waiting = 0;
let turning = false;

/**
 * dawn.node polls in a setImmediate loop while a promise of the GPU's is pending. Sleeping 1 ms in every turn of that
 * loop gave whole training steps on two cores back 1.4x. One sleeper serves all that wait.
 */
export async function gently<T>(promise: Promise<T>): Promise<T> {
  waiting++;
  if (!turning) setImmediate(turn);
  turning = true;
  try {
    return await promise;
  } finally {
    waiting--;
  }
}

function turn(): void {
  turning = waiting > 0;
  if (!turning) return;
  Atomics.wait(sleeper, 0, 0, 1);
  setImmediate(turn);
}
