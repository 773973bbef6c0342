// Work that follows what a visitor does: once a frame at most, one after the other, and always with the newest state.

/**
 * `ask` lets `work` run in the next frame, as `frame` has it (requestAnimationFrame). What is asked for while it runs makes it run once more when it is done, however often it was asked
 * for: nothing queues up. What it throws goes to `failed`, and it can be asked again.
 */
export function follow(
  frame: (run: () => void) => void,
  work: () => Promise<void>,
  failed: (error: Error) => Promise<void>,
): { ask(): void } {
  let asked = false;
  let busy = false;
  const run = async (): Promise<void> => {
    busy = true;
    asked = false;
    await work().catch(failed);
    busy = false;
    if (asked) frame(() => void run());
  };
  return {
    ask: () => {
      if (!busy && !asked) frame(() => void run());
      asked = true;
    },
  };
}
