// How benchmarks that come as train and test, in random order, are divided: the last training images are kept back for choosing.
import { type Dataset, part } from '../dataset.ts';
import type { Data } from '../open.ts';

/** Training images kept back: the last ones, so that a run can tell what it learned on images that it never saw. */
const HELDOUT = 2000;

/** `heldout`: how many of the last training images are kept back; 2,000 unless said, of small sets a fifth. */
export function benchmarkSplit(
  train: Dataset,
  test: Dataset | null,
  heldout = Math.min(HELDOUT, Math.floor(train.length / 5)),
): Data {
  const kept = Math.max(0, train.length - heldout);
  const name = train.name.replace(/ train$/, '');
  return {
    train: part(train, 0, kept),
    heldout: { ...part(train, kept, train.length - kept), name: `${name} heldout` },
    test,
  };
}
