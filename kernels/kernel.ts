// What a kernel is: WGSL with reflected bindings, and beside it its grid, shapes, cost, reference and test cases.
import { fail } from './errors.ts';
import type { Picks } from './picks.ts';
import type { Random } from './random/random.ts';

/** Types of elements in WGSL. */
export type Scalar = 'f32' | 'f16' | 'u32' | 'i32';
/** How a kernel uses a binding. */
export type Access = 'read' | 'read_write';
/** Sizes, slowest dimension first. */
export type Shape = readonly number[];
/** Workgroups to dispatch. */
export type Grid = readonly [x: number, y: number, z: number];
/** Every binding by name: how it is used, and what its elements are. */
export type BindingTypes = Record<string, readonly [Access, Scalar]>;
/** Members of the uniform Params. */
export type ParamTypes = Record<string, Scalar>;
/** Values of lines marked `// knob`. */
export type KnobValues = Record<string, number | boolean>;

/** What `import kernel from './x.wgsl'` gives (tools/wgsl.mjs reflects it at build time). */
export interface Wgsl<B extends BindingTypes = BindingTypes, P extends ParamTypes = ParamTypes, K = KnobValues> {
  readonly text: string;
  readonly bindings: { readonly [N in keyof B]: { binding: number; access: B[N][0]; type: B[N][1] } };
  readonly params: { readonly [N in keyof P]: { type: P[N]; offset: number } };
  /** Bytes of the uniform Params, a multiple of 16; 0 where the kernel has none. */
  readonly paramsBytes: number;
  readonly knobs: K;
}

/** What a kernel may know of the adapter when it chooses its tuning. */
export interface AdapterTraits {
  readonly profile: Profile;
  readonly vendor: string;
  readonly subgroupMinSize: number;
  readonly subgroupMaxSize: number;
  readonly features: ReadonlySet<string>;
  readonly maxWorkgroupStorageBytes: number;
  readonly maxWorkgroupInvocations: number;
  /** Of one storage buffer binding. */
  readonly maxBindingBytes: number;
  /** Products on subgroup matrices with f16 operands and f32 sums that the adapter lists; empty where it has none. */
  readonly matrices: readonly MatrixShape[];
  /** Settings measured on this adapter; they go before what variants choose by themselves. */
  readonly picks?: Picks;
}

