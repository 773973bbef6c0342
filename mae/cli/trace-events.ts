// A recording as Chrome's JSON trace events, which Perfetto opens: tracks of the host's work, and one of the GPU's passes.
import type { HostKind, Recorder } from '../../engine/timings.ts';

/** Begin and duration in microseconds; `tid` is a track of process `pid`. */
interface TraceEvent {
  readonly name: string;
  readonly ph: 'X' | 'M';
  readonly pid: number;
  readonly tid: number;
  readonly ts?: number;
  readonly dur?: number;
  readonly args?: Readonly<Record<string, string | number>>;
}

const HOST = 1;
const GPU = 2;
const KINDS: readonly HostKind[] = ['encode', 'submit', 'wait', 'compile', 'decode', 'save'];
/** Tracks that a kind may have. */
const MOST_LANES = 100;

const named = (pid: number, tid: number, what: 'process_name' | 'thread_name', name: string): TraceEvent => ({
  name: what,
  ph: 'M',
  pid,
  tid,
  args: { name },
});

/** Valid at any moment of a run. Spans of a kind that overlap get tracks beside one another: in one they would have to nest. */
export function traceText(recorder: Recorder): string {
  const events: TraceEvent[] = [
    named(HOST, 0, 'process_name', 'host'),
    named(GPU, 0, 'process_name', `GPU: ${recorder.adapter ?? 'none'}`),
    named(GPU, 0, 'thread_name', 'passes'),
  ];
  for (const [at, kind] of KINDS.entries()) {
    const spans = recorder.hosts.filter((span) => span.kind === kind).sort((a, b) => a.began - b.began);
    const lanes: number[] = [];
    for (const { what, began, ended } of spans) {
      let lane = lanes.findIndex((until) => until <= began);
      if (lane < 0) lane = Math.min(lanes.length, MOST_LANES - 1);
      const tid = 1 + at * MOST_LANES + lane;
      if (lane === lanes.length) events.push(named(HOST, tid, 'thread_name', lane ? `${kind} ${lane + 1}` : kind));
      lanes[lane] = ended;
      events.push({ name: what, ph: 'X', pid: HOST, tid, ts: 1000 * began, dur: 1000 * (ended - began) });
    }
  }
  for (const { kernel, began, ended } of recorder.passes) {
    const ts = 1000 * (began + recorder.offset);
    events.push({ name: kernel, ph: 'X', pid: GPU, tid: 0, ts, dur: 1000 * (ended - began) });
  }
  const otherData = { left_out: recorder.left, gpu_times: recorder.byWaiting ? 'by waiting' : 'timestamps' };
  return `{"displayTimeUnit":"ms","otherData":${JSON.stringify(otherData)},"traceEvents":[\n${events
    .map((event) => JSON.stringify(event))
    .join(',\n')}\n]}\n`;
}
