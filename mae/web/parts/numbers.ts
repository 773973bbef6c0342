// Numbers as people read them, on axes, in legends and in tables.

/** Four significant digits or so: 0.4103, 12.34, 1,234, 1.5e-4. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '∞' : '-∞';
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return trimmed(value.toExponential(3));
  if (size >= 1000) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(size < 10 ? 4 : size < 100 ? 2 : 1);
}

/** A place on the x axis: steps are whole, means of several may lie between. */
export const place = (x: number): string => (Number.isInteger(x) ? x.toLocaleString('en-US') : short(x));

/** Without zeros that say nothing: 1.500e-4 is 1.5e-4. */
function trimmed(text: string): string {
  const [mantissa, exponent] = text.split('e');
  const kept = mantissa.includes('.') ? mantissa.replace(/\.?0+$/, '') : mantissa;
  return exponent === undefined ? kept : `${kept}e${exponent.replace('+', '')}`;
}

/**
 * Labels of an axis: as many decimals as its steps need, thousands as k, very small ones as 2e-5.
 * @param values in order, evenly spaced or powers
 */
export function axisLabels(values: readonly number[]): string[] {
  const shown = values.filter((value) => value !== null && Number.isFinite(value));
  const most = Math.max(...shown.map(Math.abs), 0);
  if (most > 0 && most < 2e-3) return values.map((value) => (value === 0 ? '0' : trimmed(value.toExponential(2))));
  if (most >= 1e4) return values.map(thousands);
  const steps = shown.slice(1).map((value, i) => Math.abs(value - shown[i]));
  const least = Math.min(...steps.filter((step) => step > 0), most || 1);
  const decimals = Math.min(6, Math.max(0, -Math.floor(Math.log10(least) + 1e-9)));
  // A step of 2.5 needs one more than one of 2.
  const needs = shown.every((value) => near(value, Number(value.toFixed(decimals)), least)) ? decimals : decimals + 1;
  return values.map((value) => value.toFixed(needs));
}

const near = (a: number, b: number, step: number): boolean => Math.abs(a - b) < step * 1e-3;

function thousands(value: number): string {
  const units: [number, string][] = [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ];
  for (const [unit, letter] of units)
    if (Math.abs(value) >= unit) return `${trimmed((value / unit).toFixed(2))}${letter}`;
  return String(value);
}
