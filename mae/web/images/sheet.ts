// The images that come with the page, out of one lossless picture: of CIFAR-10 the first training images, then the last ones, as
// `--data_path cifar10 --train_images 3072 --heldout 256` takes them.
import { CIFAR10_CLASSES, CIFAR10_STATISTICS } from '../../data/formats/cifar-classes.ts';
import type { Dataset, Sample } from '../../data/dataset.ts';
import type { TrainingData } from '../../train/divided.ts';

export const TRAIN = 3072;
export const HELDOUT = 256;
export const SHEET = { columns: 64, side: 32 } as const;

/** @param sheet (rows, columns) tiles, decoded */
export function fromSheet(sheet: Sample): { train: Dataset; heldout: Dataset } {
  const { side, columns } = SHEET;
  const read = async (at: number): Promise<Sample> => {
    const data = new Uint8Array(3 * side * side);
    const [top, left] = [Math.floor(at / columns) * side, (at % columns) * side];
    for (let y = 0; y < side; y++) {
      const from = 3 * ((top + y) * sheet.width + left);
      data.set(sheet.data.subarray(from, from + 3 * side), 3 * y * side);
    }
    return { data, height: side, width: side, channels: 3, label: -1 };
  };
  const set = (name: string, first: number, length: number): Dataset => ({
    ...{ name, length, classes: CIFAR10_CLASSES, channels: 3, ...CIFAR10_STATISTICS },
    read: (index) => read(first + index),
  });
  return { train: set('cifar10 train', 0, TRAIN), heldout: set('cifar10 heldout', TRAIN, HELDOUT) };
}

/** As `--data_path cifar10 --heldout N` keeps back the last ones: of those that are here. */
export function keptBack({ train, heldout }: { train: Dataset; heldout: Dataset }, count: number): TrainingData {
  const first = heldout.length - count;
  return { train, heldout: { ...heldout, length: count, read: (index) => heldout.read(first + index) } };
}
