// Optimizers by the names of flags, and the groups that layer-wise learning rates make.
import { AdamW, type AdamWOptions } from '../../engine/optim/adamw.ts';
import type { Optimizer } from '../../engine/optim/optimizer.ts';
import { Lars, Sgd } from '../../engine/optim/sgd.ts';
import type { Parameters } from '../../engine/parameters.ts';

/** An optimizer by the names of flags. */
export interface OptimizerChoice {
  /** adamw, sgd or lars; adamw unless said */
  readonly opt: string;
  readonly momentum: number;
  readonly nesterov: boolean;
}

/** `options.betas` are AdamW's alone. */
export function makeOptimizer(
  parameters: Parameters,
  { opt = 'adamw', momentum = 0.9, nesterov = false }: Partial<OptimizerChoice>,
  options: AdamWOptions,
): Optimizer {
  if (opt === 'sgd') return new Sgd(parameters, { ...options, momentum, nesterov });
  if (opt === 'lars') return new Lars(parameters, { ...options, momentum });
  return new AdamW(parameters, options);
}

/**
 * Layer-wise learning rates (Clark et al. 2020; facebookresearch/mae's util/lr_decay.py): decay^(depth + 1 - layer), where embeddings are
 * layer 0, block i is layer i + 1, and norm and head are layer depth + 1. Weight decay is for matrices alone, not for cls token and positions.
 */
export function layerGroups(depth: number, layerDecay: number, weightDecay: number) {
  return ({ name, shape }: { name: string; shape: readonly number[] }): { weightDecay: number; lrScale: number } => {
    const block = /^blocks\.(\d+)\./.exec(name);
    const embeds = name === 'cls_token' || name === 'pos_embed' || name.startsWith('patch_embed.');
    const layer = block ? Number(block[1]) + 1 : embeds ? 0 : depth + 1;
    const exempt = shape.length < 2 || name === 'cls_token' || name === 'pos_embed';
    return { weightDecay: exempt ? 0 : weightDecay, lrScale: layerDecay ** (depth + 1 - layer) };
  };
}
