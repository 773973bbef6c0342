// Sizes of memory as people read and write them.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `12.3 MiB`. */
export function bytesText(bytes: number): string {
  let at = 0;
  let n = bytes;
  while (n >= 1024 && at < UNITS.length - 1) {
    n /= 1024;
    at++;
  }
  return `${n < 10 && at ? n.toFixed(2) : n < 100 && at ? n.toFixed(1) : n.toFixed(0)} ${UNITS[at]}`;
}

/** `8GiB`, `8 GB`, `8G` or `500MiB` in bytes; null where it is none. Without the i, units are decimal, but a bare letter is binary. */
export function parseBytes(text: string): number | null {
  const found = /^\s*(\d+\.?\d*|\.\d+)\s*([kmgt]?)(i?)(b?)\s*$/i.exec(text);
  if (!found) return null;
  const [, number, prefix, binary, byte] = found;
  const power = ['', 'k', 'm', 'g', 't'].indexOf(prefix.toLowerCase());
  const bytes = Number(number) * (binary || !byte ? 1024 : 1000) ** power;
  return Number.isSafeInteger(Math.round(bytes)) ? Math.round(bytes) : null;
}
