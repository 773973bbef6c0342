// The peers: which library at which version, how its process is started, and what a reader must know of its numbers.

import type { Work } from './protocol.ts';

export interface Peer {
  readonly name: string;
  /** In the plot: warm ones on the adapter, cool ones on the CPU. */
  readonly colour: string;
  /** The program beside this file that serves it. */
  readonly script: string;
  readonly args?: readonly string[];
  /** npm packages at exact versions, the one that gives the folder in the cache its name first. */
  readonly packages?: Readonly<Record<string, string>>;
  /** A variable that names a checkout of its sources, where there is no package. */
  readonly checkout?: string;
  /** About what installing them takes, unpacked, in MB. */
  readonly megabytes?: number;
  /** Only this work, where another entry does the rest. */
  readonly kinds?: readonly Work['kind'][];
  readonly python?: true;
  readonly env?: Readonly<Record<string, string>>;
  readonly note: string;
}

export const OURS: Peer = {
  name: 'tesserae',
  colour: '#33333a',
  script: 'ours.ts',
  note: 'this engine, waiting without a busy loop',
};

const TFJS = {
  '@tensorflow/tfjs-backend-webgpu': '4.22.0',
  '@tensorflow/tfjs': '4.22.0',
};
const JAX = { '@jax-js/jax': '0.1.25' };
const ORT = { 'onnxruntime-node': '1.30.0', 'onnx-proto': '8.0.1' };

export const PEERS: readonly Peer[] = [
  {
    name: 'textbook kernel',
    colour: '#9aa63a',
    script: 'textbook.ts',
    kinds: ['gemm'],
    note: 'a plain kernel of our own on our Dawn with our waiting: 64 x 64 tiles in workgroup memory, 4 x 4 sums a thread, scalar loads',
  },
  {
    name: 'tfjs-webgpu',
    colour: '#d1602b',
    script: 'tfjs.mjs',
    packages: TFJS,
    megabytes: 300,
    note: 'on our Dawn with our waiting; AdamW as Adam and a decay of the weights',
  },
  {
    name: 'jax-js-webgpu',
    colour: '#a8327e',
    script: 'jaxjs.mjs',
    args: ['webgpu'],
    packages: JAX,
    megabytes: 2,
    note: 'on our Dawn with our waiting; every piece of work is one jit',
  },
  {
    name: 'jax-js-wasm',
    colour: '#2f8f83',
    script: 'jaxjs.mjs',
    args: ['wasm'],
    packages: JAX,
    megabytes: 2,
    note: 'one thread, for Node has none of the Workers that it would use in a browser',
  },
  {
    name: 'torchlette',
    colour: '#7d7d85',
    script: 'torchlette.mjs',
    checkout: 'TORCHLETTE',
    note: 'on our Dawn with our waiting, without subgroups unless they have 32 lanes; attention as two products and a softmax, for its own gave other numbers on lavapipe',
  },
  {
    name: 'onnxruntime-webgpu',
    colour: '#c9a227',
    script: 'onnxruntime.mjs',
    args: ['webgpu'],
    packages: ORT,
    megabytes: 320,
    note: 'its native WebGPU provider with a Dawn of its own; attention is its fused MultiHeadAttention, whose numbers are wrong on lavapipe from 32 tokens on: its ratio there is no more than information; it cannot train',
  },
  {
    name: 'onnxruntime-webgpu-unfused',
    colour: '#8a6d1a',
    script: 'onnxruntime.mjs',
    args: ['webgpu', 'unfused'],
    packages: ORT,
    megabytes: 320,
    kinds: ['attention'],
    note: 'its attention as two products and a softmax: the fused one gave wrong numbers on lavapipe from 32 tokens on',
  },
  {
    name: 'onnxruntime-cpu',
    colour: '#5b7fb4',
    script: 'onnxruntime.mjs',
    args: ['cpu'],
    packages: ORT,
    megabytes: 320,
    note: 'an anchor; it cannot train',
  },
  {
    name: 'torch-cpu',
    colour: '#22406e',
    script: 'pytorch.py',
    python: true,
    env: { OMP_WAIT_POLICY: 'PASSIVE' },
    note: 'an anchor; with OMP_WAIT_POLICY=PASSIVE, without which two threads were slower than one',
  },
];
