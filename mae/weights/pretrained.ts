// Models from weights, wherever these are: a folder or file by its path (in Node), an address, a File or Blob, a repository of the hub.
import type { Engine } from '../../engine/engine.ts';
import { fail } from '../../engine/errors.ts';
import { kindOf } from '../../engine/tensor.ts';
import { Classifier } from '../model/classifier.ts';
import { VisionEncoder } from '../model/encoder.ts';
import { MaskedAutoencoder } from '../model/model.ts';
import { browserHubPlace } from './hub.ts';
import { httpPlace, isAddress } from './http.ts';
import type { Loaded, LoadedAutoencoder, LoadedClassifier, LoadedEncoder } from './loaded.ts';
import { readAny } from './own.ts';
import { blobPlace, bytesPlace, type Place } from './place.ts';
import type { ReadOptions } from './take.ts';

/** A path (in Node), an address, `OWNER/NAME` of the hub, a File or Blob, the bytes of a file, or the Files of a folder. */
export type Where = string | URL | Blob | Uint8Array | ArrayBuffer | readonly Blob[];

/** What `only: 'encoder'` gives, whatever the file holds. */
export type PretrainedEncoder = LoadedEncoder & { readonly model: VisionEncoder };

/** What a file held, with its model on a device. */
export type Pretrained =
  | (LoadedAutoencoder & { readonly model: MaskedAutoencoder })
  | PretrainedEncoder
  | (LoadedClassifier & { readonly model: Classifier });

/**
 * A model with its weights on the engine's device, of any format that mae/weights/README.md names. `kind` tells which of the three it is,
 * `report` what was missing or left out; `only: 'encoder'` leaves decoder and head where they are.
 * @throws TesseraeError where the weights are damaged, hostile or of another architecture
 */
export async function fromPretrained(
  engine: Engine,
  where: Where,
  options: ReadOptions & { readonly only: 'encoder' },
): Promise<PretrainedEncoder>;
/** The same of whatever the file holds. */
export async function fromPretrained(engine: Engine, where: Where, options?: ReadOptions): Promise<Pretrained>;
export async function fromPretrained(engine: Engine, where: Where, options: ReadOptions = {}): Promise<Pretrained> {
  const loaded = await loadPretrained(where, options);
  const { weights } = loaded;
  if (loaded.kind === 'autoencoder') return { ...loaded, model: new MaskedAutoencoder(engine, loaded.config, weights) };
  if (loaded.kind === 'classifier') return { ...loaded, model: new Classifier(engine, loaded.config, weights) };
  if (!weights.has('norm.weight'))
    fail(
      `fromPretrained: ${loaded.name} is an encoder without its final norm, as fine-tuning leaves it: give the pretrained one, or leave only: 'encoder' out for its classifier`,
    );
  return { ...loaded, model: new VisionEncoder(engine, loaded.config, weights) };
}

/** The same without a device: sizes and values. */
export async function loadPretrained(where: Where, options: ReadOptions = {}): Promise<Loaded> {
  await using place = await placeOf(where);
  return await readAny(place, options);
}

/** What node.ts exports of it. */
interface ByPath {
  openPlace(path: string): Promise<Place>;
}

async function placeOf(where: Where): Promise<Place> {
  if (where instanceof URL) return httpPlace(where);
  if (where instanceof Uint8Array || where instanceof ArrayBuffer) return bytesPlace(where);
  if (where instanceof Blob || Array.isArray(where)) return blobPlace(where);
  if (typeof where !== 'string')
    fail(`weights: give a path, an address, a Blob, bytes or the Files of a folder, got ${kindOf(where)}`);
  if (isAddress(where)) return httpPlace(where);
  const inNode = Boolean(globalThis.process?.versions?.node);
  if (!inNode) return browserHubPlace(where.replace(/^hf:\/\//, ''));
  // Named by a variable, so that nobody packs it for browsers.
  const node = './node.ts';
  return ((await import(/* @vite-ignore */ node)) as ByPath).openPlace(where);
}
