// Light or dark: the system's until the visitor chooses, which the browser keeps. Canvases ask here for colours, and are told when these change.

export type Scheme = 'light' | 'dark';

const KEY = 'tesserae.theme';
const CHANGED = 'themechange';
const system = matchMedia('(prefers-color-scheme: dark)');

/** A browser that keeps nothing (a file, a private window) has the system's. */
function kept(): Scheme | null {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'light' || value === 'dark' ? value : null;
  } catch {
    return null;
  }
}

export const scheme = (): Scheme => kept() ?? (system.matches ? 'dark' : 'light');

/** Puts it on the root, where theme.css looks. */
function show(): void {
  document.documentElement.dataset.theme = scheme();
  document.dispatchEvent(new Event(CHANGED));
}

/** Shows the theme from here on; call it before anything is painted. */
export function followTheme(): void {
  show();
  system.addEventListener('change', show);
}

/** The other one; what the system has anyway need not be kept. */
export function toggleTheme(): void {
  const next = scheme() === 'dark' ? 'light' : 'dark';
  try {
    if (next === (system.matches ? 'dark' : 'light')) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    // Then it holds for this page alone.
  }
  document.documentElement.dataset.theme = next;
  document.dispatchEvent(new Event(CHANGED));
}

/** Calls `listener` whenever colours change. */
export function onTheme(listener: () => void): void {
  document.addEventListener(CHANGED, listener);
}

/** A colour of theme.css by its name, as `--ink`, resolved to what a canvas takes. */
export function colour(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
