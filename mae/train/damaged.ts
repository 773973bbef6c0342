// Damaged images of a run: each is noted once, by its path and what is wrong with it.
import { DamageLedger } from '../data/damage.ts';
import type { RunJournal } from './setup.ts';

/** So many are told of as they come. */
const TOLD = 10;

/** The ledger of a run over so many images, whose folder is as it was saved. */
export async function openLedger(
  journal: Pick<RunJournal, 'damage' | 'damaged'>,
  images: number,
  note: (line: string) => void,
): Promise<DamageLedger> {
  const { known, where } = await journal.damage();
  const ledger = new DamageLedger(images, known, where, async ({ path, why }) => {
    if (ledger.paths <= TOLD) note(`${path} is damaged (${why}): another image stands in for it`);
    if (ledger.paths === TOLD) note(`more damaged images are listed in ${where} only`);
    await journal.damaged(path, why);
  });
  return ledger;
}
