// Times and speeds as people read them.

/** `2:05`, `1:02:05`, `3 d 4 h`. */
export function duration(time: number): string {
  if (!Number.isFinite(time)) return '-';
  const s = Math.max(0, Math.round(time));
  const two = (n: number): string => String(Math.floor(n)).padStart(2, '0');
  if (s >= 172_800) return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
  if (s >= 3600) return `${Math.floor(s / 3600)}:${two((s % 3600) / 60)}:${two(s % 60)}`;
  return `${Math.floor(s / 60)}:${two(s % 60)}`;
}

/** `9.4` or `196` images a second. */
export const speedText = (perSecond: number): string =>
  Number.isFinite(perSecond) ? perSecond.toFixed(perSecond < 10 ? 1 : 0) : '-';