/** A product of an (M, K) by a (K, N) subgroup matrix. */
export interface MatrixShape {
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** Kinds of adapters that kernels have variants for: see kernels/README.md. */
export const PROFILES = ['cpu', 'simt', 'matrix'] as const;
/** One of them. */
export type Profile = (typeof PROFILES)[number];

/** What every device can do, one with WebGPU's default limits and no features, too: for whoever has no `Device` of the engine to ask. */
export const PLAIN: AdapterTraits = {
  profile: 'simt',
  vendor: '',
  subgroupMinSize: 0,
  subgroupMaxSize: 0,
  features: new Set(),
  maxWorkgroupStorageBytes: 16384,
  maxWorkgroupInvocations: 256,
  maxBindingBytes: 2 ** 27,
  matrices: [],
};

type Values<P> = { [N in keyof P]: number };
/** `{ ADD: false }` says the option and its default; its type is boolean. */
type Wide<O> = { [N in keyof O]: O[N] extends boolean ? boolean : number };

/** Parameters, options and knobs of one call. */
export type Settings = { readonly [name: string]: number | boolean };

/** One way to run a kernel: its text, how many workgroups, and its tuning. */
export interface Variant {
  readonly wgsl: Wgsl;
  readonly lib: readonly string[];
  readonly needs: readonly string[];
  readonly grid: (problem: Settings) => Grid;
  readonly tune: (problem: Settings, adapter: AdapterTraits) => KnobValues | null;
  /** Other settings that may be faster than tune's, all of which run there: what measuring chooses from. */
  readonly candidates: (problem: Settings, adapter: AdapterTraits) => readonly KnobValues[];
  /** What is tried next where this one cannot run. */
  readonly otherwise: Variant | null;
  /** Products of f16 operands: tests draw numbers that f16 holds. */
  readonly halfOperands: boolean;
  /** Options under which a binding holds eight f16 in a vec4<u32>, not four in a vec4<f16>: loads of 16 bytes. */
  readonly eights: readonly string[];
  /** Where it rounds more than the others must: the least tolerance to hold it to. */
  readonly tolerance: number;
}

/** `tune` gives knobs for a problem on an adapter, or null where this variant cannot run there. */
export function variant<B extends BindingTypes, P extends ParamTypes, K>(
  wgsl: Wgsl<B, P, K>,
  how: {
    lib?: readonly string[];
    needs?: readonly string[];
    grid: (problem: Values<P> & K) => Grid;
    tune?: (problem: Values<P> & K, adapter: AdapterTraits) => Partial<K> | null;
    candidates?: (problem: Values<P> & K, adapter: AdapterTraits) => readonly Partial<K>[];
    otherwise?: Variant;
    halfOperands?: boolean;
    eights?: readonly string[];
    tolerance?: number;
  },
): Variant & { readonly __types?: [B, P] } {
  return {
    wgsl: wgsl as unknown as Wgsl,
    lib: how.lib ?? [],
    needs: how.needs ?? [],
    grid: how.grid as unknown as Variant['grid'],
    tune: (how.tune ?? (() => ({}))) as unknown as Variant['tune'],
    candidates: (how.candidates ?? (() => [])) as unknown as Variant['candidates'],
    otherwise: how.otherwise ?? null,
    halfOperands: how.halfOperands ?? false,
    eights: how.eights ?? [],
    tolerance: how.tolerance ?? 0,
  };
}

type TypedArray<S extends Scalar> = S extends 'u32' ? Uint32Array : S extends 'i32' ? Int32Array : Float64Array;
/** What a reference computes on: f64 for floats; bindings that a problem leaves out (null shape) are empty arrays. */
export type Arrays<B extends BindingTypes> = { [N in keyof B]: TypedArray<B[N][1]> };
type Read<B extends BindingTypes> = { [N in keyof B as B[N][0] extends 'read' ? N : never]: B[N] };
type Written<B extends BindingTypes> = { [N in keyof B as B[N][0] extends 'read_write' ? N : never]: B[N] };
/** Names of bindings that the caller passes. */
export type InputName<B extends BindingTypes, I extends string> = Exclude<keyof Read<B>, symbol | number> | I;
/** Names of bindings that the kernel writes and the caller does not pass. */
export type OutputName<B extends BindingTypes, I extends string> = Exclude<
  Exclude<keyof Written<B>, symbol | number>,
  I
>;

/** All that is said of a kernel besides its text. Bindings and parameters are read from that. */
export interface KernelSpec<B extends BindingTypes, P extends ParamTypes, O extends KnobValues, I extends string> {
  /** room.direction, as in `layernorm.forward`. */
  name: string;
  /** At least `simt`; `cpu` and `matrix` where they pay. All have the same bindings and parameters. */
  variants: { simt: Variant & { readonly __types?: [B, P] } } & { [profile in Exclude<Profile, 'simt'>]?: Variant };
  /** Knobs that change the meaning (layout, epilogue), with their defaults; every variant has them. */
  options?: O;
  /** read_write bindings that are updated in place: the caller passes them. */
  inout?: readonly I[];
  /** Bindings that are stored as f16 where an option says so (`{ y: 'HALF' }`): the last dimension is then a multiple of 4. */
  half?: { readonly [N in keyof B]?: keyof O };
  /** The shape of every binding; null where a problem does not use it. Output allocation and input checks follow. */
  shapes: (problem: Values<P> & Wide<O>) => { [N in keyof B]: Shape | null };
  /** Parameters that decide, with the options, which settings are fast: where variants offer candidates (picks.ts). */
  sizes?: readonly (keyof P & string)[];
  /** Floating-point operations. */
  flops: (problem: Values<P> & Wide<O>) => number;
  /** Elements of a binding that are read or written, where not all of them once: what counts as bytes moved (`movedBytes`). */
  moves?: (problem: Values<P> & Wide<O>) => { readonly [N in keyof B]?: number };
  /** Plain loops in f64 that fill the outputs. */
  reference: (arrays: Arrays<B>, problem: Values<P> & Wide<O>) => void;
  /** Inputs that cannot be just any numbers (indices, shapes); others are drawn from N(0, 1). */
  inputs?: (problem: Values<P> & Wide<O>, random: Random) => { [name: string]: ArrayLike<number> };
  /** Problems to test at, ugly sizes first. */
  cases: readonly (Values<P> & Partial<Wide<O>>)[];
  /** Absolute + relative tolerance against the reference; 1e-5 unless said. Exact for integers. */
  tolerance?: number;
}

/** A kernel: its spec, checked, with the defaults filled in. */
export interface Kernel<
  B extends BindingTypes = BindingTypes,
  P extends ParamTypes = ParamTypes,
  O extends KnobValues = KnobValues,
  I extends string = string,
> extends KernelSpec<B, P, O, I> {
  readonly options: O;
  readonly inout: readonly I[];
  readonly half: { readonly [N in keyof B]?: keyof O };
  readonly sizes: readonly (keyof P & string)[];
  readonly bindings: Wgsl<B, P>['bindings'];
}

/** What `run` takes for a kernel: every parameter, and any option. */
export type Problem<P extends ParamTypes, O extends KnobValues> = Values<P> & Partial<Wide<O>>;

/**
 * Checks that all variants have the same bindings and parameters, and every option as a knob. @throws where one has
 * not
 */
export function defineKernel<
  B extends BindingTypes,
  P extends ParamTypes,
  const O extends KnobValues = Record<never, never>,
  const I extends string = never,
>(spec: KernelSpec<B, P, O, I>): Kernel<B, P, O, I> {
  const first = spec.variants.simt.wgsl;
  const halves: unknown[] = Object.values(spec.half ?? {});
  for (const [profile, head] of Object.entries(spec.variants)) {
    const say = (what: string): never => fail(`${spec.name}: variant ${profile} ${what}`);
    const layout = (w: Wgsl) => JSON.stringify([w.bindings, w.params]);
    for (let v: Variant | null = head; v; v = v.otherwise) {
      if (layout(v.wgsl) !== layout(first)) say('must have the same bindings and parameters as simt');
      for (const o of Object.keys(spec.options ?? {})) {
        if (!(o in v.wgsl.knobs) && !halves.includes(o)) say(`lacks the option ${o} as a knob`);
      }
    }
  }
  return {
    ...spec,
    options: (spec.options ?? {}) as O,
    inout: spec.inout ?? [],
    half: spec.half ?? {},
    sizes: spec.sizes ?? [],
    bindings: first.bindings as Wgsl<B, P>['bindings'],
  };
}

/** Any kernel, where its types no longer matter (catalogue, plan, tests): whoever calls into it vouches for them. */
export interface AnyKernel {
  readonly name: string;
  readonly variants: { readonly [profile in Profile]?: Variant };
  readonly options: Settings;
  readonly inout: readonly string[];
  readonly half: { readonly [binding: string]: string | undefined };
  readonly sizes: readonly string[];
  readonly bindings: Wgsl['bindings'];
  readonly shapes: (problem: never) => { readonly [binding: string]: Shape | null };
  readonly flops: (problem: never) => number;
  readonly moves?: (problem: never) => { readonly [binding: string]: number | undefined };
  readonly reference: (arrays: never, problem: never) => void;
  readonly inputs?: (problem: never, random: Random) => { readonly [name: string]: ArrayLike<number> };
  readonly cases: readonly Settings[];
  readonly tolerance?: number;
}

/** @throws where a parameter of the kernel's uniform is missing, or cannot be in it */
export function checkProblem(kernel: Pick<AnyKernel, 'name' | 'variants'>, problem: Settings): void {
  const params = Object.entries(Object.values(kernel.variants)[0]?.wgsl.params ?? {});
  for (const [name, { type }] of params) {
    const value = problem[name];
    if (value === undefined)
      fail(`${kernel.name}: parameter ${name} is missing, it takes ${params.map(([each]) => each).join(', ')}`);
    const [least, most] = type === 'u32' ? [0, 2 ** 32 - 1] : [-(2 ** 31), 2 ** 31 - 1];
    const whole = Number.isInteger(value) && Number(value) >= least && Number(value) <= most;
    if (typeof value !== 'number' || (type === 'f32' ? Number.isNaN(value) : !whole))
      fail(
        `${kernel.name}: parameter ${name} must be a ${type === 'f32' ? 'number' : `whole number from ${least} to ${most}`}, got ${value}`,
      );
  }
}

/** How the elements of a binding are stored for one problem. */
export function storedAs(kernel: Pick<AnyKernel, 'half' | 'bindings'>, binding: string, problem: Settings): Scalar {
  const option = kernel.half[binding];
  return option !== undefined && problem[option] ? 'f16' : kernel.bindings[binding].type;
}

/** Bytes that one call must read and write: of every binding once, of those that are updated in place twice, or as `moves` says. */
export function movedBytes(kernel: AnyKernel, problem: Settings): number {
  const full = { ...kernel.options, ...problem };
  const shapes = kernel.shapes(full as never);
  const moves = kernel.moves?.(full as never) ?? {};
  return Object.keys(kernel.bindings).reduce((sum, name) => {
    const shape = shapes[name];
    if (!shape) return sum;
    const once = shape.reduce((a, b) => a * b, 1) * (kernel.inout.includes(name) ? 2 : 1);
    return sum + (moves[name] ?? once) * (storedAs(kernel, name, full) === 'f16' ? 2 : 4);
  }, 0);
}

/** Workgroups for n rows or blocks, folded to two dimensions where n passes 65,535: index = x + y * num_workgroups.x. */
export function fold(n: number): Grid {
  const y = Math.ceil(n / 65535);
  return [Math.ceil(n / y), y, 1];
}

/** a / b, rounded up. */
export const ceilDiv = (a: number, b: number): number => Math.ceil(a / b);
