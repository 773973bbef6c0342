// Flags of facebookresearch/mae's main_linprobe.py in those of `tesserae linprobe`, so that its commands can be pasted as they are.
import { type Command, Option } from 'commander';
import { FINETUNE_UNUSED } from '../finetune/options.ts';
import { real, text, whole } from '../train/flags.ts';
import { passOver, type Unused } from '../train/table.ts';
import { misuse } from '../usage.ts';
import { addUnused, type Flags, flagText, value } from './command.ts';

const { nb_classes, dist_eval, device, start_epoch, pin_mem, no_pin_mem } = FINETUNE_UNUSED;
const { local_rank, dist_on_itp, dist_url, world_size } = FINETUNE_UNUSED;

const PROBE_UNUSED: Unused = {
  model: { value: 'NAME', why: 'the checkpoint knows its sizes' },
  accum_iter: { value: 'N', why: 'a batch of features is one pass, however large --batch_size is', only: '1' },
  weight_decay: { value: 'X', why: 'the head is trained without, as the paper does', only: '0' },
  min_lr: { value: 'X', why: 'the cosine ends at 0', only: '0' },
  log_dir: { value: 'PATH', why: 'linprobe.json in --output_dir has the numbers' },
  num_workers: { value: 'N', why: 'features are computed once, and kept' },
  resume: { value: 'PATH', why: 'a probe takes seconds and begins anew' },
  eval: { value: '', why: 'tesserae eval HEAD.safetensors judges a head that is there', only: null },
  ...{ nb_classes, dist_eval, device, start_epoch, pin_mem, no_pin_mem },
  ...{ local_rank, dist_on_itp, dist_url, world_size },
};

/** Those that mean something here, by other names. */
const RENAMED = {
  finetune: { value: 'CHECKPOINT', is: 'the checkpoint' },
  lr: { value: 'LIST', is: '--blr x batch_size / 256' },
  cls_token: { value: '', is: '--features cls' },
  global_pool: { value: '', is: '--features gap' },
} as const;

export function addProbeFlags(command: Command): void {
  for (const [name, { value, is }] of Object.entries(RENAMED))
    command.addOption(new Option(flagText(name, value), is).hideHelp());
  addUnused(command, PROBE_UNUSED);
}

/** The checkpoint and our flags alone. `batch`: images a step unless said; `note` is told of each flag that is not used. */
export function ours(
  named: string | undefined,
  given: Flags,
  batch: number,
  note: (line: string) => void,
): { path: string; flags: Flags } {
  const { finetune, lr, cls_token, global_pool, ...rest } = given;
  const kept: Record<string, Flags[string]> = {};
  for (const [name, said] of Object.entries(rest)) {
    if (!Object.hasOwn(PROBE_UNUSED, name)) kept[name] = said;
    else if (said !== undefined && said !== '') passOver(PROBE_UNUSED, name, said, `--${name}`, note);
  }
  const also = value(given, 'finetune', text('CHECKPOINT'));
  if (named !== undefined && also !== undefined) misuse(`--finetune ${also}: ${named} is named already: keep one`);
  const path = named ?? also ?? misuse('the checkpoint is missing: tesserae linprobe CHECKPOINT --data_path PATH');
  if (lr !== undefined) {
    if (kept.blr !== undefined) misuse('--lr and --blr say the same: keep one');
    const images = value(kept, 'batch_size', whole(2)) ?? batch;
    kept.blr = String(lr)
      .split(',')
      .map((one) => ((value({ lr: one }, 'lr', real({ open: true })) as number) * 256) / images)
      .join(',');
  }
  if (cls_token || global_pool) {
    if (kept.features !== undefined)
      misuse('--features says what the head sees: leave --cls_token and --global_pool out');
    kept.features = [...(cls_token ? ['cls'] : []), ...(global_pool ? ['gap'] : [])].join(',');
  }
  return { path, flags: kept };
}
