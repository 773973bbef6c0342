// `tesserae conformance CASE`: recomputes what an independent implementation computed, and says how far apart they are.
import type { Command } from 'commander';
import picocolors from 'picocolors';
import { fail } from '../../engine/errors.ts';
import type { RawTensor } from '../../engine/rawtensor.ts';
import type { Safetensors } from '../../engine/safetensors.ts';
import type { ConformanceResult } from '../agreement.ts';
import { PRECISIONS } from '../../engine/trace.ts';
import { oneOf, text } from '../train/flags.ts';
import { misuse } from '../usage.ts';
import { columns, examples, type Flags, globalsOf, openEngine, value } from './command.ts';

const { green, red, yellow, dim } = picocolors;

const CASES = `
Where a case comes from:
  None comes along. Run another implementation (facebookresearch/mae in PyTorch, say) once on weights and images of
  your choice, and write what went in and what came out into one .safetensors file:
    param.NAME, img (B, C, H, W), noise (B, L)    weights by facebookresearch/mae's names, and inputs
    mask, ids_keep, ids_restore, target, act.*,
    latent, pred, loss, grad.NAME                 what came of them; those that are there are compared
    train.img, train.noise, train.lr              steps of AdamW from those weights on,
    train.loss, final.NAME                        and what came of them
    probe.*                                       a linear probe, where there is one
  Its metadata are JSON: config {img patch dim depth heads dec_dim dec_depth dec_heads mlp_ratio norm_pix ln_eps len_keep}
  and adamw {betas eps weight_decay no_decay}. mae/conformance.ts reads it; test/support/conformance-case.ts makes one.
`;

export function define(command: Command): void {
  command
    .argument('[case]', 'a .safetensors file with weights, images, noise and what should come of them')
    .option('--dump <FILE>', 'write every computed tensor to a .safetensors file, under the names of the case')
    .option('--precision <NAME>', 'f32, or f16: products of f16 numbers (default: f32; f16 with --profile matrix)')
    .addHelpText(
      'after',
      `${CASES}\nThe error of a group is the worst of its tensors: norm of the difference over norm of the reference.\nExit code 1 where one is over its bound.\n${examples(
        ['tesserae conformance case.safetensors', 'on the kernels that fit the adapter'],
        ['tesserae conformance case.safetensors --profile simt --dump simt.safetensors', 'on the kernels for any GPU'],
      )}`,
    )
    .action(run);
}

async function run(path: string | undefined, flags: Flags, command: Command): Promise<void> {
  if (path === undefined) {
    misuse(
      'conformance: name a case: a .safetensors file of another implementation, with its weights (param.*), images, noise, and what it computed from them',
    );
  }
  const dump = value(flags, 'dump', text('FILE'));
  const precision = value(flags, 'precision', oneOf(PRECISIONS));
  const file = await readCase(path);
  const { caseConfig, runConformance } = await import('../conformance.ts');
  caseConfig(file); // told before a device is opened
  using engine = await openEngine(globalsOf(command), { precision });
  const result = await runConformance(engine, file);
  process.stdout.write(`${table(result).join('\n')}\n`);
  if (dump !== undefined) {
    await writeDump(dump, result.computed);
    process.stdout.write(`${result.computed.size} tensors are in ${dump}\n`);
  }
  const failed = result.groups.filter((g) => !(g.error <= g.bound)).length;
  const { adapter, traits } = engine.device;
  const where = dim(`(profile ${traits.profile}, precision ${engine.precision}, ${adapter.description})`);
  const verdict = result.passed
    ? green(`all ${result.groups.length} groups are within their bounds`)
    : red(`${failed} of ${result.groups.length} groups are over their bounds`);
  process.stdout.write(`${verdict} ${where}\n`);
  if (!result.passed) process.exitCode = 1;
}

/** All tensors of a file, each verified; errors name the file. */
async function readCase(path: string): Promise<Safetensors> {
  const [{ openSafetensorsFile }, { readHeader, readTensor }] = await Promise.all([
    import('../../engine/node/opened.ts'),
    import('../../engine/safetensors.ts'),
  ]);
  await using source = await openSafetensorsFile(path, 'name a case (--help says what that is)');
  const header = await readHeader(source);
  if (![...header.tensors.keys()].some((name) => name.startsWith('param.'))) {
    fail(`conformance: ${path} has no tensor named param.*: is it a conformance case?`);
  }
  const tensors = new Map<string, RawTensor>();
  for (const info of header.tensors.values()) tensors.set(info.name, await readTensor(source, info));
  return { tensors, metadata: header.metadata };
}

async function writeDump(path: string, computed: ReadonlyMap<string, RawTensor>): Promise<void> {
  const [{ writeFileAtomic }, { writeSafetensors }] = await Promise.all([
    import('../../engine/node/files.ts'),
    import('../../engine/safetensors-write.ts'),
  ]);
  await writeFileAtomic(path, writeSafetensors(computed, { format: 'pt' }));
}

/** A row a group: `group tensors error bound verdict`, the worst tensor where it is over. */
export function table({ groups, missing }: ConformanceResult): string[] {
  const number = (n: number): string => (n === 0 ? '0' : n.toExponential(1));
  const rows = groups.map(({ group, tensors, error, bound, worst }) => {
    const ok = error <= bound;
    const verdict = ok ? green('ok') : red(`over, worst: ${worst}`);
    return [group, String(tensors), number(error), bound === 0 ? 'exact' : number(bound), verdict];
  });
  const known = new Set(groups.map((g) => g.group));
  for (const group of missing) {
    const what = known.has(group)
      ? 'some of its tensors are not computed by this version'
      : 'not computed by this version yet';
    rows.push([group, '', '', '', yellow(what)]);
  }
  return columns([['group', 'tensors', 'error', 'bound', ''].map((head) => dim(head)), ...rows], [1, 2, 3]);
}
