// Reads what a uvu test file printed at its end, and judges the file by that and by how its process ended.

const COLOUR = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');

/** `{ total, passed, skipped }` of the closing lines, summed; `null` where there are none. (uvu leaves skips out of total.) */
export function parseSummary(output) {
  const plain = output.replace(COLOUR, '');
  const sums = { total: 0, passed: 0, skipped: 0 };
  let found = false;
  const closing = /^[ \t]*Total:[ \t]+(\d+)[ \t]*\r?\n[ \t]*Passed:[ \t]+(\d+)[ \t]*\r?\n[ \t]*Skipped:[ \t]+(\d+)/gm;
  for (const [, total, passed, skipped] of plain.matchAll(closing)) {
    found = true;
    sums.total += Number(total);
    sums.passed += Number(passed);
    sums.skipped += Number(skipped);
  }
  return found ? sums : null;
}

/**
 * @param end how the process ended, as child.mjs's run says it
 * @returns `{ passed, failed, skipped, why }`; a file that broke in any way counts as at least one failure
 */
export function verdict({ code, signal, timedOut, all }, limit) {
  const summary = parseSummary(all);
  const { total, passed, skipped } = summary ?? { total: 0, passed: 0, skipped: 0 };
  const failed = total - passed;
  const broken = (why) => ({ passed, failed: Math.max(1, failed), skipped, why });
  if (timedOut)
    return broken(summary ? `did not exit within ${limit} s after its tests` : `ran longer than ${limit} s`);
  if (signal) return broken(`was ended by ${signal}`);
  if (!summary) return broken(code === 0 ? 'ran no tests (is test.run() missing?)' : `broke with exit code ${code}`);
  if (failed > 0) return { passed, failed, skipped, why: `${failed} of ${total} failed` };
  if (code !== 0) return broken(`passed, but ended with exit code ${code}`);
  if (total === 0 && skipped === 0) return broken('ran no tests');
  return { passed, failed: 0, skipped, why: '' };
}
