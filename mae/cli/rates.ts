// Rates of adapters, kept in the cache folder: measured once, for forecasts of time.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { checksum } from '../../engine/checksum.ts';
import type { Device } from '../../engine/device.ts';
import type { Engine } from '../../engine/engine.ts';
import { makeFolder, writeFileAtomic } from '../../engine/node/files.ts';
import type { Rates } from '../../engine/pace.ts';
import type { Precision } from '../../engine/trace.ts';
import { cacheDir } from '../data/cache.ts';
import { VERSION } from '../version.ts';
import { loadBench } from './benchreport.ts';

export type Progress = (done: number, what: string) => void;

/** What bench/rates.ts exports. */
export interface RatesBench {
  measureRates(device: Device, precision: Precision, kinds: readonly string[], progress: Progress): Promise<Rates>;
}

export interface KeptRates extends Rates {
  /** Adapter, kernels and version that they hold for. */
  readonly of: string;
  /** ISO 8601. */
  readonly date: string;
}

const rate = z.number().positive();
const SCHEMA: z.ZodType<KeptRates> = z.object({
  of: z.string(),
  date: z.string(),
  best: z.object({ copy: rate, fma: rate, matrix: z.number().nonnegative() }),
  overhead: z.number().nonnegative(),
  shares: z.record(z.string(), rate),
});

const whatOf = ({ device, precision }: Engine): string =>
  `${device.adapter.id}, profile ${device.traits.profile}, ${precision}, version ${VERSION}`;

const pathOf = (of: string): string => {
  const readable = of.replace(/[^a-z0-9.]+/gi, '-').slice(0, 100);
  return join(cacheDir(), 'rates', `${readable}-${checksum(Buffer.from(of))}.json`);
};

/** Those that were measured before; null where there are none, or the file is damaged: they are measured anew. */
async function kept(of: string): Promise<KeptRates | null> {
  const text = await readFile(pathOf(of), 'utf8').catch(() => null);
  if (text === null) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const { data } = SCHEMA.safeParse(value);
  return data?.of === of ? data : null;
}

/**
 * Rates of the engine's adapter and precision for these kinds of call.
 * @param how known: those of before, or null, nothing runs; auto: measured where there are none; again: measured
 */
export async function ratesFor(
  engine: Engine,
  kinds: readonly string[],
  how: 'known' | 'auto' | 'again',
  { note, progress }: { note: (line: string) => void; progress: Progress },
): Promise<KeptRates | null> {
  const of = whatOf(engine);
  const before = how === 'again' ? null : await kept(of);
  // Kinds that are not among them are taken for usual ones.
  if (how === 'known' || (before && kinds.every((kind) => kind in before.shares))) return before;
  const { measureRates } = await loadBench<RatesBench>('rates');
  const all = [...new Set([...kinds, ...Object.keys(before?.shares ?? {})])];
  const rates = await measureRates(engine.device, engine.precision, all, progress);
  const made: KeptRates = { of, date: new Date().toISOString(), ...rates };
  try {
    await makeFolder(join(cacheDir(), 'rates'), 'rates');
    await writeFileAtomic(pathOf(of), `${JSON.stringify(made, null, 1)}\n`);
  } catch (error) {
    note(`the rates of this adapter cannot be kept, they are measured again next time: ${(error as Error).message}`);
  }
  return made;
}
