// `tesserae knn CHECKPOINT`: how often the nearest training images by the frozen features are of the same class. Nothing is trained.
import type { Command } from 'commander';
import picocolors from 'picocolors';
import { real, text, whole } from '../train/flags.ts';
import { columns, examples, type Flags, flagsUnder, globalsOf, openEngine, value } from './command.ts';
import { addEvaluation, evaluationOf, openEvaluation } from './evaluation.ts';
import { imageRate, makeReporter } from './progress.ts';

export function define(command: Command): void {
  addEvaluation(command, 'cls,gap');
  const option = flagsUnder(command, 'Neighbours');
  option('--k <LIST>', 'how many neighbours vote, commas between (default: 20)');
  option('--temperature <X>', 'votes weigh exp(similarity / X) (default: 0.07)');
  command.addHelpText(
    'after',
    `\nSimilarity is the cosine; with --features both, of the two beside one another, each scaled to length 1.\n${examples(
      [
        'tesserae knn runs/quickstart/checkpoint.safetensors --data_path cifar10',
        'in seconds, without training anything',
      ],
      ['tesserae knn runs/quickstart/checkpoint.safetensors --data_path cifar10 --k 1,5,20,100 --split test', ''],
    )}`,
  );
  command.action(run);
}

async function run(path: string, flags: Flags, command: Command): Promise<void> {
  const evaluation = evaluationOf(flags);
  const ks = (value(flags, 'k', text('LIST')) ?? '20').split(',').map((k) => value({ k }, 'k', whole(1)) as number);
  const temperature = value(flags, 'temperature', real({ open: true })) ?? 0.07;
  const reporter = makeReporter();
  try {
    const device = () => openEngine(globalsOf(command), { note: reporter.note });
    const opened = await openEvaluation(device, path, evaluation, reporter);
    using engine = opened.engine;
    const [{ knn }, { chosen }, { effectiveRank }] = await Promise.all([
      import('../evaluate/knn.ts'),
      import('../evaluate/kinds.ts'),
      import('../evaluate/rank.ts'),
    ]);
    const [train] = await opened.train();
    const most = Math.max(...ks);
    if (most >= train.count)
      reporter.note(`--k ${most}: there are ${train.count} training images, and all of them vote; fewer say more`);
    const judged = (await opened.test()) ?? (await opened.val());
    const rows: string[][] = [];
    for (const choice of evaluation.choices) {
      const [bank, queries] = [chosen(train, choice), chosen(judged, choice)];
      const rate = imageRate();
      const progress = (done: number, count: number): void =>
        reporter.fetching(done / count, `neighbours by ${choice}`, rate(done));
      const options = { ks, temperature, classes: opened.classes.length, progress };
      const sets = [bank, queries].map(({ x }, i) => ({ x, labels: [train, judged][i].labels }));
      const found = await knn(engine, sets[0], sets[1], bank.dim, options);
      const rank = await effectiveRank(queries.x, queries.dim);
      for (const [k, top1] of found)
        rows.push([choice, String(k), `${top1.toFixed(2)} %`, `${rank.toFixed(1)} of ${queries.dim}`]);
    }
    reporter.finish();
    const head = ['features', 'k', `${evaluation.test ? 'test' : 'val'} top-1`, 'effective rank'].map((name) =>
      picocolors.dim(name),
    );
    for (const line of columns([head, ...rows], [1, 2, 3])) process.stdout.write(`${line}\n`);
  } finally {
    reporter.finish();
  }
}
