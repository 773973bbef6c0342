// Grey images for a model of three channels, and colour images for one of a single channel.
import { fail } from '../../engine/errors.ts';
import type { Dataset, Reading, Sample } from './dataset.ts';

/** ITU-R 601-2, in 65536ths: PIL's convert('L'). */
const LUMA = [19595, 38470, 7471] as const;

/** The set with `channels` channels: grey repeated, or colours weighed to their luma. @throws where it has neither one nor three */
export function withChannels(set: Dataset, channels: number): Dataset {
  if (set.channels === channels) return set;
  const way = `${set.channels} to ${channels}`;
  const { read } = set;
  const changed: Reading = async (index) => inChannels(await read(index), channels);
  const same = {
    ...set,
    channels,
    read: read.encoded ? Object.assign(changed, { encoded: retold(read.encoded, channels) }) : changed,
  };
  if (way === '1 to 3') {
    const thrice = (values: readonly number[]): number[] => [values[0], values[0], values[0]];
    return { ...same, mean: thrice(set.mean), std: thrice(set.std) };
  }
  if (way === '3 to 1') {
    // The mean is exact. Channels of photographs rise and fall together, so that their mean deviation is near that of the luma.
    const std = set.std.reduce((sum, x) => sum + x, 0) / 3;
    const [r, g, b] = set.mean;
    return { ...same, mean: [weighed(r, g, b) / 65536], std: [std] };
  }
  return fail(
    `data: ${set.name} has ${set.channels} channels, the model takes ${channels}: give --in_chans ${set.channels}`,
  );
}

const weighed = (r: number, g: number, b: number): number => LUMA[0] * r + LUMA[1] * g + LUMA[2] * b;

const retold = (encoded: NonNullable<Reading['encoded']>, channels: number): NonNullable<Reading['encoded']> => ({
  ...encoded,
  locate: async (index) => ({ ...(await encoded.locate(index)), channels }),
});

/** An image of one or three channels with three or one. */
export function inChannels(sample: Sample, channels: number): Sample {
  const { data } = sample;
  if (sample.channels === channels) return sample;
  if (channels === 3) {
    const rgb = new Uint8Array(3 * data.length);
    for (let i = 0; i < rgb.length; i++) rgb[i] = data[Math.floor(i / 3)];
    return { ...sample, channels, data: rgb };
  }
  const grey = new Uint8Array(data.length / 3);
  for (let i = 0; i < grey.length; i++)
    grey[i] = (weighed(data[3 * i], data[3 * i + 1], data[3 * i + 2]) + 32768) >> 16;
  return { ...sample, channels, data: grey };
}
