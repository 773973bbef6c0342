// Repositories of the Hugging Face hub, by the hub's own library, which is optional: in Node kept in its cache, in browsers read in ranges.
import { fail, TesseraeError } from '../../engine/errors.ts';
import type { ByteSource } from '../../engine/safetensors.ts';
import type { ReadProgress } from '../train/modelfile.ts';
import { blobSource, type Place } from './place.ts';

const PACKAGE = '@huggingface/hub';
/** What the library says where a repository has no such file. */
const ABSENT = /cannot get path info|404|not.?found/i;

type Hub = typeof import('@huggingface/hub');
/** `url` of another hub than huggingface.co. */
interface HubAccess {
  readonly hubUrl?: string;
  readonly accessToken?: string;
  readonly revision?: string;
  readonly progress?: ReadProgress;
  /** For messages, where `id` was perhaps meant as a path. */
  readonly name?: string;
}

const library = async (): Promise<Hub> => {
  // Named by a variable, so that bundlers for pages leave it out: they would pack its files for Node, and fail.
  const name: string = PACKAGE;
  return (import(/* @vite-ignore */ name) as Promise<Hub>).catch(() =>
    fail(
      `the hub's files are fetched by ${PACKAGE}, which is not installed: npm install ${PACKAGE}, or download the files and name the folder`,
    ),
  );
};

/** Every file that is asked for is fetched whole, once: `fetched` gives its path. */
export async function hubPlace(
  id: string,
  access: HubAccess & { readonly cacheDir?: string },
  openFile: (path: string) => Promise<ByteSource & { close(): Promise<void> }>,
): Promise<Place> {
  const { downloadFileToCacheDir } = await library();
  const { progress, name: _, ...where } = access;
  const opened: { close(): Promise<void> }[] = [];
  const open = (path: string): Promise<ByteSource | null> =>
    present(nameOf(id, access), path, async () => {
      const file = await quietly(() =>
        downloadFileToCacheDir({ repo: { type: 'model', name: id }, path, ...where, fetch: watched(path, progress) }),
      );
      const source = await openFile(file);
      opened.push(source);
      return source;
    });
  return {
    name: nameOf(id, access),
    file: null,
    open,
    [Symbol.asyncDispose]: async () => {
      for (const source of opened) await source.close();
    },
  };
}

/** Without a disk: parts of files, as they are read. */
export async function browserHubPlace(id: string, access: HubAccess = {}): Promise<Place> {
  const { downloadFile } = await library();
  const { progress: _, name: __, ...where } = access;
  const open = (path: string): Promise<ByteSource | null> =>
    present(nameOf(id, access), path, async () => {
      const blob = await downloadFile({ repo: { type: 'model', name: id }, path, ...where });
      return blob && blobSource(blob, `${nameOf(id, access)}/${path}`);
    });
  return { name: nameOf(id, access), file: null, open, [Symbol.asyncDispose]: async () => {} };
}

const nameOf = (id: string, { revision, name }: HubAccess): string =>
  name ?? `hf://${id}${revision ? `@${revision}` : ''}`;

/** Null where the repository has no such file. */
async function present<T>(name: string, path: string, work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    const { message, cause } = error as Error & { cause?: { code?: string } };
    if (error instanceof TesseraeError) throw error;
    if (ABSENT.test(message)) return null;
    const reason = cause?.code ?? message.split('\n')[0].slice(0, 150);
    return fail(`${name}: ${path} cannot be fetched (${reason}): check the name and the network`);
  }
}

/** A fetch that tells how much of a large answer has come. */
const watched =
  (what: string, progress: ReadProgress | undefined): typeof fetch =>
  async (input, init) => {
    const response = await fetch(input, init);
    const total = Number(response.headers.get('content-length'));
    if (!progress || !response.body || !(total > LARGE)) return response;
    let done = 0;
    const count = new TransformStream<Uint8Array, Uint8Array>({
      transform(piece, controller) {
        done += piece.length;
        progress(done / total, what);
        controller.enqueue(piece);
      },
    });
    return new Response(response.body.pipeThrough(count), response);
  };
const LARGE = 1 << 20;

/** The library tells the console what it downloads. */
async function quietly<T>(work: () => Promise<T>): Promise<T> {
  const { debug } = console;
  console.debug = () => {};
  try {
    return await work();
  } finally {
    console.debug = debug;
  }
}
