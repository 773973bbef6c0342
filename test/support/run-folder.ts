// A run's folder with logs, facts and pictures of a run that was never trained, for tests of what shows runs.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunFacts } from '../../mae/train/facts.ts';
import { encodePng } from '../../mae/pictures/png.ts';
import { blank } from '../../mae/render/picture.ts';

export const FACTS: RunFacts = {
  command: 'pretrain',
  tesserae: '9.9.9',
  node: 'v20',
  adapter: 'card <b>',
  profile: 'simt',
  precision: 'f32',
  began: '2026-01-01T00:00:00.000Z',
  images: 640,
  stepsPerEpoch: 10,
  parameters: 1_230_000,
  options: { epochs: 3, batch_size: 64, accum_iter: 1, input_size: [32, 48], data_path: '<script>alert(1)</script>' },
  step: {
    kernels: [
      { kernel: 'gemm', calls: 5, ms: 30, flops: 6e9, bytes: 3e8 },
      { kernel: 'adamw.update', calls: 1, ms: 10, flops: 0, bytes: 1e8 },
    ],
    byWaiting: false,
    gpuBytes: 3 * 2 ** 20,
  },
};

export const jsonLines = (lines: readonly object[]): string =>
  lines.map((line) => `${JSON.stringify(line)}\n`).join('');

interface RunShape {
  readonly facts?: Partial<RunFacts>;
  /** Of three; 10 steps each. */
  readonly epochs?: number;
  /** Every loss is multiplied by it. */
  readonly factor?: number;
  readonly pictures?: number;
}

/** metrics.jsonl of so many epochs. */
export function metricsOf(epochs: number, factor = 1): Record<string, number>[] {
  const lines: Record<string, number>[] = [{ step: 0, epoch: 0, heldout_loss: 1.75 * factor }];
  for (let step = 1; step <= 10 * epochs; step++) {
    lines.push({ step, epoch: Math.floor((step - 1) / 10), loss: factor / step, lr: step / 1e4, images_per_s: 80 });
    if (step % 10 === 0)
      lines.push({ step, epoch: step / 10, heldout_loss: factor * (0.5 + 1 / step), knn_top1: 30 + step });
  }
  return lines;
}

export async function writeRun(
  path: string,
  { facts, epochs = 3, factor = 1, pictures = 3 }: RunShape = {},
): Promise<void> {
  mkdirSync(join(path, 'pictures'), { recursive: true });
  writeFileSync(join(path, 'run.json'), JSON.stringify({ ...FACTS, ...facts }));
  writeFileSync(join(path, 'metrics.jsonl'), jsonLines(metricsOf(epochs, factor)));
  const log = Array.from({ length: epochs }, (_, epoch) => ({
    epoch,
    train_loss: factor * (0.3 - epoch / 10),
    train_lr: 1e-3,
    heldout_loss: factor * (0.5 + 1 / (10 * epoch + 10)),
  }));
  writeFileSync(join(path, 'log.txt'), jsonLines(log));
  const tile = await encodePng(blank(8, 24, [9, 99, 199]));
  const moments = Array.from({ length: pictures }, (_, i) => `epoch-${String(i).padStart(4, '0')}`);
  for (const name of pictures ? ['original', 'masked', ...moments] : [])
    writeFileSync(join(path, 'pictures', `${name}.png`), tile);
}
