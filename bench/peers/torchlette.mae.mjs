// The masked autoencoder's training step in torchlette.

/** softmax(scale q k^T) v of (batch, heads, tokens, dim); scaledDotProductAttention gave other numbers on lavapipe. */
export function attend(api, q, k, v, dim) {
  const scores = api.matmul(q, api.transpose(k, { dim0: 2, dim1: 3 }));
  return api.matmul(api.softmax(api.mul(scores, dim ** -0.5), 3), v);
}

/** @param finish waits for the device */
export function trainingStep({ api, Adam, finish }, work, inputs) {
  const { batch: N, lr, betas, eps, weight_decay } = work;
  const on = (name, options) => api.tensorFromArray(inputs[name].data, [...inputs[name].shape], options);
  const weights = new Map(work.weights.map((name) => [name, on(name, { requiresGrad: true })]));
  const get = (name) => weights.get(name);
  const constants = ['rows', 'positions', 'spread', 'mask', 'target', 'pos_embed', 'decoder_pos_embed'];
  const fixed = Object.fromEntries(constants.map((name) => [name, on(name)]));
  const removed = inputs.mask.data.reduce((a, b) => a + b, 0);

  const linear = (x, name) => {
    const [out, ...rest] = get(`${name}.weight`).shape;
    const w = api.reshape(get(`${name}.weight`), [out, rest.reduce((a, b) => a * b, 1)]);
    return api.linear(x, w, get(`${name}.bias`));
  };
  const norm = (x, name) => api.layernorm(x, get(`${name}.weight`), get(`${name}.bias`), work.ln_eps);
  const attention = (x, name, heads) => {
    const [, tokens, width] = x.shape;
    const dim = width / heads;
    const [q, k, v] = api
      .chunk(linear(x, `${name}.qkv`), 3, 2)
      .map((part) => api.contiguous(api.permute(api.reshape(part, [N, tokens, heads, dim]), [0, 2, 1, 3])));
    const o = api.contiguous(api.permute(attend(api, q, k, v, dim), [0, 2, 1, 3]));
    return linear(api.reshape(o, [N, tokens, width]), `${name}.proj`);
  };
  const block = (x, name, heads) => {
    const y = api.add(x, attention(norm(x, `${name}.norm1`), `${name}.attn`, heads));
    const hidden = api.gelu(linear(norm(y, `${name}.norm2`), `${name}.mlp.fc1`), { approximate: 'none' });
    return api.add(y, linear(hidden, `${name}.mlp.fc2`));
  };

  const loss = () => {
    const cls = api.add(get('cls_token'), api.narrow(fixed.pos_embed, 1, 0, 1));
    const patches = api.add(linear(fixed.rows, 'patch_embed.proj'), fixed.positions);
    let x = api.cat([api.contiguous(api.expand(cls, [N, 1, work.embed_dim])), patches], 1);
    for (let i = 0; i < work.depth; i++) x = block(x, `blocks.${i}`, work.num_heads);
    const y = linear(norm(x, 'norm'), 'decoder_embed');
    const [, tokens] = y.shape;
    const kept = api.matmul(fixed.spread, api.contiguous(api.narrow(y, 1, 1, tokens - 1)));
    const all = api.add(kept, api.mul(api.unsqueeze(fixed.mask, 2), get('mask_token')));
    x = api.add(api.cat([api.contiguous(api.narrow(y, 1, 0, 1)), all], 1), fixed.decoder_pos_embed);
    for (let i = 0; i < work.decoder_depth; i++) x = block(x, `decoder_blocks.${i}`, work.decoder_num_heads);
    const rows = api.contiguous(api.narrow(norm(x, 'decoder_norm'), 1, 1, x.shape[1] - 1));
    const difference = api.sub(linear(rows, 'decoder_pred'), fixed.target);
    const error = api.mean(api.mul(difference, difference), { dim: 2 });
    return api.mul(api.sum(api.mul(error, fixed.mask)), 1 / removed);
  };

  const group = (decays, weightDecay) => ({
    params: work.weights.filter((name) => work.decaying.includes(name) === decays).map(get),
    weightDecay,
  });
  const groups = [group(true, weight_decay), group(false, 0)];
  const optimizer = new Adam(groups, { lr, betas: [...betas], eps, adamW: true }, api);
  return {
    run: async (times) => {
      let last = Number.NaN;
      for (let i = 0; i < times; i++) {
        await api.beginStep();
        const value = loss();
        last = await value.item();
        await value.backward();
        optimizer.step();
        optimizer.zeroGrad();
        api.endStep();
        await api.markStep();
        await finish();
      }
      return last;
    },
  };
}
