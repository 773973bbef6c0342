// The shapes at which kernels are measured: those of MAE with ViT-B/16, ViT-L/16 and ViT-H/14, and what PyTorch does at them.
import { adamwUpdate } from '../../kernels/adamw/adamw.ts';
import { attentionBackward, attentionDelta, attentionForward } from '../../kernels/attention/attention.ts';
import { elementwiseCast, elementwiseDgelu } from '../../kernels/elementwise/elementwise.ts';
import { gatherDrestore, gatherEmbed, gatherRestore } from '../../kernels/gather/gather.ts';
import { dense, EPILOGUES, gemm, gemmReduce, NN, NT, splitFor, TN } from '../../kernels/gemm/gemm.ts';
import type { AdapterTraits, AnyKernel, Settings } from '../../kernels/kernel.ts';
import { layernormBackward, layernormForward, layernormGroups } from '../../kernels/layernorm/layernorm.ts';
import { lossBackward, lossForward } from '../../kernels/loss/loss.ts';
import type { KernelCall } from '../call.ts';
import type { Mode } from './report.ts';

interface Measured {
  /** What is computed, and at which shape: together the key by which PyTorch's row is found. */
  readonly what: string;
  readonly shape: string;
  /** Null where kernels have no variant for the mode. */
  readonly calls: (mode: Mode, traits: AdapterTraits) => readonly KernelCall[] | null;
  /** What the PyTorch script needs to do the same. */
  readonly torch?: Readonly<Record<string, string | number>>;
}

/** A kernel whose types no longer matter: its problems are checked where they are run. */
type Any = { readonly [N in keyof AnyKernel]: unknown };
const any = (kernel: Any): AnyKernel => kernel as unknown as AnyKernel;

/** A call with its operands stored as the mode says, but for the bindings that stay f32; null where they cannot be. */
function call(kernel: Any, problem: Settings, mode: Mode, keep: readonly string[] = []): KernelCall | null {
  const { half } = any(kernel);
  if (mode.precision === 'f32') return { kernel: any(kernel), problem };
  const options = Object.entries(half).filter(([binding]) => !keep.includes(binding));
  if (!options.length) return null;
  return {
    kernel: any(kernel),
    problem: { ...problem, ...Object.fromEntries(options.map(([, o]) => [o as string, true])) },
  };
}

const all = (calls: readonly (KernelCall | null)[]): KernelCall[] | null =>
  calls.every((c) => c !== null) ? (calls as KernelCall[]) : null;

type Direction = 'forward' | 'dX' | 'dW';

/** A linear layer's product over `rows` tokens, as the engine records it: split over k where that pays. */
function linear(label: string, direction: Direction, rows: number, dim: number, out: number): Measured {
  const [m, n, k, LAYOUT] = {
    forward: [rows, out, dim, NT],
    dX: [rows, dim, out, NN],
    dW: [out, dim, rows, TN],
  }[direction];
  return {
    what: `gemm ${direction}`,
    shape: `${label}, ${m} x ${n} x ${k}`,
    torch: { kind: 'gemm', direction, m, n, k },
    calls: (mode, traits) => {
      const EPILOGUE = direction === 'forward' ? EPILOGUES.bias : EPILOGUES.none;
      const splits = splitFor({ m, n, k, batch: 1, LAYOUT }, traits);
      // Gradients of weights are stored as f32, and so are sums that go on to gemm.reduce.
      const keep = direction === 'dW' || splits > 1 ? ['c', 'u', 'r'] : ['u', 'r'];
      const problem = {
        ...dense({ m, n, k, splits, LAYOUT }),
        LAYOUT,
        EPILOGUE: splits > 1 ? EPILOGUES.none : EPILOGUE,
      };
      const product = call(gemm, problem, mode, keep);
      if (splits === 1) return all([product]);
      const reduce = {
        kernel: any(gemmReduce),
        problem: { splits, rows: m, n, groups: splits, EPILOGUE },
        takes: { parts: 'c' },
      };
      return all([product, reduce]);
    },
  };
}

function attention(batch: number, tokens: number, heads: number, dim: number): Measured[] {
  const sizes = { batch, tokens, heads, dim, scale: dim ** -0.5 };
  const shape = `${batch} x ${heads} heads x ${tokens} x ${dim}`;
  const torch = (direction: string) => ({ kind: 'attention', direction, batch, tokens, heads, dim });
  return [
    {
      what: 'attention forward',
      shape,
      torch: torch('forward'),
      calls: (mode) => all([call(attentionForward, sizes, mode)]),
    },
    {
      what: 'attention backward',
      shape,
      torch: torch('backward'),
      calls: (mode) => all([call(attentionDelta, sizes, mode), call(attentionBackward, sizes, mode)]),
    },
  ];
}

