// Pointer and keys on a board: strokes over patches, the patch that is pointed at, and a cursor that arrow keys move.
import type { Board } from './draw.ts';

interface Hands {
  /** A stroke begins at a patch. */
  readonly down?: (patch: number) => void;
  /** It went on over these; the first it has touched already. */
  readonly over?: (patches: readonly number[]) => void;
  /** The patch that is pointed at or under the cursor; null: none any more. */
  readonly at: (patch: number | null, by: 'pointer' | 'keys') => void;
  /** Space or Enter at the cursor. */
  readonly press?: (patch: number) => void;
}

export function listen(board: Board, { down, over, at, press }: Hands): void {
  const { canvas } = board;
  let stroke: PointerEvent | null = null;
  let touched: number | null = null;
  canvas.addEventListener('pointerdown', (event) => {
    const patch = board.patchAt(event);
    if (event.button !== 0 || patch === null) return;
    // A finger cannot leave: touching the same patch again does.
    const again = event.pointerType === 'touch' && !down && patch === touched;
    touched = again ? null : patch;
    at(touched, 'pointer');
    if (!down) return;
    stroke = event;
    canvas.setPointerCapture(event.pointerId);
    down(patch);
  });
  canvas.addEventListener('pointermove', (event) => {
    if (event.pointerType !== 'touch' || stroke) at(board.patchAt(event), 'pointer');
    if (!stroke || event.pointerId !== stroke.pointerId) return;
    over?.(between(board, stroke, event));
    stroke = event;
  });
  for (const end of ['pointerup', 'pointercancel'] as const)
    canvas.addEventListener(end, () => {
      stroke = null;
    });
  // A finger that is lifted has left, too; what it pointed at stays until the next touch.
  canvas.addEventListener('pointerleave', (event) => {
    if (event.pointerType !== 'touch') at(null, 'pointer');
  });

  let cursor = Math.floor(board.rows / 2) * board.columns + Math.floor(board.columns / 2);
  canvas.addEventListener('focus', () => {
    if (canvas.matches(':focus-visible')) at(cursor, 'keys');
  });
  canvas.addEventListener('blur', () => at(null, 'keys'));
  canvas.addEventListener('keydown', (event) => {
    const step = STEPS[event.key];
    if (step) {
      const row = Math.min(board.rows - 1, Math.max(0, Math.floor(cursor / board.columns) + step[0]));
      const column = Math.min(board.columns - 1, Math.max(0, (cursor % board.columns) + step[1]));
      cursor = row * board.columns + column;
      at(cursor, 'keys');
    } else if (event.key === 'Escape') at(null, 'keys');
    else if (press && (event.key === ' ' || event.key === 'Enter')) press(cursor);
    else return;
    event.preventDefault();
  });
}

const STEPS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

/** The patches from one point to the next: a quick stroke leaves none out. */
function between(board: Board, from: PointerEvent, to: PointerEvent): number[] {
  const { width, height } = board.canvas.getBoundingClientRect();
  const small = Math.min(width / board.columns, height / board.rows) / 4;
  const [dx, dy] = [to.clientX - from.clientX, to.clientY - from.clientY];
  const steps = Math.max(1, Math.ceil(Math.hypot(dx, dy) / small));
  const touched = new Set<number>();
  for (let i = 0; i <= steps; i++) {
    const patch = board.patchAt({
      clientX: from.clientX + (dx * i) / steps,
      clientY: from.clientY + (dy * i) / steps,
    });
    if (patch !== null) touched.add(patch);
  }
  return [...touched];
}

/** For people: where a patch lies. */
export const placeOf = (board: Board, patch: number): string =>
  `row ${Math.floor(patch / board.columns) + 1}, column ${(patch % board.columns) + 1}`;
