// The masked autoencoder's training step in jax-js: loss, gradients and AdamW in one jit. Every call consumes its arguments,
// so what is used again is passed as `.ref`.

/** @param layernorm makes layernorm(x, w, b) of an epsilon */
export function trainingStep(jax, work, inputs, layernorm) {
  const { jit, nn, numpy: np, tree, valueAndGrad } = jax;
  const { batch: N, lr, betas, eps, weight_decay } = work;
  const on = (name) => np.array(inputs[name].data, { shape: [...inputs[name].shape] });
  const constants = ['rows', 'positions', 'spread', 'mask', 'target', 'pos_embed', 'decoder_pos_embed'];
  const fixed = Object.fromEntries(constants.map((name) => [name, on(name)]));
  const removed = inputs.mask.data.reduce((a, b) => a + b, 0);
  const normalise = layernorm(work.ln_eps);

  /** The loss of weights by name, given what does not change. */
  function loss(weights, data) {
    const get = (name) => weights[name].ref;
    const linear = (x, name) => {
      const w = get(`${name}.weight`);
      const [out, ...rest] = w.shape;
      const k = rest.reduce((a, b) => a * b, 1);
      const shape = [...x.shape.slice(0, -1), out];
      const y = np.matmul(x.reshape([-1, k]), np.transpose(w.reshape([out, k])));
      return y.add(get(`${name}.bias`)).reshape(shape);
    };
    const norm = (x, name) => normalise(x, get(`${name}.weight`), get(`${name}.bias`));
    const gelu = (x) => nn.gelu(x, { approximate: false });
    const attention = (x, name, heads) => {
      const [, tokens, width] = x.shape;
      const qkv = linear(x, `${name}.qkv`).reshape([N, tokens, 3, heads, width / heads]);
      const [q, k, v] = np.split(qkv, 3, 2).map((part) => part.reshape([N, tokens, heads, width / heads]));
      return linear(nn.dotProductAttention(q, k, v).reshape([N, tokens, width]), `${name}.proj`);
    };
    const block = (x, name, heads) => {
      const y = x.ref.add(attention(norm(x, `${name}.norm1`), `${name}.attn`, heads));
      const hidden = gelu(linear(norm(y.ref, `${name}.norm2`), `${name}.mlp.fc1`));
      return y.add(linear(hidden, `${name}.mlp.fc2`));
    };
    const rowsOf = (x, start, end) => x.slice([], [start, end]);

    const cls = get('cls_token').add(rowsOf(data.pos_embed, 0, 1));
    const first = np.broadcastTo(cls, [N, 1, work.embed_dim]);
    let x = np.concatenate([first, linear(data.rows, 'patch_embed.proj').add(data.positions)], 1);
    for (let i = 0; i < work.depth; i++) x = block(x, `blocks.${i}`, work.num_heads);
    const y = linear(norm(x, 'norm'), 'decoder_embed');
    const [, tokens] = y.shape;
    const kept = np.matmul(data.spread, rowsOf(y.ref, 1, tokens));
    const all = kept.add(np.expandDims(data.mask.ref, 2).mul(get('mask_token')));
    x = np.concatenate([rowsOf(y, 0, 1), all], 1).add(data.decoder_pos_embed);
    for (let i = 0; i < work.decoder_depth; i++) x = block(x, `decoder_blocks.${i}`, work.decoder_num_heads);
    const length = x.shape[1];
    const pred = linear(rowsOf(norm(x, 'decoder_norm'), 1, length), 'decoder_pred');
    const error = np.mean(np.square(pred.sub(data.target)), -1);
    tree.dispose(weights);
    return np.sum(error.mul(data.mask)).div(removed);
  }

  const decaying = new Set(work.decaying);
  /** `corrections`: 1 - beta^t of both moments. */
  const step = jit((weights, m, v, corrections, data) => {
    const [value, grads] = valueAndGrad(loss)(tree.ref(weights), data);
    const next = { weights: {}, m: {}, v: {} };
    const [c1, c2] = np.split(corrections, 2);
    for (const name of work.weights) {
      const g = grads[name];
      const decay = decaying.has(name) ? 1 - lr * weight_decay : 1;
      const m1 = m[name].mul(betas[0]).add(g.ref.mul(1 - betas[0]));
      const v1 = v[name].mul(betas[1]).add(np.square(g).mul(1 - betas[1]));
      const size = np.sqrt(v1.ref.div(c2.ref)).add(eps);
      next.weights[name] = weights[name].mul(decay).sub(m1.ref.div(c1.ref).div(size).mul(lr));
      next.m[name] = m1;
      next.v[name] = v1;
    }
    c1.dispose();
    c2.dispose();
    return [value, next];
  });

  const state = {
    weights: Object.fromEntries(work.weights.map((name) => [name, on(name)])),
    m: Object.fromEntries(work.weights.map((name) => [name, np.zeros([...inputs[name].shape])])),
    v: Object.fromEntries(work.weights.map((name) => [name, np.zeros([...inputs[name].shape])])),
  };
  let done = 0;
  return {
    run: async (times) => {
      let last = Number.NaN;
      for (let i = 0; i < times; i++) {
        done++;
        const corrections = np.array(Float32Array.from(betas, (beta) => 1 - beta ** done));
        const [value, next] = step(state.weights, state.m, state.v, corrections, tree.ref(fixed));
        Object.assign(state, next);
        await jax.blockUntilReady(tree.leaves(state));
        [last] = await value.data();
      }
      return last;
    },
    dispose: () => tree.dispose([state, fixed]),
  };
}
