// `tesserae data`: which sets have a name here, fetching one of them, and what is in a folder or file of data.
import { join } from 'node:path';
import type { Command } from 'commander';
import picocolors from 'picocolors';
import { type Dataset, IMAGENET_MEAN, type Sample } from '../data/dataset.ts';
import { DATA_PATH_HELP } from '../data/help.ts';
import type { FetchProgress } from '../data/fetch.ts';
import type { Data } from '../data/open.ts';
import { columns, examples, type Flags } from './command.ts';
import { makeReporter } from './progress.ts';

const { bold, dim } = picocolors;

export function define(command: Command): void {
  command
    .option('--check', 'decode every image, and name the damaged ones (1 as exit code, if there are any)')
    .argument('[name]', 'a set to fetch, or a path whose data to describe; without it all names are listed')
    .addHelpText(
      'after',
      `\nA set is fetched once, checked by MD5 and kept in the cache folder; --data_path NAME does that by itself, too.
Elsewhere --data_path takes ${DATA_PATH_HELP}.
NAME#LABEL chooses among labels: cifar100#coarse, or a column of parquet files.
Images of .npy files may have any number of channels. Their values go through training as bytes: 8-bit ones as they are, others mapped from
the range of their channel in the training images, which rounds by at most 1/510 of it.\n${examples(
        ['tesserae data', 'the names, and what is there already'],
        ['tesserae data fashion-mnist', 'fetch and check it'],
        ['tesserae data shards/train-{000..099}.tar', 'how many images, which classes, how large'],
        ['tesserae data photos --check', 'which files are damaged, before a run meets them'],
      )}`,
    )
    .action(run);
}

const say = (line = ''): void => void process.stdout.write(`${line}\n`);

async function run(name: string | undefined, { check }: Flags): Promise<void> {
  if (name === undefined) return list();
  const { openData } = await import('../data/open.ts');
  const reporter = makeReporter();
  try {
    const data = await openData(name, reporter.fetching);
    reporter.finish();
    await describe(name, data);
    if (check) await checkAll(data, reporter.fetching);
  } finally {
    reporter.finish();
  }
}

async function list(): Promise<void> {
  const [{ KNOWN, ELSEWHERE }, { isFetched }, { cacheDir }] = await Promise.all([
    import('../data/known.ts'),
    import('../data/fetch.ts'),
    import('../data/cache.ts'),
  ]);
  const rows = await Promise.all(
    Object.entries(KNOWN).map(async ([name, { images, licence, download, fetched }]) => {
      const state = (await isFetched(fetched)) ? `in ${join(cacheDir(), name)}` : `${download} MB to download`;
      return [bold(name), images, licence, state];
    }),
  );
  say(`Fetched by name, by ${bold('tesserae data NAME')} or ${bold('--data_path NAME')}:`);
  for (const line of columns([['', 'images', 'licence', ''].map((head) => dim(head)), ...rows])) say(`  ${line}`);
  say('\nTo be had elsewhere:');
  const others = Object.entries(ELSEWHERE).map(([name, { images, licence }]) => [name, images, licence]);
  for (const [i, line] of columns(others).entries()) {
    say(`  ${line}`);
    say(dim(`      ${Object.values(ELSEWHERE)[i].where}`));
  }
  say(`\nEvery command's ${bold('--data_path')} takes ${DATA_PATH_HELP}.`);
}

async function describe(path: string, data: Data): Promise<void> {
  const { train, heldout } = data;
  const three = (values: readonly number[]): string => values.map((value) => value.toFixed(4)).join(', ');
  const { sample, damaged } = await firstGood(train);
  const size = sample
    ? `${sample.height} x ${sample.width}, ${train.channels} ${train.channels === 1 ? 'channel' : 'channels'}`
    : 'none of the first ones can be read';
  const kept = `none of its own${train.classes ? ': the commands that judge keep back a tenth of the training images' : ''}`;
  const rows = [
    ['training images', String(train.length)],
    ['validation images', heldout ? String(heldout.length) : kept],
    ['test images', data.test ? String(data.test.length) : 'none'],
    ['first image', size],
    ['classes', classesText(train)],
    ['normalised by', `mean ${three(train.mean)}`],
    ['', `deviation ${three(train.std)}`],
    ...(String(train.mean) === String(IMAGENET_MEAN)
      ? [['', "ImageNet's, as the reference does: not measured here"]]
      : []),
  ];
  say(bold(path));
  for (const line of columns(rows.map(([name, text]) => [`  ${dim(name)}`, text]))) say(line);
  const { remarksOf } = await import('../data/open.ts');
  const others = [heldout, data.test].filter((set) => set && String(set.classes) !== String(train.classes));
  const lines = others.map((set) => `${set?.name} has other classes than ${train.name}: what judges refuses that`);
  for (const line of [...damaged, ...remarksOf(data), ...lines]) say(line);
}

/** Reads every image of all splits. */
async function checkAll({ train, heldout, test }: Data, progress: FetchProgress): Promise<void> {
  const { damagedOf } = await import('../data/damage.ts');
  let [count, bad] = [0, 0];
  for (const set of [train, heldout, test]) {
    if (!set) continue;
    const found = await damagedOf(set, (done) => progress(done / set.length, `decoding ${set.name}`));
    for (const { path, why } of found) say(`${path}: ${why}`);
    [count, bad] = [count + set.length, bad + found.length];
  }
  const most = 'training ends where more than 5 % are';
  say(bad ? `${bad} of ${count} images are damaged (${most})` : `all ${count} images can be read`);
  if (bad) process.exitCode = 1;
}

/** So many are tried where the first ones are damaged. */
const TRIED = 10;

async function firstGood(set: Dataset): Promise<{ sample: Sample | null; damaged: string[] }> {
  const { DamagedImage } = await import('../data/damage.ts');
  const damaged: string[] = [];
  for (let index = 0; index < Math.min(TRIED, set.length); index++) {
    try {
      return { sample: await set.read(index), damaged };
    } catch (error) {
      if (!(error instanceof DamagedImage)) throw error;
      damaged.push(`${error.path} is damaged (${error.why}): training takes another in its place`);
    }
  }
  return { sample: null, damaged };
}

const MOST_CLASSES = 12;

/** `3: cat 120, dog 80, horse 7`, with counts where labels are known without reading images. */
function classesText({ classes, label, length }: Dataset): string {
  if (!classes) return 'unlabelled';
  const counts = new Array<number>(classes.length).fill(0);
  if (label) for (let index = 0; index < length; index++) counts[label(index)]++;
  const named = classes.map((name, i) => (label ? `${name} ${counts[i]}` : name));
  if (classes.length <= MOST_CLASSES) return `${classes.length}: ${named.join(', ')}`;
  const spread = label ? ` (from ${Math.min(...counts)} to ${Math.max(...counts)} images each)` : '';
  return `${classes.length}: ${named.slice(0, MOST_CLASSES - 2).join(', ')}, …${spread}`;
}
