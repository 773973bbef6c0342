// An adapter: how one is got, what is asked of it for a device, and what is said of it.
import type { MatrixShape } from '../kernels/kernel.ts';
import type { DeviceOptions } from './device.ts';
import { fail } from './errors.ts';

/** Of browsers whose devices do not say what adapter they are of. */
export const UNTOLD = { vendor: '', architecture: '', device: '', description: '' } as GPUAdapterInfo;

/** What Dawn and Chromium call subgroup matrices. */
export const MATRIX = 'chromium-experimental-subgroup-matrix';
/** For large tensors, and for large tiles of matrix products. */
const RAISED = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
] as const;
const WANTED = ['subgroups', 'shader-f16', 'timestamp-query', MATRIX];

export interface AdapterSummary {
  /** Names card, driver and width of subgroups: figures, and the bits of results, hold for these alone. */
  readonly id: string;
  /** The same without model and version, except the major version of a software driver: figures are probably alike. */
  readonly kind: string;
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
  readonly software: boolean;
}

/** The sizes that subgroups may have; zeros where the adapter does not say. */
export function lanesOf(info: GPUAdapterInfo): { min: number; max: number } {
  const { subgroupMinSize: min = 0, subgroupMaxSize: max = 0 } = info as {
    subgroupMinSize?: number;
    subgroupMaxSize?: number;
  };
  return { min, max };
}

/**
 * What is said of an adapter. Software drivers generate code otherwise from one major version to the next (gemm.md: the best
 * tiles of Mesa 25 are the worst of 26), so it is part of their kind.
 */
export function summaryOf(info: GPUAdapterInfo): AdapterSummary {
  const { vendor, architecture, device, description } = info;
  const { min, max } = lanesOf(info);
  const software = isSoftware(info);
  const major = /\b(\d+)\.\d/.exec(description)?.[1] ?? 'unknown';
  // Dawn knows no architecture of cards that are newer than it: then the device's number stands for it.
  const family = architecture || (software ? '' : device);
  const kind = `${vendor} ${family}${software ? `, driver ${major}` : ''}, subgroups ${min}-${max}`;
  const id = `${vendor} ${architecture} ${device}, ${description}, subgroups ${min}-${max}`;
  return { id, kind, vendor, architecture, description, software };
}

/** What the adapter multiplies with f16 operands and f32 sums. To be asked once: some of Dawn's lists are empty thereafter. */
export function matricesOf(info: GPUAdapterInfo): MatrixShape[] {
  type Config = MatrixShape & { readonly componentType: string; readonly resultComponentType: string };
  const { subgroupMatrixConfigs } = info as { subgroupMatrixConfigs?: Iterable<Config> };
  return [...(subgroupMatrixConfigs ?? [])]
    .filter((c) => c.componentType === 'f16' && c.resultComponentType === 'f32')
    .map(({ M, N, K }) => ({ M, N, K }));
}

function isSoftware(info: GPUAdapterInfo): boolean {
  if ((info as { isFallbackAdapter?: boolean }).isFallbackAdapter) return true;
  return /llvmpipe|lavapipe|swiftshader|software|basic render/i.test(
    `${info.architecture} ${info.description} ${info.device}`,
  );
}

/** What a device must be made with, in the words of `GPUAdapter.requestDevice`. */
export interface Requirements {
  readonly requiredFeatures: GPUFeatureName[];
  readonly requiredLimits: Record<string, number>;
}

/**
 * What the engine asks of this adapter, no more than it has, for an application that makes the device itself:
 * `adapter.requestDevice(requirements(adapter))`, with its own needs added, then `useDevice`. Nothing of it is
 * indispensable: on a device with WebGPU's defaults kernels without subgroups or f16 run, on smaller buffers.
 */
export function requirements(adapter: GPUAdapter, options: DeviceOptions = {}): Requirements {
  const wanted = WANTED.filter((f) => adapter.features.has(f) && !options.without?.includes(f));
  const requiredLimits: Record<string, number> = {};
  if (options.raiseLimits !== false) for (const name of RAISED) requiredLimits[name] = adapter.limits[name];
  return { requiredFeatures: wanted as GPUFeatureName[], requiredLimits };
}

/** @throws TesseraeError that ends with `advice` where there is none */
export async function requestAdapter(
  gpu: GPU | undefined,
  advice = 'a driver for the GPU is needed, or a software one such as lavapipe',
): Promise<GPUAdapter> {
  if (!gpu)
    fail(
      'device: there is no WebGPU here (navigator.gpu is missing): a page needs a browser that has it, and https or localhost',
    );
  // Dawn throws where no adapter has the name that was asked for, and lists those that there are.
  const none = (error?: Error): never => {
    const why = error ? ` (${error.message.trim().replace(/\s*\n\s*/g, ' ')})` : '';
    return fail(`device: no WebGPU adapter found${why}: ${advice}`);
  };
  return (await gpu.requestAdapter({ powerPreference: 'high-performance' }).catch(none)) ?? none();
}
