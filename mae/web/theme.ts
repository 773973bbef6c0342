// Light or dark: the system's until the visitor chooses, which the browser keeps.

type Scheme = 'light' | 'dark';

const KEY = 'tesserae.theme';
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
