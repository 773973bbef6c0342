// The training step that a command measures: its flags (those of pretrain), and what they say.
import { type Command, Option } from 'commander';
import type { Precision } from '../../engine/trace.ts';
import { configure, lenKeep, type MaeConfig, patchesOf } from '../model/config.ts';
import { OPTIONS } from '../train/options.ts';
import type { OptionSpec } from '../train/table.ts';
import { asUsage, misuse } from '../usage.ts';
import { type Flags, value } from './command.ts';

export interface TrialSizes {
  readonly config: MaeConfig;
  readonly batchSize: number;
  readonly maskRatio: number;
  readonly precision: Precision | undefined;
  readonly checkpointBlocks: boolean;
}

const DEFAULT_MODEL = 'mae_vit_nano_patch4_32';
const SIZES = [
  'input_size',
  'patch_size',
  'in_chans',
  'embed_dim',
  'depth',
  'num_heads',
  'decoder_embed_dim',
  'decoder_depth',
  'decoder_num_heads',
  'norm_pix_loss',
  'dropout',
] as const;
const RUN = ['batch_size', 'mask_ratio', 'precision', 'checkpoint_blocks'] as const;

/** @param without flags that mean nothing to this command */
export function addSizes(command: Command, without: readonly string[] = []): void {
  command.addOption(
    new Option('--model <NAME>', `preset of sizes; those below change it (default: ${DEFAULT_MODEL})`).helpGroup(
      'Sizes:',
    ),
  );
  for (const name of [...SIZES, ...RUN]) {
    if (without.includes(name)) continue;
    const { kind, help, standard }: OptionSpec<unknown> = OPTIONS[name];
    const known = standard === undefined || !kind.value ? '' : ` (default: ${standard})`;
    command.addOption(
      new Option(
        kind.value ? `--${name} <${kind.value}>` : `--${name}`,
        known ? help.replace(/ \(default.*/, '') + known : help,
      ).helpGroup('Sizes:'),
    );
  }
}

export function sizesOf(flags: Flags): TrialSizes {
  const of = <N extends (typeof SIZES | typeof RUN)[number]>(name: N) =>
    value(flags, name, OPTIONS[name].kind as OptionSpec<never>['kind']);
  const sizes = Object.fromEntries(SIZES.slice(1).map((name) => [name, of(name)]));
  const config = asUsage(() =>
    configure(value(flags, 'model', OPTIONS.model.kind) ?? DEFAULT_MODEL, { ...sizes, img_size: of('input_size') }),
  );
  const maskRatio = of('mask_ratio') ?? OPTIONS.mask_ratio.standard;
  const patches = patchesOf(config);
  if (asUsage(() => lenKeep(patches, maskRatio)) === patches)
    misuse(`--mask_ratio ${maskRatio} removes none of ${patches} patches: raise it above ${1 / patches}`);
  return {
    config,
    maskRatio,
    batchSize: of('batch_size') ?? OPTIONS.batch_size.standard,
    precision: of('precision') as Precision | undefined,
    checkpointBlocks: of('checkpoint_blocks') ?? false,
  };
}

/** What is measured, in one line. */
export const whatText = ({ config: c, batchSize, maskRatio }: TrialSizes): string =>
  `${batchSize} images of ${c.img_size.join(' x ')} x ${c.in_chans}, patches of ${c.patch_size}, ${maskRatio} masked; ` +
  `encoder ${c.embed_dim} x ${c.depth}, decoder ${c.decoder_embed_dim} x ${c.decoder_depth}`;
