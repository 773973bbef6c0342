// TensorFlow.js on its WebGPU backend.
import { deviceName, installGpu } from './gpu.ts';
import { requirePeer, version } from './packages.ts';
import { serve } from './serve.ts';
import { trainingStep } from './tfjs.mae.mjs';

installGpu();
const tf = requirePeer('@tensorflow/tfjs');
requirePeer('@tensorflow/tfjs-backend-webgpu');
await tf.setBackend('webgpu');
await tf.ready();

/** Sends what is queued, and waits for it. */
async function finish() {
  const backend = tf.backend();
  if (backend.commandEncoder) {
    backend.endComputePassEncoder?.();
    backend.submitQueue();
  }
  await backend.device.queue.onSubmittedWorkDone();
}

/** @param compute gives a tensor of tensors that stay on the device  @param arrange what the compared result is of it */
function operation(compute, arrange = (y) => y) {
  let last = null;
  return {
    run: async (times) => {
      for (let i = 0; i < times; i++) {
        last?.dispose();
        last = tf.tidy(compute);
      }
      await finish();
    },
    read: () => tf.tidy(() => arrange(last)).data(),
    dispose: () => last?.dispose(),
  };
}

serve({
  hello: async () => ({
    version: `@tensorflow/tfjs-backend-webgpu ${version('@tensorflow/tfjs-backend-webgpu')}`,
    device: await deviceName(),
  }),
  prepare: async (work, inputs) => {
    const on = (name) => tf.tensor(inputs[name].data, inputs[name].shape);
    if (work.kind === 'step') return trainingStep(tf, work, inputs, finish);
    if (work.kind === 'gemm') {
      const [a, b] = [on('a'), on('b')];
      return operation(() => tf.matMul(a, b));
    }
    if (work.kind === 'layernorm') {
      const [x, w, b] = [on('x'), on('w'), on('b')];
      return operation(() => {
        const { mean, variance } = tf.moments(x, -1, true);
        return tf.add(tf.mul(tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, work.eps))), w), b);
      });
    }
    const [q, k, v] = ['q', 'k', 'v'].map((name) => tf.tidy(() => tf.transpose(on(name), [0, 2, 1, 3])));
    return operation(
      () => tf.matMul(tf.softmax(tf.mul(tf.matMul(q, k, false, true), work.dim ** -0.5)), v),
      (o) => tf.transpose(o, [0, 2, 1, 3]),
    );
  },
});
