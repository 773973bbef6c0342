// What a page takes: the heaps of its scripts, its workers' included, and the memory of the whole browser.
import { readdirSync, readFileSync } from 'node:fs';
import type { CDPSession, Page } from 'playwright-core';

/** Bytes of JavaScript in a page and its workers, garbage left out. */
export async function heapOf(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  try {
    const workers: string[] = [];
    session.on('Target.attachedToTarget', ({ sessionId }) => workers.push(sessionId));
    await session.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
    await session.send('HeapProfiler.collectGarbage');
    const { usedSize } = await session.send('Runtime.getHeapUsage');
    let all = usedSize;
    for (const worker of workers) {
      await ask(session, worker, 'HeapProfiler.collectGarbage');
      all += (await ask(session, worker, 'Runtime.getHeapUsage')).usedSize ?? 0;
    }
    return all;
  } finally {
    await session.detach();
  }
}

let last = 0;

/** A worker is asked through its page. */
function ask(session: CDPSession, sessionId: string, method: string): Promise<{ usedSize?: number }> {
  const id = ++last;
  return new Promise((done, failed) => {
    const hear = (answer: { sessionId: string; message: string }): void => {
      const { id: of, result, error } = JSON.parse(answer.message);
      if (answer.sessionId !== sessionId || of !== id) return;
      session.off('Target.receivedMessageFromTarget', hear);
      if (error) failed(new Error(`${method}: ${error.message}`));
      else done(result);
    };
    session.on('Target.receivedMessageFromTarget', hear);
    session.send('Target.sendMessageToTarget', { sessionId, message: JSON.stringify({ id, method }) }).catch(failed);
  });
}

/** Bytes that the processes begun by this one hold for themselves; 0 where the system does not tell. */
export function childrenBytes(): number {
  const parents = new Map<number, number>();
  const bytes = new Map<number, number>();
  const pids = (() => {
    try {
      return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    } catch {
      return [];
    }
  })();
  for (const pid of pids) {
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      parents.set(Number(pid), Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]));
      bytes.set(Number(pid), 1024 * Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1] ?? 0));
    } catch {
      // It has ended meanwhile.
    }
  }
  const isOurs = (pid: number): boolean => {
    for (let at = parents.get(pid); at; at = parents.get(at)) if (at === process.pid) return true;
    return false;
  };
  return [...bytes].reduce((sum, [pid, own]) => sum + (isOurs(pid) ? own : 0), 0);
}
