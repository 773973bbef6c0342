// How a long job tells where it stands: a bar on a terminal, now and then a plain line elsewhere. All of it on stderr.
import cliProgress from 'cli-progress';
import picocolors from 'picocolors';
import { duration, speedText } from '../durations.ts';
import type { Reporter, StepReport } from '../train/reporter.ts';

type Stream = NodeJS.WriteStream;
type Clock = () => number;

const seconds: Clock = () => performance.now() / 1000;

/** The reporter that fits the stream. */
export const makeReporter = (stream: Stream = process.stderr): Reporter =>
  stream.isTTY ? barReporter(stream) : lineReporter((line) => stream.write(`${line}\n`));

/** Where a job stands, for the time that is left: the pace of this process alone, as a resumed run begins in the middle. */
function pace(now: Clock): { start(total: number, done: number): void; left(done: number): number; total: number } {
  let [from, began] = [0, 0];
  const state = {
    total: 1,
    start(total: number, done: number): void {
      [state.total, from, began] = [total, done, now()];
    },
    left: (done: number): number => ((now() - began) / Math.max(1, done - from)) * (state.total - done),
  };
  return state;
}

function barReporter(stream: Stream): Reporter {
  const { cyan, dim, bold } = picocolors.createColors(true);
  const tail = `${dim('loss')} ${bold('{loss}')}  {rate} images/s  ${dim('ETA')} {left}`;
  const formats = {
    fetch: `${cyan('{bar}')} {percentage} %  {what}  {rate}`,
    train: `${cyan('{bar}')} {percentage} %  ${dim('epoch')} {epoch}  ${tail}`,
  };
  const at = pace(seconds);
  let bars: cliProgress.MultiBar | null = null;
  let bar: cliProgress.SingleBar | null = null;
  const stop = (): void => {
    bar?.update({});
    bars?.stop();
    bars = bar = null;
  };
  const open = (format: string, total: number, done: number, fields: Record<string, string>): void => {
    stop();
    const look = {
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: 24,
      fps: 5,
      autopadding: true,
      gracefulExit: false,
    };
    bars = new cliProgress.MultiBar({ stream, format, ...look });
    bar = bars.create(total, done, fields);
  };
  let fetched: string | null = null;
  return {
    fetching: (fraction, what, rate = '') => {
      if (fetched !== what) open(formats.fetch, 100, 0, { what, rate });
      fetched = what;
      bar?.update(Math.floor(100 * fraction), { rate });
    },
    start: (total, done) => {
      at.start(total, done);
      open(formats.train, total, done, { epoch: '-', loss: '-', rate: '-', left: '-' });
    },
    step: (report) => void bar?.update(report.step, texts(report, at.left(report.step))),
    note: (line) => {
      if (bars) bars.log(`${line}\n`);
      else stream.write(`${line}\n`);
    },
    finish: stop,
  };
}

/** How fast images go by from now on, as text: of so many that are done. */
export function imageRate(now: Clock = seconds): (done: number) => string {
  const began = now();
  return (done) => `${speedText(done / (now() - began))} images/s`;
}

const LINE_SECONDS = 10;
const LINE_PART = 0.05;
const LINE_SECONDS_MOST = 60;

/** A line when ten seconds have passed and a twentieth of the work is done, or when a minute has passed. */
export function lineReporter(write: (line: string) => void, now: Clock = seconds): Reporter {
  const at = pace(now);
  let last = { when: Number.NEGATIVE_INFINITY, done: 0 };
  let unsaid: StepReport | null = null;
  let fetched = { what: '', tenth: 0 };
  const say = (report: StepReport): void => {
    const { epoch, loss, rate, left } = texts(report, at.left(report.step));
    const percent = String(Math.floor((100 * report.step) / at.total)).padStart(3);
    write(
      `${percent} %  epoch ${epoch}  loss ${loss}  lr ${report.lr.toExponential(2)}  ${rate} images/s  ETA ${left}`,
    );
    last = { when: now(), done: report.step };
    unsaid = null;
  };
  return {
    fetching: (fraction, what, rate = '') => {
      const tenth = Math.floor(10 * fraction);
      if (fetched.what === what && tenth < fetched.tenth + 2 && fraction < 1) return;
      if (fetched.what === what && fetched.tenth === tenth) return;
      fetched = { what, tenth };
      write(`${String(10 * tenth).padStart(3)} %  ${what}  ${rate}`.trimEnd());
    },
    start: (total, done) => {
      at.start(total, done);
      last = { when: now(), done };
    },
    step: (report) => {
      unsaid = report;
      const waited = now() - last.when;
      const part = (report.step - last.done) / at.total;
      if (waited >= LINE_SECONDS_MOST || (waited >= LINE_SECONDS && part >= LINE_PART)) say(report);
    },
    note: write,
    finish: () => {
      if (unsaid) say(unsaid);
    },
  };
}

/** How fast a run was in the end, which its last line of progress told, too. @param done steps of this process */
export const paceText = (done: number, imagesPerSecond: number): string =>
  done ? `${speedText(imagesPerSecond)} images/s, evaluations on the way included` : 'this run had ended already';

const texts = (r: StepReport, left: number) => ({
  epoch: String(r.epoch + 1),
  loss: Number.isFinite(r.loss) ? r.loss.toFixed(4) : '-',
  rate: speedText(r.imagesPerSecond),
  left: duration(left),
});
