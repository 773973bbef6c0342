// One piece of work by everyone: prepared, checked against our result, then measured turn by turn.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median } from '../median.ts';
import { compareLosses, compareResults } from './agree.ts';
import { type PeerChild, PeerFailure } from './child.ts';
import type { Timing } from './protocol.ts';
import type { PieceResult, Row } from './results.ts';
import { type Piece, writeInputs } from './work.ts';

export interface Contender {
  readonly name: string;
  readonly child: PeerChild;
}

interface Measuring {
  /** Turns of every peer. */
  readonly rounds: number;
  /** Of a training step, which takes seconds. */
  readonly stepRounds: number;
  /** Seconds that one answer may take; the first run of a piece of work compiles. */
  readonly timeout: number;
  readonly progress: (what: string) => void;
}

/** A turn repeats short work until it takes about so long. */
const TURN_MS = 50;
const MOST_TIMES = 64;

interface State extends Contender {
  readonly out: string;
  first: Timing | null;
  times: number;
  readonly turns: Timing[];
  error?: number;
  /** Its numbers are not ours: its time is told, but no ratio. */
  disagrees?: string;
  /** It has no time. */
  why?: string;
}

/** `ours` is the reference of all results and ratios. @throws PeerFailure where ours itself fails */
export async function measurePiece(
  piece: Piece,
  ours: Contender,
  peers: readonly Contender[],
  { rounds, stepRounds, timeout, progress }: Measuring,
): Promise<PieceResult> {
  const { work, name } = piece;
  const isStep = work.kind === 'step';
  const folder = mkdtempSync(join(tmpdir(), 'tesserae-peers-'));
  const states = [ours, ...peers].map(
    (c, i): State => ({ ...c, out: join(folder, `${i}.f32`), first: null, times: 1, turns: [] }),
  );
  const [reference] = states;
  const running = () => states.filter((s) => s.why === undefined);
  /** What goes wrong with a peer is its own result; the others go on. */
  const attempt = async (state: State, what: string, act: () => Promise<void>): Promise<void> => {
    progress(`${name}  ${state.name}: ${what}`);
    try {
      await act();
    } catch (error) {
      if (!(error instanceof PeerFailure)) throw error;
      if (state === reference) throw new PeerFailure(`${name}: ${state.name}: ${error.message}`);
      state.why = error.unable ? `cannot: ${error.message}` : `failed: ${error.message}`;
    }
  };
  try {
    const inputs = writeInputs(work, folder);
    for (const state of states) {
      await attempt(state, 'first run', async () => {
        state.first = await state.child.ask<Timing>({ do: 'prepare', work, ...inputs, out: state.out }, timeout);
        check(state, reference, isStep);
      });
    }
    for (const state of isStep ? [] : running()) {
      await attempt(state, 'warming up', async () => {
        const { ms } = await state.child.ask<Timing>({ do: 'measure', times: 1 }, timeout);
        state.times = Math.min(MOST_TIMES, Math.max(1, Math.ceil(TURN_MS / ms)));
      });
    }
    const count = isStep ? stepRounds : rounds;
    for (let round = 0; round < count; round++) {
      const turn = running();
      // Another one begins each time, so that nobody always follows the same neighbour.
      for (const state of [...turn.slice(round % turn.length), ...turn.slice(0, round % turn.length)]) {
        await attempt(state, `round ${round + 1} of ${count}`, async () => {
          state.turns.push(await state.child.ask<Timing>({ do: 'measure', times: state.times }, timeout));
        });
      }
    }
    // Only now does everyone have as many losses as we have.
    if (isStep) for (const state of running()) check(state, reference, true);
    for (const state of running())
      await attempt(state, 'done', async () => void (await state.child.ask({ do: 'drop' }, timeout)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const base = medianOf(reference.turns, 'ms');
  return { name, flops: piece.flops, rows: states.map((state) => row(state, base)) };
}

const losses = ({ first, turns }: State): number[] =>
  [first, ...turns].flatMap((timing) => (timing?.loss === undefined ? [] : [timing.loss]));

/** Marks a peer whose numbers are not ours. Of a training step all losses so far are compared. */
function check(state: State, reference: State, isStep: boolean): void {
  if (state === reference) return;
  const found = isStep ? compareLosses(losses(state), losses(reference)) : compareResults(state.out, reference.out);
  state.error = found.error;
  if (!found.agrees)
    state.disagrees = `disagrees: its ${isStep ? 'losses' : 'numbers'} are off by ${found.error.toExponential(1)} of ours`;
}

const medianOf = (turns: readonly Timing[], key: 'ms' | 'cpu_ms'): number => median(turns.map((turn) => turn[key]));

function row(state: State, base: number): Row {
  const { name: peer, first, turns, times, error, disagrees, why = disagrees } = state;
  if (state.why !== undefined) return { peer, error, why };
  const ms = medianOf(turns, 'ms');
  return {
    peer,
    ms,
    cpu_ms: medianOf(turns, 'cpu_ms'),
    samples: turns.map((turn) => turn.ms),
    times,
    first_ms: first?.ms,
    ...(losses(state).length ? { losses: losses(state) } : {}),
    error,
    ...(disagrees ? { why } : { ratio: ms / base }),
  };
}
