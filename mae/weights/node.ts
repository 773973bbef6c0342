// Places on this machine: files and folders by their path, addresses, and names of the Hugging Face hub.
import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fail } from '../../engine/errors.ts';
import { type FileSource, openSafetensorsFile } from '../../engine/node/opened.ts';
import type { ReadProgress } from '../train/modelfile.ts';
import { httpPlace, isAddress } from './http.ts';
import { type EncoderCheckpoint, ownFile, readAny, readEncoder } from './own.ts';
import type { Loaded } from './loaded.ts';
import type { Place } from './place.ts';
import { kindOf } from './read.ts';
import type { ReadOptions } from './take.ts';

/** `hf://OWNER/NAME`, or OWNER/NAME where there is no such file; `@REVISION` may follow. */
const HUB_NAME = /^(?:hf:\/\/)?([\w.-]+\/[\w.-]+?)(?:@([\w./-]+))?$/;

const WANTED = 'name a checkpoint or other weights: a file, a folder, an address, OWNER/NAME of the hub';

/** Opens what a user named: a file, a folder, an address, or a repository of the hub (HF_ENDPOINT, HF_TOKEN and HF_HUB_CACHE hold). */
export async function openPlace(text: string, progress?: ReadProgress): Promise<Place> {
  if (isAddress(text)) return httpPlace(text);
  const found = text.startsWith('hf://') ? null : await stat(text).catch(() => null);
  const [, id, revision] = HUB_NAME.exec(text) ?? [];
  if (!found && id && (text.startsWith('hf://') || !/\.(safetensors|pth|pt|bin|json)$/.test(text))) {
    const { hubPlace } = await import('./hub.ts');
    const name = text.startsWith('hf://') ? text : `${text} (no such file or folder here; hf://${id} of the hub)`;
    const { HF_ENDPOINT: hubUrl, HF_TOKEN: accessToken, HF_HUB_CACHE: cacheDir } = process.env;
    return hubPlace(id, { hubUrl, accessToken, cacheDir, revision, progress, name }, openSafetensorsFile);
  }
  return diskPlace(text, found?.isDirectory() ? null : basename(text));
}

/** A folder, or a file in one (`file`, a name). */
async function diskPlace(path: string, file: string | null): Promise<Place> {
  const folder = file === null ? path : dirname(path);
  const opened = new Map<string, FileSource>();
  const open = async (name: string): Promise<FileSource | null> => {
    const known = opened.get(name);
    if (known) return known;
    if (!(await stat(join(folder, name)).catch(() => null))?.isFile()) return null;
    const source = await openSafetensorsFile(join(folder, name));
    opened.set(name, source);
    return source;
  };
  const named = file === null ? null : await openSafetensorsFile(path, WANTED);
  return {
    name: path,
    file: named,
    open,
    async [Symbol.asyncDispose]() {
      for (const source of [named, ...opened.values()]) await source?.close();
    },
  };
}

/** Whatever a file, folder, address or repository holds: an autoencoder, an encoder or a classifier, of any format. */
export async function loadWeights(path: string, options: ReadOptions = {}): Promise<Loaded> {
  await using place = await openPlace(path, options.progress);
  return await readAny(place, options);
}

/** Which of the three it is, without reading its weights. */
export async function kindAt(path: string): Promise<Loaded['kind']> {
  await using place = await openPlace(path);
  const task = (await ownFile(place))?.task;
  if (!task) return await kindOf(place);
  return task === 'pretrain' ? 'autoencoder' : task === 'classify' ? 'classifier' : 'encoder';
}

/** The encoder of whatever it holds. `demandNorm` refuses one without the norm that its features come out of. */
export async function loadEncoder(
  path: string,
  { demandNorm = false, ...options }: Omit<ReadOptions, 'only'> & { readonly demandNorm?: boolean } = {},
): Promise<EncoderCheckpoint> {
  await using place = await openPlace(path, options.progress);
  const loaded = await readEncoder(place, options);
  if (demandNorm && !loaded.weights.has('norm.weight')) {
    fail(
      `load: ${path} holds an encoder without its final norm, as fine-tuning by the mean over patches leaves it: its features are not those of pretraining; give the pretrained one`,
    );
  }
  return loaded;
}
