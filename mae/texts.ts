// Amounts as people read them.

/** `12.3 MiB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  let n = bytes;
  while (n >= 1024 && at < units.length - 1) {
    n /= 1024;
    at++;
  }
  return `${n < 10 && at ? n.toFixed(2) : n < 100 && at ? n.toFixed(1) : n.toFixed(0)} ${units[at]}`;
}

/** `2:05`, `1:02:05`, `3 d 4 h`. */
export function duration(time: number): string {
  if (!Number.isFinite(time)) return '-';
  const s = Math.max(0, Math.round(time));
  const two = (n: number): string => String(Math.floor(n)).padStart(2, '0');
  if (s >= 172_800) return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
  if (s >= 3600) return `${Math.floor(s / 3600)}:${two((s % 3600) / 60)}:${two(s % 60)}`;
  return `${Math.floor(s / 60)}:${two(s % 60)}`;
}
