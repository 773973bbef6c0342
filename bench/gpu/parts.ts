// The parts of `bench gpu`, in order, with their shares of the time. Each is a process of its own.
import { PROFILES } from '../../kernels/kernel.ts';
import { type Found, type Mode, modeText, type Options } from './report.ts';
import type { StepShape } from './steps.ts';

export const KINDS = ['conformance', 'tests', 'ceilings', 'kernels', 'step', 'profile', 'torch'] as const;
export type Kind = (typeof KINDS)[number] | 'adapter';

export interface Part {
  readonly name: string;
  readonly kind: Kind;
  /** Share of the time, as a weight among the parts that are still to come. */
  readonly weight: number;
  readonly mode?: Mode;
  /** Which of several things of its kind it does. */
  readonly what?: string;
  /** Of a part with a single model: which. */
  readonly shape?: StepShape;
  /** Measures no time: may run beside others of that sort. */
  readonly together?: boolean;
}

/** Tests as on adapters that offer nothing beyond the standard. */
export const PLAIN = 'no subgroups or f16';

export const FIRST: Part = { name: 'adapter', kind: 'adapter', weight: 2 };

/**
 * What kernels and steps are timed under: the profile asked for, else a software adapter's own, else simt in f32 and, for f16, matrix
 * where it can be.
 */
function modesOf(found: Found, { precisions, profile: asked }: Options): Mode[] {
  if (asked === 'matrix') return precisions.includes('f16') ? [{ profile: asked, precision: 'f16' }] : [];
  const matrix = !asked && !found.software && found.matrices.length > 0;
  const profile = asked ?? (found.software ? found.profile : 'simt');
  return precisions.map((precision) => ({ profile: matrix && precision === 'f16' ? 'matrix' : profile, precision }));
}

/** Everything that this adapter and these options ask for. */
export function partsFor(found: Found, options: Options): Part[] {
  const profiles = PROFILES.filter(
    (p) =>
      (!options.profile || p === options.profile) &&
      (p !== 'matrix' || found.matrices.length > 0) &&
      (p !== 'cpu' || found.subgroup > 0),
  );
  const timed = modesOf(found, options);
  const each = (kind: Kind, weight: number): Part[] =>
    timed.map((mode) => ({ name: `${kind} ${modeText(mode)}`, kind, weight, mode }));
  const checked = (kind: Kind, weight: number): Part[] =>
    profiles.map((profile) => {
      const mode: Mode = { profile, precision: profile === 'matrix' ? 'f16' : 'f32' };
      return { name: `${kind} ${profile}`, kind, weight, mode, together: true };
    });
  const torch = (what: string, weight: number): Part[] =>
    options.torch === 'off' || (options.torch_from === null) === (what === 'anchor')
      ? []
      : [{ name: `torch ${what}`, kind: 'torch', weight, what }];
  const simt: Mode = { profile: 'simt', precision: 'f32' };
  const plain: Part = {
    name: `tests simt, ${PLAIN}`,
    kind: 'tests',
    weight: 25,
    mode: simt,
    what: PLAIN,
    together: true,
  };
  const parts: Part[] = [
    ...(options.golden === null ? [] : checked('conformance', 10)),
    ...checked('tests', 25),
    ...(options.quick || !profiles.includes('simt') ? [] : [plain]),
    { name: 'ceilings', kind: 'ceilings', weight: 15, what: 'simt' },
    ...(found.matrices.length
      ? ([{ name: 'ceilings matrix', kind: 'ceilings', weight: 8, what: 'matrix' }] as const)
      : []),
    // PyTorch's right after ours: what comes last goes short where time does.
    ...each('step', 45),
    ...torch('step', 45),
    ...torch('anchor', 12),
    ...each('kernels', 45),
    ...torch('kernels', 25),
    ...torch('compile', 12),
    // On tensor cores first: what comes last goes short.
    ...(options.quick ? each('profile', 20).slice(0, 1) : each('profile', 20).reverse()),
  ];
  return parts.filter(({ kind }) => !options.only.length || options.only.includes(kind));
}
