// Mean and standard deviation of a set's channels, for sets that bring no well-known ones: what images are normalised with.
import { DamagedImage } from '../damage.ts';
import type { Dataset, Sample } from '../dataset.ts';

/** Images looked at. The mean of so many is within a few thousandths of that of all. */
const LOOKED_AT = 512;

/** Below this a channel is taken to be constant: it is not scaled up to noise. */
const LEAST_STD = 1e-3;

/** Per channel, of bytes as values in [0, 1], over at most so many images, taken evenly from the whole set: the same at every opening. */
export async function channelStatistics(
  set: Pick<Dataset, 'length' | 'channels' | 'read'>,
  most = LOOKED_AT,
): Promise<{ mean: number[]; std: number[] }> {
  const counts = Array.from({ length: set.channels }, () => new Float64Array(256));
  const images = Math.min(most, set.length);
  for (let k = 0; k < images; k++) {
    const sample = await readable(set.read(Math.floor((k * set.length) / images)));
    if (!sample) continue;
    const { data, channels } = sample;
    for (let i = 0; i < data.length; i++) counts[i % channels][data[i]]++;
  }
  const moments = counts.map((histogram) => {
    let [n, sum, squares] = [0, 0, 0];
    for (let value = 0; value < 256; value++) {
      n += histogram[value];
      sum += histogram[value] * (value / 255);
      squares += histogram[value] * (value / 255) ** 2;
    }
    const mean = n ? sum / n : 0;
    const std = Math.sqrt(Math.max(0, n ? squares / n - mean ** 2 : 0));
    return { mean, std: std < LEAST_STD ? 1 : std };
  });
  return { mean: moments.map((m) => m.mean), std: moments.map((m) => m.std) };
}

/** null for a damaged image: whoever uses it will say so. */
const readable = (read: Promise<Sample>): Promise<Sample | null> =>
  read.catch((error: unknown) => {
    if (error instanceof DamagedImage) return null;
    throw error;
  });
