// ONNX Runtime for tests: not a dependency, for it has 290 MB; from the cache, where `bench peers` puts it, or installed there now.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { PEERS } from '../../bench/peers/catalogue.ts';
import { folderOf, install, installed } from '../../bench/peers/install.ts';
import type { HostTensor } from '../../engine/tensor.ts';

type Data = Float32Array | BigInt64Array;
interface Tensor {
  readonly dims: readonly number[];
  readonly data: Data;
}
export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata: readonly { name: string; shape: readonly (number | string)[] }[];
  readonly outputMetadata: readonly { name: string; shape: readonly (number | string)[] }[];
  run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>>;
  release(): Promise<void>;
}
interface Runtime {
  readonly InferenceSession: { create(model: Uint8Array | string, options?: object): Promise<Session> };
  readonly Tensor: new (type: string, data: Data, dims: readonly number[]) => Tensor;
}

/** A network that takes longer is none. */
const PATIENCE_MS = 120_000;

/** null, and a line that says why, where it cannot be had. */
export async function onnxRuntime(): Promise<Runtime | null> {
  const peer = PEERS.find(({ name }) => name === 'onnxruntime-cpu') as (typeof PEERS)[number];
  try {
    if (!installed(peer)) {
      console.log('installing ONNX Runtime into the cache (290 MB) …');
      await install(peer, AbortSignal.timeout(PATIENCE_MS));
    }
    return createRequire(join(folderOf(peer), 'index.js'))('onnxruntime-node') as Runtime;
  } catch (error) {
    console.log(`SKIPPED, no graph was run: ONNX Runtime cannot be had: ${(error as Error).message}`);
    return null;
  }
}

/** Runs a graph on host tensors: f32, or u32 which go in as int64. */
export async function runSession(
  { Tensor: Class }: Runtime,
  session: Session,
  inputs: Readonly<Record<string, HostTensor>>,
): Promise<Record<string, { shape: readonly number[]; data: Float64Array }>> {
  const feeds = Object.fromEntries(
    Object.entries(inputs).map(([name, { data, shape }]) => [
      name,
      data instanceof Float32Array
        ? new Class('float32', data, shape)
        : new Class('int64', BigInt64Array.from(data as Uint32Array, BigInt), shape),
    ]),
  );
  const results = await session.run(feeds);
  return Object.fromEntries(
    Object.entries(results).map(([name, { dims, data }]) => [
      name,
      { shape: dims, data: Float64Array.from(data as ArrayLike<number>, Number) },
    ]),
  );
}
