// A peer that speaks the bench's protocol without any library: `good`, or one that goes wrong in the way that is its argument.
import { serve, Unable } from '../../bench/peers/serve.ts';

const [, , how] = process.argv;

serve({
  hello: async () => ({ version: 'fake 1.0', device: how }),
  prepare: async (work, inputs) => {
    if (how === 'unable') throw new Unable('it knows nothing');
    if (how === 'error') throw new Error('out of luck');
    if (how === 'crash') process.exit(7);
    // A library's chatter on stdout is no answer.
    console.log('{"ok":{"ms":0}}');
    if (work.kind === 'step') {
      let loss = 2;
      // The one that drifts is right at first.
      return { run: async () => (loss *= how === 'drift' && loss < 1.5 ? 0.8 : 0.9) };
    }
    if (work.kind !== 'gemm') throw new Error(`a fake peer has no ${work.kind}`);
    const { m, n, k } = work;
    const y = new Float32Array(m * n);
    return {
      run: async () => {
        y.fill(0);
        for (let i = 0; i < m * n * k; i++) {
          const [r, c, l] = [Math.floor(i / n / k), Math.floor(i / k) % n, i % k];
          y[r * n + c] += inputs.a.data[r * k + l] * inputs.b.data[l * n + c];
        }
        if (how === 'wrong') y[m * n - 1] += 0.5;
        if (how === 'nan') y[0] = Number.NaN;
        if (how === 'slow') await new Promise((wake) => setTimeout(wake, 60));
        // Blocked as a library's own loop would block it.
        if (how === 'hang') for (;;);
        return undefined;
      },
      read: async () => y,
    };
  },
});
