// Damaged images in a run's output folder: damaged.txt has a line for each, its path and what is wrong with it.
import { readFile } from 'node:fs/promises';
import { DamageLedger } from '../data/damage.ts';
import type { Journal } from './journal.ts';

/** So many are told of as they come. */
const TOLD = 10;

/** The ledger of a run over so many images, whose folder is as it was saved. */
export async function openLedger(
  journal: Pick<Journal, 'path' | 'damaged'>,
  images: number,
  note: (line: string) => void,
): Promise<DamageLedger> {
  const file = journal.path('damaged.txt');
  const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n').filter(Boolean);
  const known = lines.map((line) => line.split('\t')[0]);
  const ledger = new DamageLedger(images, known, async ({ path, why }) => {
    if (ledger.paths <= TOLD) note(`${path} is damaged (${why}): another image stands in for it`);
    if (ledger.paths === TOLD) note(`more damaged images are listed in ${file} only`);
    await journal.damaged(`${path}\t${why}`);
  });
  return ledger;
}
