// Picks: settings that were measured to be the fastest of what a variant offers, by shape class. resolve() asks them first.
import type { AdapterTraits, AnyKernel, KnobValues, Profile, Settings, Variant } from './kernel.ts';

/** Settings by shape class, for one adapter. */
export type Picks = ReadonlyMap<string, KnobValues>;

/** 8 classes an octave. */
const BITS = 4;

/**
 * n rounded up to 4 significant bits: 17 to 18, 1088 to 1152. The widths of usual models (192, 384, 576, 768, 1024, 1280,
 * 2304, 3072) are classes of their own, because the edges of tiles decide there; what grows with the batch shares a class
 * with what is at most an eighth larger.
 */
export function sizeClass(n: number): number {
  const step = 2 ** Math.max(0, 32 - Math.clz32(n) - BITS);
  return Math.ceil(n / step) * step;
}

/**
 * The key of a pick: kernel, profile, place of the variant in its chain, what options differ from their defaults, and the
 * classes of the sizes that the kernel names: `gemm cpu/0 LAYOUT=1 m=1152 n=768 k=192`.
 */
export function shapeClass(kernel: AnyKernel, profile: Profile, place: number, problem: Settings): string {
  const options = Object.entries(kernel.options).flatMap(([name, standard]) =>
    (problem[name] ?? standard) === standard ? [] : [`${name}=${problem[name]}`],
  );
  const sizes = kernel.sizes.map((name) => `${name}=${sizeClass(problem[name] as number)}`);
  return [kernel.name, `${profile}/${place}`, ...options, ...sizes].join(' ');
}

/**
 * What a variant can be run with for a problem, without repetition: first what `tune` says, then its other candidates.
 * @param problem with the text's knobs and the kernel's options
 */
export function offers(v: Variant, problem: Settings, adapter: AdapterTraits): KnobValues[] {
  const own = v.tune(problem, adapter);
  if (!own) return [];
  const found = new Map<string, KnobValues>();
  for (const candidate of [{}, ...v.candidates(problem, adapter)]) {
    const settings = { ...own, ...candidate };
    const key = knobText(v, problem, settings);
    if (!found.has(key)) found.set(key, settings);
  }
  return [...found.values()];
}

/** The pick for a problem, as far as the variant still offers it there: a table may be old, or of neighbouring sizes. */
export function offered(
  pick: KnobValues,
  v: Variant,
  problem: Settings,
  adapter: AdapterTraits,
): KnobValues | undefined {
  const list = offers(v, problem, adapter);
  const wanted = knobText(v, problem, { ...list[0], ...pick });
  return list.find((settings) => knobText(v, problem, settings) === wanted);
}

/** All knobs of the text as these settings leave them. */
const knobText = (v: Variant, problem: Settings, settings: KnobValues): string =>
  JSON.stringify(Object.keys(v.wgsl.knobs).map((name) => settings[name] ?? problem[name]));
