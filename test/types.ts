// Mistakes that must not type-check: `npm run check` fails where one of them does. Nothing here runs.
import { elementwiseAdd } from '../kernels/elementwise/elementwise.ts';
import { defineKernel, variant } from '../kernels/kernel.ts';
import { reduceSum } from '../kernels/reduce/reduce.ts';
import add from '../kernels/elementwise/elementwise.add.wgsl';
import type { Engine } from '../engine/engine.ts';
import { defineOp } from '../engine/op.ts';
import { linear } from '../engine/ops/linear.ts';
import type { Tensor, Variable } from '../engine/tensor.ts';
import type { Trace } from '../engine/trace.ts';

type Two = { a: Tensor; b: Tensor | null };

export function bindings(t: Trace, x: Tensor): void {
  // @ts-expect-error a misspelt binding
  t.run(elementwiseAdd, { a: x, bb: x }, { n: 1 });
  // @ts-expect-error a binding left out
  t.run(elementwiseAdd, { a: x }, { n: 1 });
  // @ts-expect-error a parameter left out
  t.run(elementwiseAdd, { a: x, b: x }, {});
  // @ts-expect-error a misspelt option
  t.run(reduceSum, { x }, { n: 1, groups: 1, SQUARES: true });
  // @ts-expect-error an option of another type
  t.run(reduceSum, { x }, { n: 1, groups: 1, SQUARE: 2 });
  // @ts-expect-error an output that the kernel does not have
  t.run(elementwiseAdd, { a: x, b: x }, { n: 1 }).z.reshape(1);
}

export const ops = [
  defineOp('forgotten', {
    forward: (t, { a, b }: Two, _: object) => ({ out: t.run(elementwiseAdd, { a, b }, { n: 1 }), saved: null }),
    // @ts-expect-error the gradient of b is forgotten, and so is the null that says that there is none
    backward: (_t, { y }) => ({ a: y }),
  }),
  defineOp('misspelt', {
    forward: (t, { a, b }: Two, _: object) => ({ out: t.run(elementwiseAdd, { a, b }, { n: 1 }), saved: null }),
    // @ts-expect-error the only output is y
    backward: (_t, { z }) => ({ a: z, b: null }),
  }),
  defineOp('unchecked', {
    forward: (_t, { a, b }: Two, _: object) => ({ out: { y: a, z: b ?? a }, saved: null }),
    // @ts-expect-error of two outputs, each may be unused: its gradient may be null
    backward: (_t, { y, z }) => ({ a: y.reshape(1), b: z }),
  }),
];

export function calls(engine: Engine, x: Tensor, w: Variable): void {
  // @ts-expect-error no residual is said by null, not by silence
  linear({ x, w, b: w }, {});
  const program = engine.compile({ img: 'f32' }, ({ img }) => ({ loss: img }));
  // @ts-expect-error an input that the program does not have
  void program.run({ image: { data: new Float32Array(1), shape: [1] } });
  // @ts-expect-error no shape
  void program.run({ img: { data: new Float32Array(1) } });
  // @ts-expect-error an output that the program does not have
  void program.run({ img: { data: new Float32Array(1), shape: [1] } }).then(async (r) => (await r.read()).losses);
}

export const kernel = defineKernel({
  name: 'misshapen',
  variants: { simt: variant(add, { grid: () => [1, 1, 1] }) },
  // @ts-expect-error the shape of b is forgotten
  shapes: ({ n }) => ({ a: [n], y: [n] }),
  flops: () => 0,
  reference: () => undefined,
  cases: [{ n: 1 }],
});
