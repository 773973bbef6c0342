// A visitor's picture as the model sees it: its centre, resized by the rules of the training data.
import { normalizeTable } from '../../../kernels/augment/augment.ts';
import { bitmaps, type MaeConfig, type Sample, type View } from '../../browser.ts';
import { resizeBytes } from '../../data/resize.ts';
import { centreBox } from '../../data/sampler.ts';

/** A file that was picked, dropped, pasted or fetched. @throws DamagedImage, which names it, where it is no picture */
export const decode = (file: Blob): Promise<Sample> => bitmaps([file], { name: 'pictures' }).read(0);

/** (C, H, W), normalised: the pixels that `tesserae reconstruct` gives the model, bit for bit. */
export function modelInput(sample: Sample, { config, mean, std }: View): Float32Array {
  const bytes = resizeBytes(cut(sample, config), size(config));
  const table = normalizeTable(mean, std);
  const area = config.img_size[0] * config.img_size[1];
  return Float32Array.from({ length: 3 * area }, (_, i) => {
    const c = Math.floor(i / area);
    return table[256 * c + bytes[3 * (i % area) + c]];
  });
}

const size = ({ img_size }: MaeConfig) => ({ height: img_size[0], width: img_size[1] });

/** The largest part around the centre that has the model's ratio. */
function cut({ data, height, width, channels }: Sample, config: MaeConfig): Sample {
  const box = centreBox({ height, width }, size(config));
  const row = box.width * channels;
  const out = new Uint8Array(box.height * row);
  for (let y = 0; y < box.height; y++) {
    const from = ((box.top + y) * width + box.left) * channels;
    out.set(data.subarray(from, from + row), y * row);
  }
  return { data: out, height: box.height, width: box.width, channels, label: -1 };
}
