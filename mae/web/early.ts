// What cannot wait for the page's own script: a page in the other theme than the system's must not flash, and weights take their time.
import { preloadWeights } from './look/weights.ts';
import { followTheme } from './theme.ts';

/** What early.js does. */
export function begin(): void {
  followTheme();
  preloadWeights();
}
