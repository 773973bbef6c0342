// Light or dark: the system's until the visitor chooses, which the browser keeps. Canvases ask here for colours, and are told when these change.

export type Scheme = 'light' | 'dark';

const KEY = 'tesserae.theme';
const CHANGED = 'themechange';
const system = matchMedia('(prefers-color-scheme: dark)');

const ofSystem = (): Scheme => (system.matches ? 'dark' : 'light');

/** What was chosen; null where nothing was, or the browser keeps nothing (a private window). */
function kept(): Scheme | null {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'light' || value === 'dark' ? value : null;
  } catch {
    return null;
  }
}

/** Puts it on the root, where theme.css looks. */
function show(scheme: Scheme): void {
  document.documentElement.dataset.theme = scheme;
  document.dispatchEvent(new Event(CHANGED));
}

/** Shows the theme from here on; called before anything is painted, by a script of its own. */
export function followTheme(): void {
  show(kept() ?? ofSystem());
  system.addEventListener('change', () => show(kept() ?? ofSystem()));
}

/** The other one than is shown; what the system has anyway need not be kept. */
export function toggleTheme(): void {
  const next = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
  try {
    if (next === ofSystem()) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    // Then it holds for this visit.
  }
  show(next);
}

/** Calls `listener` whenever colours change, until `signal` says otherwise. */
export function onTheme(listener: () => void, signal?: AbortSignal): void {
  document.addEventListener(CHANGED, listener, { signal });
}

let shown: string | undefined;
const resolved = new Map<string, string>();

/** A colour of theme.css by its name, as `--ink`, resolved to what a canvas takes. */
export function colour(name: string): string {
  const { theme } = document.documentElement.dataset;
  if (theme !== shown) resolved.clear();
  shown = theme;
  let found = resolved.get(name);
  if (!found) {
    const probe = document.createElement('span');
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    found = getComputedStyle(probe).color;
    probe.remove();
    resolved.set(name, found);
  }
  return found;
}
