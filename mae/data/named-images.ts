// What someone names to be looked at: image files, folders of them, and sets that have a name, as one set for a model.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fail } from '../../engine/errors.ts';
import { misuse } from '../usage.ts';
import { withChannels } from './channels.ts';
import { type Dataset, evenly } from './dataset.ts';
import type { FetchProgress } from './fetch.ts';
import { imageFiles } from './imagefolder.ts';
import { KNOWN } from './known.ts';
import { openData } from './open.ts';

interface NamedImages {
  readonly channels: number;
  /** What the model normalises with. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** Of a folder or set, evenly taken, so many at most; files that are named are all taken. */
  readonly most: number;
  readonly progress: FetchProgress;
}

/**
 * Every image has a title. Files that are named are decoded at once, so that a wrong one is told before anything else is done.
 * `files`: their paths; they come first.
 */
export async function namedImages(
  names: readonly string[],
  options: NamedImages,
): Promise<Dataset & { readonly files: readonly string[] }> {
  const { channels, mean, std, most, progress } = options;
  const files: string[] = [];
  const sets: Dataset[] = [];
  for (const name of names) {
    const found = await stat(name).catch(() => null);
    if (found?.isDirectory() || (!found && Object.hasOwn(KNOWN, name.split('#')[0]))) {
      const { train, heldout, test } = await openData(name, progress);
      const set = titled(test ?? heldout ?? train, names.length > 1 ? name : '');
      sets.push(withChannels(set.length > most ? evenly(set, most) : set, channels));
    } else if (found) files.push(name);
    else misuse(`${name} is no file, no folder and no set that has a name (tesserae data lists those)`);
  }
  if (files.length) sets.unshift(await imageFiles(files, { channels, mean, std }));
  return { ...joined(sets), mean, std, files };
}

function joined(sets: readonly Dataset[]): Dataset {
  const places = sets.flatMap((set) => Array.from({ length: set.length }, (_, index) => ({ set, index })));
  const at = (i: number): { set: Dataset; index: number } => places[i] ?? fail(`images: there is no number ${i}`);
  return {
    ...sets[0],
    name: sets.map(({ name }) => name).join(', '),
    length: places.length,
    classes: null,
    read: (i) => at(i).set.read(at(i).index),
    label: undefined,
    id: undefined,
    title: (i) => at(i).set.title?.(at(i).index) ?? String(i),
  };
}

/** Where images have no names, their numbers, with their classes; `within`: what tells them from those of another folder or set. */
function titled(set: Dataset, within: string): Dataset {
  const { classes, label } = set;
  const numbered = (index: number): string => {
    const of = classes?.[label?.(index) ?? -1];
    return `${index}${of ? ` ${of}` : ''}`;
  };
  const title = set.title ?? numbered;
  return { ...set, title: (index) => join(within, title(index)) };
}
