// Every kernel of the catalogue at the sizes of a model's step, held against what the device can do at best.
import type { Device } from '../engine/device.ts';
import type { Rates } from '../engine/pace.ts';
import type { Precision } from '../engine/trace.ts';
import { TN } from '../kernels/gemm/gemm.ts';
import { catalogue } from '../kernels/index.ts';
import type { AnyKernel } from '../kernels/kernel.ts';
import type { CatalogueBench, CatalogueRow } from '../mae/cli/benchkernels.ts';
import { timeCalls } from './call.ts';
import { type Ceiling, measureCeilings } from './gpu/ceilings.ts';
import { problemText } from './kernels.ts';
import { type BenchProblem, type BenchSizes, PROBLEMS } from './problems.ts';
import { report } from './result.ts';

interface Work {
  readonly kernel: AnyKernel;
  readonly made: BenchProblem;
}

/** Kernels whose name contains `only`, with their problems. */
function chosen(only: string, sizes: BenchSizes, device: Device, precision: Precision): Work[] {
  return catalogue
    .filter(({ name }) => name.includes(only))
    .flatMap((kernel) => (PROBLEMS[kernel.name]?.(sizes, device.traits) ?? []).map((made) => ({ kernel, made })))
    .map((work) => (precision === 'f16' ? halved(work) : work));
}

/** Everything that a kernel may store as f16 stored so, but gradients of weights and what a problem says itself. */
export function halved({ kernel, made }: Work): Work {
  const sums = kernel.name === 'gemm.reduce' || (kernel.name === 'gemm' && made.problem.LAYOUT === TN);
  const options = Object.values(kernel.half).filter((option) => option !== undefined && !(sums && option === 'C16'));
  const halves = kernel.name === 'elementwise.cast' ? {} : Object.fromEntries(options.map((option) => [option, true]));
  return { kernel, made: { ...made, problem: { ...halves, ...made.problem } } };
}

/** What the device can do at best, by the names that rows are bound by; and how each was found. */
export async function bestOf(device: Device): Promise<{ best: Rates['best']; ceilings: Ceiling[] }> {
  const matrix = device.traits.profile === 'matrix' && device.traits.matrices.length > 0;
  const small = device.adapter.software;
  const ceilings = [
    ...(await measureCeilings(device, false, small, () => {})),
    ...(matrix ? await measureCeilings(device, true, small, () => {}) : []),
  ];
  const rateOf = (what: Ceiling['what']): number => ceilings.find((c) => c.what === what)?.rate ?? 0;
  return { best: { copy: rateOf('copy'), fma: rateOf('fma f32'), matrix: rateOf('matrix f16') }, ceilings };
}

export const kernelNames: CatalogueBench['kernelNames'] = () => catalogue.map(({ name }) => name);

export const benchCatalogue: CatalogueBench['benchCatalogue'] = async (device, sizes, asked, progress) => {
  const { only, samples, precision } = asked;
  progress(0, 'what the device can do at best');
  const { best, ceilings } = await bestOf(device);
  const rows: CatalogueRow[] = [];
  const work = chosen(only, sizes, device, precision);
  for (const [i, { kernel, made }] of work.entries()) {
    progress(i / work.length, kernel.name);
    const { ms, spread, flops, bytes } = await timeCalls(device, [{ kernel, ...made }], { samples });
    device.check();
    const arithmetic = best.matrix && /^(gemm|attention)/.test(kernel.name) ? 'matrix' : 'fma';
    const floor = { [arithmetic]: flops / best[arithmetic] / 1e6, copy: bytes / best.copy / 1e6 };
    const bound = floor[arithmetic] > floor.copy ? arithmetic : 'copy';
    const problem = problemText(kernel, made.problem);
    const row = { name: `${kernel.name} ${problem}`, kernel: kernel.name, problem, ms, spread, flops, bytes };
    rows.push({ ...row, share: floor[bound] / ms, bound });
  }
  progress(1, '');
  return { best, report: report('kernels', device, { ...sizes, ...asked, ceilings }, rows) };
};
