// Linear probes at several learning rates, of which the validation images choose one; the test images see that one alone.
import type { Engine } from '../../engine/engine.ts';
import type { Features } from './features.ts';
import { type Choice, chosen } from './kinds.ts';
import { LinearProbe, type ProbeHead, type ProbeOptions } from './linprobe.ts';
import type { Metrics } from './metrics.ts';

interface Probed {
  readonly features: Choice;
  readonly blr: number;
  readonly val: Pick<Metrics, 'top1' | 'top5' | 'loss'>;
  /** Of the chosen rate, where a test set was given. */
  readonly test: Metrics | null;
  readonly best: boolean;
}

interface SweepOptions extends Omit<ProbeOptions, 'blr' | 'progress'> {
  readonly blrs: readonly number[];
  readonly choice: Choice;
  readonly progress?: (fraction: number, what: string, how: string) => void;
}

/** `views`: features of the training images, one set a view. @returns a row a rate, and the head of the best */
export async function sweep(
  engine: Engine,
  { views, val, test }: { views: readonly Features[]; val: Features; test: Features | null },
  { blrs, choice, progress, ...options }: SweepOptions,
): Promise<{ rows: Probed[]; head: ProbeHead }> {
  const { dim } = chosen(val, choice);
  const banks = views.map((view) => chosen(view, choice).x);
  const held = { x: chosen(val, choice).x, labels: val.labels };
  const found: { blr: number; val: Metrics; probe: LinearProbe }[] = [];
  for (const [i, blr] of blrs.entries()) {
    const probe = new LinearProbe(engine, dim, options.classes, options.seed);
    const told = (epoch: number, epochs: number): void =>
      progress?.((i + epoch / epochs) / blrs.length, `linear probe of ${choice}`, `blr ${blr}`);
    await probe.train(banks, views[0].labels, { ...options, blr, progress: told });
    found.push({ blr, val: await probe.evaluate(held), probe });
  }
  const best = found.reduce((a, b) => (b.val.top1 > a.val.top1 ? b : a));
  const judged = test && (await best.probe.evaluate({ x: chosen(test, choice).x, labels: test.labels }));
  const rows = found.map(({ blr, val: { top1, top5, loss }, probe }) => ({
    features: choice,
    blr,
    val: { top1, top5, loss },
    test: probe === best.probe ? judged : null,
    best: probe === best.probe,
  }));
  return { rows, head: await best.probe.read() };
}
