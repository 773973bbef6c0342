// At most so many tasks at a time, started in the order asked.

export type Queue = <T>(task: () => Promise<T>) => Promise<T>;

export function queueOf(limit: number): Queue {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (task) => {
    if (running >= limit) await new Promise<void>((go) => waiting.push(go));
    else running++;
    try {
      return await task();
    } finally {
      // The place passes straight to the next task, which keeps the order.
      const go = waiting.shift();
      if (go) go();
      else running--;
    }
  };
}
