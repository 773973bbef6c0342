// What options say of the model and of the learning rate.
import { configure, type MaeConfig } from '../model/config.ts';
import { asUsage } from '../usage.ts';
import type { PretrainOptions } from './options.ts';
import { scaledRate } from './schedule.ts';

/** The model that the options describe. */
export function modelConfig(options: PretrainOptions): MaeConfig {
  const { patch_size, in_chans, embed_dim, depth, num_heads, decoder_embed_dim, decoder_depth, decoder_num_heads } =
    options;
  const { model, input_size: img_size, norm_pix_loss, dropout, objective, pos_embed } = options;
  const loss = options.loss ?? (objective === 'simmim' ? 'l1' : 'mse');
  // What is as it always was stays unsaid: files of before these were options say the same.
  const kind = {
    ...(objective === 'mae' ? {} : { objective: objective as MaeConfig['objective'] }),
    ...(loss === 'mse' ? {} : { loss: loss as MaeConfig['loss'] }),
    ...(pos_embed === 'sincos' ? {} : { pos_embed: pos_embed as MaeConfig['pos_embed'] }),
  };
  const sizes = {
    patch_size,
    in_chans,
    embed_dim,
    depth,
    num_heads,
    decoder_embed_dim,
    decoder_depth,
    decoder_num_heads,
  };
  return asUsage(() => configure(model, { img_size, norm_pix_loss, dropout, ...sizes, ...kind }));
}

/** The peak learning rate: --lr, else what the effective batch gives. */
export const peakRate = ({ lr, blr, batch_size, accum_iter }: PretrainOptions): number =>
  lr ?? scaledRate(blr, batch_size * accum_iter);

/** What the loss of pretraining with these options measures: losses of different measures cannot be compared. */
export function lossMeasure({ objective, loss, norm_pix_loss, mask_ratio }: Readonly<Record<string, unknown>>): string {
  const error = (loss ?? (objective === 'simmim' ? 'l1' : 'mse')) === 'l1' ? 'absolute' : 'squared';
  const masked = `${Math.round(1000 * Number(mask_ratio)) / 10} % masked`;
  return `${error} error of ${norm_pix_loss ? 'normalised' : 'plain'} pixels, ${masked}`;
}
