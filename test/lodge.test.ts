// Transients that live in slabs of gradients: nothing that is still needed is written over, and gradients keep their bits.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import type { Plan } from '../engine/plan.ts';
import { bytesOf, numel, type Slab, type Storage } from '../engine/tensor.ts';
import { TINY, tinyBatch, tinyTraining } from './support/tiny.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const device = await openDawn({ profile: 'simt', raiseLimits: false });
/** Wide enough that most parameters have no gap behind them: there nothing can lodge. */
const WIDE = { ...TINY, embed_dim: 128, decoder_embed_dim: 128 };
const shapesOf = (batch: number) => ({
  img: [batch, TINY.in_chans, ...TINY.img_size],
  noise: [batch, (TINY.img_size[0] * TINY.img_size[1]) / TINY.patch_size ** 2],
});

/** One use of bytes [from, to) of a slab by a call. */
interface Use {
  at: number;
  from: number;
  to: number;
  read: boolean;
  write: boolean;
  guest: Storage | null;
}

function grouped<K, V>(values: readonly V[], by: (value: V) => K): Map<K, V[]> {
  const groups = new Map<K, V[]>();
  for (const value of values) groups.set(by(value), [...(groups.get(by(value)) ?? []), value]);
  return groups;
}

/** Every use of a slab, by what calls it home and by what lodges there. */
function usesOf(plan: Plan, slab: Slab): Use[] {
  return plan.steps.flatMap(({ call: { kernel, bindings, writes } }, at) =>
    Object.entries(bindings).flatMap(([name, t]): Use[] => {
      const home = t?.storage.home;
      const lodging = t && plan.lodgings.get(t.storage);
      const owner = home?.kind === 'slab' && home.slab === slab;
      if (!t || !(owner || lodging?.slab === slab)) return [];
      const from = owner ? bytesOf(slab.dtype, home.offset) : (lodging as { offset: number }).offset;
      const write = writes.includes(name);
      const read = !write || kernel.inout.includes(name);
      const to = from + bytesOf(t.dtype, numel(t.shape));
      return [{ at, from, to, read, write, guest: owner ? null : t.storage }];
    }),
  );
}

// Two images of the narrow one: some of its values are smaller than the smallest parameters.
for (const [config, images] of [
  [TINY, 2],
  [WIDE, 8],
] as const) {
  test(`${config.embed_dim} wide: a lodger is gone before its place is written, and no call reads the buffer that it writes`, () => {
    const engine = new Engine(device);
    const { trainer } = tinyTraining(engine, seed, {}, config);
    const shapes = shapesOf(images);
    const plan = trainer.plan(shapes);
    assert.ok(plan.lodgings.size >= 3, `${plan.lodgings.size} lodge`);
    const slabs = new Set([...plan.lodgings.values()].map(({ slab }) => slab));
    for (const slab of slabs) {
      const uses = usesOf(plan, slab);
      const calls = grouped(uses, ({ at }) => at);
      for (const [at, of] of calls)
        assert.ok(of.every((u) => u.write) || of.every((u) => !u.write), `call ${at} reads and writes ${slab.label}`);
      const lodgers = [...plan.lodgings].filter(([, l]) => l.slab === slab);
      for (const [storage, { offset, bytes }] of lodgers) {
        assert.is(offset % 256, 0);
        assert.ok(bytes >= bytesOf(storage.dtype, storage.length) && offset + bytes <= slab.bytes);
        const own = uses.filter((u) => u.guest === storage).map((u) => u.at);
        const [first, last] = [Math.min(...own), Math.max(...own)];
        const here = uses.filter((u) => u.guest !== storage && u.from < offset + bytes && offset < u.to);
        const spans = grouped(here, (u) => u.guest);
        for (const [other, list] of spans) {
          const [from, to] = [Math.min(...list.map((u) => u.at)), Math.max(...list.map((u) => u.at))];
          assert.ok(
            last < from || (other && to < first),
            `calls ${first} to ${last} and ${from} to ${to} share a place`,
          );
        }
        // Whatever its place is for, it is written before anything reads it, byte by byte.
        const owners = here.filter((u) => !u.guest);
        const edges = [...new Set([offset, offset + bytes, ...owners.flatMap((u) => [u.from, u.to])])].sort(
          (a, b) => a - b,
        );
        for (const edge of edges.filter((e) => e >= offset && e < offset + bytes)) {
          const earliest = owners.find((u) => u.from <= edge && edge < u.to);
          assert.ok(earliest?.write && !earliest.read, `byte ${edge} of ${slab.label} is not written first`);
        }
      }
    }
    // Gradients of an earlier micro-batch are still needed.
    assert.is(trainer.plan(shapes, 2).lodgings.size, 0);
    engine.dispose();
  });

  test(`${config.embed_dim} wide: gradients that were lent out have the bits of others, and their slabs only zeros between them`, async () => {
    const engine = new Engine(device);
    const { trainer, model, keep, optimizer } = tinyTraining(engine, seed, {}, config);
    const alone = engine.compile({ img: 'f32', noise: 'f32' }, ({ img, noise }, t) => {
      const grads = t.backward(model.forward(img, noise, keep).loss);
      return Object.fromEntries([...grads].map(([v, g]) => [v.name, g]));
    });
    const batch = tinyBatch(images, seed, config);
    const expected = await (await alone.run(batch)).read();
    const calls = trainer.plan(shapesOf(images)).steps.length;
    for (let turn = 0; turn < 2; turn++) {
      // An inspection that ends half way leaves activations where gradients belong; a step must not take them for any.
      let left = 1 + (seed % calls);
      await trainer.inspect([batch], async () => --left === 0);
      await (await trainer.step(batch, { lr: 0 }))[0].read();
      for (const [variable, kept] of optimizer.gradients)
        assert.equal(
          await engine.read(kept),
          expected[variable.name] ?? new Float32Array(numel(kept.shape)),
          variable.name,
        );
    }
    const covered = new Map<Slab, Uint8Array>();
    for (const { slab, offset, shape } of optimizer.gradients.values()) {
      if (!covered.has(slab)) covered.set(slab, new Uint8Array(slab.length));
      covered.get(slab)?.fill(1, offset, offset + numel(shape));
    }
    for (const [slab, is] of covered) {
      const all = new Float32Array(await engine.memory.read(engine.memory.slab(slab), 0, slab.bytes));
      assert.ok(is.includes(0), 'some parameters have gaps behind them');
      assert.ok(all.every((x, i) => is[i] || x === 0));
    }
    engine.dispose();
  });
}

test.after(() => device.dispose());
test.run();
