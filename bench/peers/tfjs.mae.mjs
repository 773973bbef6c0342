// The masked autoencoder's training step in TensorFlow.js.

/** @param tf the library  @param finish waits for the device */
export function trainingStep(tf, work, inputs, finish) {
  const { batch: N, ln_eps, lr, betas, eps, weight_decay } = work;
  const on = (name) => tf.tensor(inputs[name].data, inputs[name].shape);
  const weights = new Map(work.weights.map((name) => [name, tf.variable(on(name))]));
  const get = (name) => weights.get(name);
  const constants = ['rows', 'positions', 'spread', 'mask', 'target', 'pos_embed', 'decoder_pos_embed'];
  const fixed = Object.fromEntries(constants.map((name) => [name, on(name)]));
  const removed = inputs.mask.data.reduce((a, b) => a + b, 0);

  const linear = (x, name) => {
    const w = get(`${name}.weight`);
    const [out] = w.shape;
    const k = w.size / out;
    const y = tf.matMul(tf.reshape(x, [-1, k]), tf.reshape(w, [out, k]), false, true);
    return tf.reshape(tf.add(y, get(`${name}.bias`)), [...x.shape.slice(0, -1), out]);
  };
  const norm = (x, name) => {
    const centred = tf.sub(x, tf.mean(x, -1, true));
    const scale = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), ln_eps));
    return tf.add(tf.mul(tf.mul(centred, scale), get(`${name}.weight`)), get(`${name}.bias`));
  };
  const gelu = (x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
  const attention = (x, name, heads) => {
    const [, tokens, width] = x.shape;
    const dim = width / heads;
    const qkv = tf.transpose(tf.reshape(linear(x, `${name}.qkv`), [N, tokens, 3, heads, dim]), [2, 0, 3, 1, 4]);
    const [q, k, v] = tf.unstack(qkv);
    const o = tf.matMul(tf.softmax(tf.mul(tf.matMul(q, k, false, true), dim ** -0.5)), v);
    return linear(tf.reshape(tf.transpose(o, [0, 2, 1, 3]), [N, tokens, width]), `${name}.proj`);
  };
  const block = (x, name, heads) => {
    const y = tf.add(x, attention(norm(x, `${name}.norm1`), `${name}.attn`, heads));
    return tf.add(y, linear(gelu(linear(norm(y, `${name}.norm2`), `${name}.mlp.fc1`)), `${name}.mlp.fc2`));
  };
  /** Token 0, repeated for every image. */
  const first = (token, positions) => {
    const [, , width] = token.shape;
    return tf.tile(tf.add(token, tf.slice(positions, [0, 0, 0], [1, 1, width])), [N, 1, 1]);
  };

  const loss = () => {
    const cls = first(get('cls_token'), fixed.pos_embed);
    let x = tf.concat([cls, tf.add(linear(fixed.rows, 'patch_embed.proj'), fixed.positions)], 1);
    for (let i = 0; i < work.depth; i++) x = block(x, `blocks.${i}`, work.num_heads);
    const y = linear(norm(x, 'norm'), 'decoder_embed');
    const [, tokens, width] = y.shape;
    const kept = tf.matMul(fixed.spread, tf.slice(y, [0, 1, 0], [N, tokens - 1, width]));
    const all = tf.add(kept, tf.mul(tf.expandDims(fixed.mask, 2), get('mask_token')));
    x = tf.add(tf.concat([tf.slice(y, [0, 0, 0], [N, 1, width]), all], 1), fixed.decoder_pos_embed);
    for (let i = 0; i < work.decoder_depth; i++) x = block(x, `decoder_blocks.${i}`, work.decoder_num_heads);
    const patches = tf.slice(norm(x, 'decoder_norm'), [0, 1, 0], [N, x.shape[1] - 1, width]);
    const error = tf.mean(tf.square(tf.sub(linear(patches, 'decoder_pred'), fixed.target)), -1);
    return tf.div(tf.sum(tf.mul(error, fixed.mask)), removed);
  };

  const optimizer = tf.train.adam(lr, ...betas, eps);
  const variables = [...weights.values()];
  /** Adam with decoupled decay: the weights shrink first, as in torch.optim.AdamW. */
  const update = () =>
    tf.tidy(() => {
      const { value, grads } = optimizer.computeGradients(loss, variables);
      for (const name of work.decaying) get(name).assign(tf.mul(get(name), 1 - lr * weight_decay));
      optimizer.applyGradients(grads);
      return value;
    });
  return {
    run: async (times) => {
      let last = Number.NaN;
      for (let i = 0; i < times; i++) {
        const value = update();
        await finish();
        [last] = await value.data();
        value.dispose();
      }
      return last;
    },
    dispose: () => {
      optimizer.dispose();
      for (const tensor of [...variables, ...Object.values(fixed)]) tensor.dispose();
    },
  };
}
