// Files that a visitor gives: a folder that is picked or dropped, with the path of every file in it.
import type { Entry } from './folder.ts';

type Given = readonly (readonly [path: string, file: File])[];

export const pickedFiles = (list: FileList): Given =>
  [...list].map((file) => [file.webkitRelativePath || file.name, file]);

/** What was dropped: a folder's files by their paths, or files. To be called at once in the event's listener. */
export async function droppedFiles({ items }: DataTransfer): Promise<Given> {
  const entries = [...items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const found = await Promise.all(entries.map((entry) => within(entry)));
  return found.flat();
}

async function within(entry: FileSystemEntry): Promise<[string, File][]> {
  if (entry.isFile) {
    const file = await new Promise<File>((done, failed) => (entry as FileSystemFileEntry).file(done, failed));
    return [[entry.fullPath.replace(/^\//, ''), file]];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const all: FileSystemEntry[] = [];
  // A reader gives a hundred at a time.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((done, failed) => reader.readEntries(done, failed));
    if (!some.length) break;
    all.push(...some);
  }
  return (await Promise.all(all.map(within))).flat();
}

export const isCheckpoint = ([path]: Entry): boolean => /\.safetensors$/i.test(path);
export const isImage = ([path]: Entry): boolean => /\.(jpe?g|png|webp)$/i.test(path);