const single = (what: string, shape: string, kernel: Any, problem: Settings): Measured => ({
  what,
  shape,
  calls: (mode) => all([call(kernel, problem, mode)]),
});

/** What only moves memory, at `batch` images of a model with ViT-B's widths. */
function streams(batch: number, side: number, dim: number, wide: number, parameters: number): Measured[] {
  const patches = (side / 16) ** 2;
  const keep = patches / 4;
  const rows = batch * (1 + keep);
  const all = batch * (1 + patches);
  const images = { batch, chans: 3, height: side, width: side, patch_size: 16, NORM: true };
  const tokens = { batch, patches, keep, dim: wide };
  const text = (n: number, cols: number) => `${n} x ${cols}`;
  const backward = (what: string, n: number, cols: number, SUM: boolean): Measured => ({
    what,
    shape: text(n, cols),
    calls: (mode, { profile }) => {
      const made = call(
        layernormBackward,
        { rows: n, cols, groups: layernormGroups(n, profile), ADD: true, SUM },
        mode,
      );
      return made && [made];
    },
  });
  const norms = (n: number, cols: number): Measured[] => [
    // As in a step, whose residuals are added by the products before.
    single('layernorm', text(n, cols), layernormForward, { rows: n, cols, eps: 1e-6 }),
    single('residual + layernorm', text(n, cols), layernormForward, { rows: n, cols, eps: 1e-6, ADD: true }),
    backward('layernorm backward', n, cols, false),
    // As a step does where the sums of dx are a bias gradient.
    backward('layernorm backward with sums of dx', n, cols, true),
  ];
  return [
    ...norms(rows, dim),
    ...norms(all, wide),
    single('GELU backward', text(rows, 4 * dim), elementwiseDgelu, { n: rows * 4 * dim }),
    single('loss', `${batch} images of ${side}`, lossForward, images),
    single('loss backward', `${batch} images of ${side}`, lossBackward, images),
    single('AdamW', `${parameters} parameters`, adamwUpdate, { n: parameters, groupCount: 2 }),
    single('gather kept patches', text(rows, dim), gatherEmbed, { ...tokens, dim }),
    single('scatter to all patches', text(all, wide), gatherRestore, tokens),
    single('its gradient', text(rows, wide), gatherDrestore, tokens),
    cast('cast to f16', 'Y16', rows, dim),
    cast('cast to f32', 'X16', rows, dim),
  ];
}

/** From one type to the other, whatever the mode: `option` says which of the two is f16. */
const cast = (what: string, option: 'X16' | 'Y16', rows: number, cols: number): Measured => ({
  what,
  shape: `${rows} x ${cols}`,
  calls: () => [{ kernel: any(elementwiseCast), problem: { n: rows * cols, [option]: true } }],
});

const DIRECTIONS: readonly Direction[] = ['forward', 'dX', 'dW'];

/** The most telling first: what does not fit into the time is left out from the end. */
export function shapes(quick: boolean): Measured[] {
  if (quick) {
    return [
      ...DIRECTIONS.map((d) => linear('tiny fc1', d, 4 * 17, 96, 384)),
      ...attention(2, 17, 3, 32),
      ...streams(2, 32, 96, 64, 2 ** 16),
    ];
  }
  const layers = (label: string, dim: number): [string, number, number][] => [
    [`${label} fc1`, dim, 4 * dim],
    [`${label} qkv`, dim, 3 * dim],
    [`${label} fc2`, 4 * dim, dim],
    [`${label} proj`, dim, dim],
  ];
  const products = (batch: number, tokens: number, list: [string, number, number][]): Measured[] =>
    list.flatMap(([name, dim, out]) => DIRECTIONS.map((d) => linear(`${name} b${batch}`, d, batch * tokens, dim, out)));
  const [base, large] = [layers('ViT-B', 768), layers('ViT-L', 1024)];
  const lengths = [197, 50, 257];
  return [
    ...products(256, 50, base),
    ...lengths.flatMap((tokens) => attention(64, tokens, 12, 64)),
    ...streams(256, 224, 768, 512, 111_907_840),
    ...products(256, 197, layers('decoder', 512).slice(0, 2)),
    ...products(64, 50, base),
    ...lengths.flatMap((tokens) => attention(64, tokens, 16, 32)),
    ...lengths.flatMap((tokens) => attention(64, tokens, 16, 80)),
    ...products(256, 50, large.slice(0, 2)),
    ...products(512, 50, base.slice(0, 1)),
  ];
}
