// Images of a run through time, by the addresses at which the server has them.
import type { PictureFile } from '../../dashboard/wire.ts';
import { Gallery } from '../parts/gallery.ts';
import type { LiveRun } from './live-run.ts';

const FIXED: Readonly<Record<string, string>> = { 'original.png': 'original', 'masked.png': 'masked' };

function labelOf(name: string): string {
  const epoch = Number(/\d+/.exec(name)?.[0] ?? 0);
  return FIXED[name] ?? (epoch ? `epoch ${epoch}` : 'untrained');
}

export class Pictures {
  readonly gallery = new Gallery();
  #fixed = '';
  /** Versions by file. */
  readonly #shown = new Map<string, string>();

  show({ id, standing: { pictures } }: LiveRun): void {
    const shot = ({ name, version, width, height }: PictureFile) => ({
      label: labelOf(name),
      src: `/runs/${id}/${name}?${version}`,
      width,
      height,
    });
    const fixed = pictures.filter(({ name }) => name in FIXED);
    const said = JSON.stringify(fixed);
    if (said !== this.#fixed) this.gallery.fix(fixed.map(shot));
    this.#fixed = said;
    const moments = pictures.filter(({ name }) => !(name in FIXED));
    const names = new Set(moments.map(({ name }) => name));
    for (const name of [...this.#shown.keys()]) {
      if (names.has(name)) continue;
      this.gallery.remove(name);
      this.#shown.delete(name);
    }
    for (const picture of moments) {
      if (this.#shown.get(picture.name) === picture.version) continue;
      this.gallery.add(picture.name, shot(picture));
      this.#shown.set(picture.name, picture.version);
    }
  }
}
