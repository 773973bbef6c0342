// Pieces of 50 real photographs (test/oracle/photographs.py), as bytes or as a folder of PNG files by class; and the answers of oracles.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadSharp } from '../../mae/data/sharp.ts';

interface Piece {
  /** One of ten kinds of clothes. */
  readonly kind: string;
  readonly width: number;
  readonly height: number;
  /** (height, width, 3) */
  readonly rgb: Uint8Array;
}

export const fixture = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../oracle/fixtures/${name}`, import.meta.url), 'utf8')) as T;

export const unpacked = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));

/** As the oracles' digest. */
export const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex').slice(0, 16);

export const photographs = (): Piece[] =>
  fixture<(Omit<Piece, 'rgb'> & { rgb: string })[]>('photographs.json').map((p) => ({ ...p, rgb: unpacked(p.rgb) }));

/** Writes one of them as a PNG file. */
export const writePhotograph = (which: number, path: string): Promise<void> => write(photographs()[which], path);

async function write({ rgb, width, height }: Piece, path: string): Promise<void> {
  const sharp = await loadSharp();
  await sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(path);
}

/** Writes `folder`/SPLIT/KIND/N.png: of every kind so many as `counts` says (five in all). */
export async function writePhotographs(
  folder: string,
  counts: Readonly<Record<string, number>>,
  kinds?: readonly string[],
): Promise<void> {
  const all = photographs();
  for (const kind of kinds ?? new Set(all.map((p) => p.kind))) {
    const own = all.filter((p) => p.kind === kind);
    for (const [split, count] of Object.entries(counts)) {
      mkdirSync(join(folder, split, kind), { recursive: true });
      for (const [i, piece] of own.splice(0, count).entries())
        await write(piece, join(folder, split, kind, `${i}.png`));
    }
  }
}
