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
  ['EEXIST', 'a file stands where a folder is needed: choose another'],
  ['ENOTDIR', 'a file stands where a folder is needed: choose another'],
  ['EMFILE', 'raise the limit of open files (ulimit -n)'],
  ['ENFILE', 'close other programs: the whole system has too many files open'],
  ['ENAMETOOLONG', 'choose a shorter name'],
]);

/** Node has no text for it. */
const UNLISTED = ['EDQUOT', 'disk quota exceeded'] as const;

/** What else a message may say. */
interface Besides {
  /** Of what was needed and what is free, ` (needs 450 MB, 12 MB free)`. */
  readonly space?: string;
  /** What to do where nothing has that path: what was wanted there. */
  readonly absent?: string;
  /** How it ended. */
  readonly outcome?: string;
}

/** `Reason (space): remedy; outcome`; the message of what is no system error. */
export function reasonOf(error: unknown, { space = '', absent, outcome }: Besides = {}): string {
  const code = codeOf(error) ?? '';
  const known = [...getSystemErrorMap().values(), UNLISTED].find(([name]) => name === code);
  const reason = known ? known[1].replace(/^(i\/o|.)/, (start) => start.toUpperCase()) : (error as Error).message;
  const remedy = [(code === 'ENOENT' && absent) || REMEDIES.get(code), outcome].filter(Boolean).join('; ');
  return `${reason}${space}${remedy && `: ${remedy}`}`;
}

/** Whether the system refused something; ERR_OUT_OF_RANGE and the like are none of its. */
export const isOfSystem = (error: unknown): error is NodeJS.ErrnoException =>
  !(error instanceof FileError) && /^E[A-Z0-9]+$/.test(codeOf(error) ?? '');

/** `VERB: PATH: Reason (space): remedy; outcome`. What is no system error stays as it is. */
export const fileError = (verb: string, path: string, error: unknown, besides: Besides = {}): unknown =>
  isOfSystem(error)
    ? new FileError(`${verb}: ${path}: ${reasonOf(error, besides)}`, codeOf(error) as string, error)
    : error;

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
