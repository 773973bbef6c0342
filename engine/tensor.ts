// Values of a trace (Tensor on a Storage) and what persists between runs (Variable in a Slab).
import { fail, shapeText, type TesseraeError } from './errors.ts';
import type { Trace } from './trace.ts';

/** How elements are stored. f16 stays on the device. */
export type DType = 'f32' | 'f16' | 'u32' | 'i32';
/** Sizes, slowest dimension first; the last one is contiguous. */
export type Shape = readonly number[];
export type HostData = Float32Array | Uint32Array | Int32Array;

/** Numbers on the host with their shape, as `run` takes them. */
export interface HostTensor {
  readonly data: HostData;
  readonly shape: Shape;
}

/** Numbers that lie on the host in several arrays, one behind the other. Behind the last, what the device's buffer held stays. */
export interface HostPieces {
  readonly pieces: readonly HostData[];
  readonly shape: Shape;
}

export const numel = (shape: Shape): number => shape.reduce((a, b) => a * b, 1);

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((n, i) => n === b[i]);

export const bytesOf = (dtype: DType, elements: number): number => elements * (dtype === 'f16' ? 2 : 4);

/** The typed array that holds elements of a dtype on the host, which has no f16: those are cast to f32 on the device. */
export const ARRAYS = { f32: Float32Array, u32: Uint32Array, i32: Int32Array } as const;

export const arrayOf = (what: string, dtype: DType): (typeof ARRAYS)[keyof typeof ARRAYS] =>
  dtype === 'f16' ? fail(`${what} is f16, which stays on the device: cast it to f32 first`) : ARRAYS[dtype];

/** What a value is, for messages. */
export const kindOf = (value: unknown): string => {
  if (value === null || value === undefined) return String(value);
  if (value instanceof Variable) return `the variable ${value.name} (trace.use gives its tensor)`;
  const { name } = (Object(value) as object).constructor ?? Object;
  return !name || name === 'Object'
    ? `{ ${Object.keys(value).join(', ')} }`
    : `${/^[AEIO]/.test(name) ? 'an' : 'a'} ${name}`;
};

/** @throws where these are no sizes of a tensor */
export function checkShape(what: string, shape: Shape): void {
  if (!Array.isArray(shape)) fail(`${what}: its shape must be an array of sizes, got ${kindOf(shape)}`);
  if (!shape.every((n) => Number.isInteger(n) && n > 0))
    fail(`${what}: sizes must be whole numbers above 0, got ${shapeText(shape)}`);
}

/** Of any realm: the Float32Array of a page's frame is no instance of the page's own. */
const isArrayOf = (dtype: keyof typeof ARRAYS, data: HostData): boolean =>
  ArrayBuffer.isView(data) && data[Symbol.toStringTag] === ARRAYS[dtype].name;

/** The dtype of an array's numbers. @throws where it is no array of the host's */
export const dtypeOf = (what: string, data: HostData): DType =>
  (Object.keys(ARRAYS) as (keyof typeof ARRAYS)[]).find((dtype) => isArrayOf(dtype, data)) ??
  fail(`${what} must be a Float32Array, a Uint32Array or an Int32Array, got ${kindOf(data)}`);

/** The same numbers as an upload takes them: given a view of shared memory, Dawn 0.6.2 ends the process. */
export const unshared = (data: HostData): Float32Array<ArrayBuffer> =>
  (data.buffer instanceof ArrayBuffer ? data : data.slice()) as Float32Array<ArrayBuffer>;

/** Refuses an array of another kind: its bits would be taken for numbers of this dtype. */
export function checkArray(what: string, dtype: DType, data: HostData): void {
  if (dtype === 'f16' || !isArrayOf(dtype, data)) {
    if (dtype === 'f16') fail(`${what} is f16, which stays on the device: give f32 and cast it there`);
    fail(`${what} is ${dtype} and takes a ${ARRAYS[dtype].name}, got ${kindOf(data)}`);
  }
}

/** A persistent run of elements on the device: parameters, moments, counters. Its buffer is made at first use. */
export class Slab {
  readonly label: string;
  readonly dtype: DType;
  readonly length: number;
  buffer: GPUBuffer | null = null;
  /** Why what it held is lost, and not to be taken for zeros. */
  gone: TesseraeError | null = null;
  /** Whether a plan that writes it anew may keep transients in it until then (lodge.ts). */
  readonly lends: boolean;
  #half: Slab | null = null;

  /** A twin of the same layout for f16 copies of its elements, which traces fill (trace.half). */
  get half(): Slab {
    return (this.#half ??= new Slab(`f16 of ${this.label}`, 'f16', this.length));
  }

  get bytes(): number {
    return bytesOf(this.dtype, this.length);
  }

  constructor(label: string, dtype: DType, length: number, { lends = false } = {}) {
    this.label = label;
    this.dtype = dtype;
    this.length = length;
    this.lends = lends;
  }
}

/** A named persistent tensor: a range of a slab. `trainable` ones get gradients. */
export class Variable {
  /** As in checkpoints and messages. */
  readonly name: string;
  readonly shape: Shape;
  /** The buffer that it is a range of. */
  readonly slab: Slab;
  /** First element within the slab; a multiple of 128, as bindings start at multiples of 256 bytes, in f16 too. */
  readonly offset: number;
  /** Whether `backward` gives it a gradient. */
  readonly trainable: boolean;

  constructor(name: string, shape: Shape, slab: Slab, offset: number, trainable: boolean) {
    this.name = name;
    this.shape = shape;
    this.slab = slab;
    this.offset = offset;
    this.trainable = trainable;
  }

  get dtype(): DType {
    return this.slab.dtype;
  }
}

/** Where a storage lives; null until the plan places it by lifetime. */
type Home =
  | { readonly kind: 'slab'; readonly slab: Slab; readonly offset: number }
  | { readonly kind: 'input'; readonly name: string }
  | { readonly kind: 'constant'; readonly data: HostData };

/** Elements that one or more tensors (views) look at. */
export class Storage {
  readonly dtype: DType;
  readonly length: number;
  home: Home | null;

  constructor(dtype: DType, length: number, home: Home | null) {
    this.dtype = dtype;
    this.length = length;
    this.home = home;
  }
}

/** A value of a trace. `value` is its identity for differentiation: views share it, aliases do not. */
export class Tensor {
  /** Whose it is: another trace refuses it. */
  readonly trace: Trace;
  readonly storage: Storage;
  readonly shape: Shape;
  readonly value: object;

  constructor(trace: Trace, storage: Storage, shape: Shape, value: object = {}) {
    this.trace = trace;
    this.storage = storage;
    this.shape = shape;
    this.value = value;
  }

  get dtype(): DType {
    return this.storage.dtype;
  }

  /** On the device. */
  get bytes(): number {
    return bytesOf(this.dtype, numel(this.shape));
  }

  /** The same elements under another shape. */
  reshape(...shape: number[]): Tensor {
    if (numel(shape) !== numel(this.shape)) {
      fail(
        `reshape: ${shapeText(this.shape)} has ${numel(this.shape)} elements, ${shapeText(shape)} has ${numel(shape)}`,
      );
    }
    return new Tensor(this.trace, this.storage, shape, this.value);
  }

  /** The same elements as a value of its own, so that its gradient can be told apart. */
  alias(): Tensor {
    return new Tensor(this.trace, this.storage, this.shape);
  }

  /** All but the last dimension folded: what row kernels take. */
  rows(): { rows: number; cols: number } {
    const cols = this.shape[this.shape.length - 1];
    return { rows: numel(this.shape) / cols, cols };
  }
}

export type TensorLike = Tensor | Variable;
