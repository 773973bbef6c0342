// How the page tells of a run's state, and of the connection.
import type { Standing, State } from '../../dashboard/wire.ts';
import { h, type Markup } from '../parts/markup.ts';

/** lost: the server does not answer, and the state is what it was when it last did. */
export type Shown = State | 'lost';

const clock = (ms: number): string => new Date(ms).toLocaleTimeString('en-GB');

export const pill = (state: Shown): Markup =>
  h('span', { class: 'pill', 'data-state': state }, state === 'lost' ? 'not connected' : state);

/** What there is to know of it, beyond its name. */
export function explained(state: Shown, { heard }: Standing): string {
  const last = heard === null ? '' : ` The last line of its logs is of ${clock(heard)}.`;
  switch (state) {
    case 'waiting':
      return 'Nothing was logged yet: data and model are being made ready.';
    case 'stopped':
      return `Its process is gone: it was ended, or killed.${last} The same command with --resume auto goes on from its last checkpoint.`;
    case 'unknown':
      return `Whether it still runs cannot be told from here: it was begun on another machine, or by an older version.${last}`;
    case 'lost':
      return 'The dashboard does not answer: it, or the run that served it, has ended or was killed. What is shown is the last that came; tesserae dashboard RUN shows it again.';
    default:
      return '';
  }
}
