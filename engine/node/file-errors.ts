// What the file system refused, in words: which file, why, and what to do.
import { statfs } from 'node:fs/promises';
import { getSystemErrorMap } from 'node:util';
import { TesseraeError } from '../errors.ts';

/** The file system refused; `code` is its errno name, `ENOSPC` and the like. */
export class FileError extends TesseraeError {
  readonly code: string;
  constructor(message: string, code: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

export const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | null)?.code;

const REMEDIES: ReadonlyMap<string, string> = new Map([
  ['ENOSPC', 'free some space or choose another folder'],
  ['EDQUOT', 'free some of your quota or choose another folder'],
  ['EFBIG', 'raise the file size limit (ulimit -f) or choose another folder'],
  ['EIO', 'check the disk, or choose another'],
  ['EACCES', 'check the permissions, or choose another folder'],
  ['EPERM', 'check the permissions, or choose another folder'],
  ['EROFS', 'choose a folder that can be written to'],
  ['EISDIR', 'a folder has that name: choose another'],
  ['ENOENT', 'check the path'],
  ['ENOTDIR', 'a file stands where a folder is needed: choose another'],
  ['EMFILE', 'raise the limit of open files (ulimit -n)'],
  ['ENFILE', 'close other programs: the whole system has too many files open'],
  ['ENAMETOOLONG', 'choose a shorter name'],
]);

/** Node has no text for it. */
const UNLISTED = ['EDQUOT', 'disk quota exceeded'] as const;

/** `VERB: PATH: Reason (space): remedy; outcome`. What is no system error (ERR_OUT_OF_RANGE is none) stays as it is. */
export function fileError(verb: string, path: string, error: unknown, space = '', outcome = ''): unknown {
  const code = codeOf(error);
  if (error instanceof FileError || code === undefined || !/^E[A-Z0-9]+$/.test(code)) return error;
  const known = [...getSystemErrorMap().values(), UNLISTED].find(([name]) => name === code);
  const reason = known ? known[1].replace(/^(i\/o|.)/, (start) => start.toUpperCase()) : (error as Error).message;
  const remedy = [REMEDIES.get(code), outcome].filter(Boolean).join('; ');
  return new FileError(`${verb}: ${path}: ${reason}${space}${remedy && `: ${remedy}`}`, code, error);
}

/** What was needed and what is free, where that is what was lacking. */
export async function spaceText(error: unknown, bytes: number, folder: string): Promise<string> {
  if (codeOf(error) !== 'ENOSPC' && codeOf(error) !== 'EDQUOT') return '';
  const megabytes = (count: number) => `${Math.ceil(count / 1e5) / 10} MB`;
  const free = await statfs(folder).then(
    ({ bavail, bsize }) => `, ${megabytes(bavail * bsize)} free`,
    () => '',
  );
  return ` (needs ${megabytes(bytes)}${free})`;
}
