// What a file of weights is, in lines that people read: kind, sizes, target, what is missing and what was left out.
import { millionsText } from '../model/parameter-count.ts';
import type { Loaded } from './loaded.ts';
import { listText } from './take.ts';

const KINDS: Readonly<Record<Loaded['kind'], string>> = {
  autoencoder: 'a masked autoencoder: encoder and decoder',
  encoder: 'an encoder alone',
  classifier: 'a classifier',
};
const POOLS = {
  gap: 'the mean over patches, after a norm of its own',
  cls: 'the cls token',
  normed: 'the mean over normed patches',
} as const;

/** [what, value] rows. */
export function describe(loaded: Loaded): (readonly [what: string, value: string])[] {
  const { kind, config: c, report, data } = loaded;
  const [height, width] = c.img_size;
  const rows: (readonly [string, string])[] = [
    ['is', `${KINDS[kind]}, by the names of ${report.format} (${report.container})`],
    ['images', `${height} x ${width} x ${c.in_chans}, patches of ${c.patch_size} x ${c.patch_size}`],
    [
      'encoder',
      `${c.embed_dim} wide, ${count(c.depth, 'block')} of ${count(c.num_heads, 'head')}, MLP ${c.mlp_ratio} x, eps ${c.ln_eps.toExponential()}`,
    ],
    ['positions', c.pos_embed === 'learned' ? 'learned' : (c.pos_embed ?? 'sincos')],
  ];
  if (loaded.kind === 'autoencoder') {
    const { decoder_embed_dim, decoder_depth, decoder_num_heads, objective } = loaded.config;
    if (objective !== 'simmim')
      rows.push([
        'decoder',
        `${decoder_embed_dim} wide, ${count(decoder_depth, 'block')} of ${count(decoder_num_heads, 'head')}`,
      ]);
    rows.push([
      'predicts',
      loaded.target ?? 'not said; taken as pixels (--norm_pix_loss where it predicts normalised ones)',
    ]);
    rows.push(['mask ratio', String(loaded.maskRatio)]);
  }
  if (loaded.kind === 'classifier')
    rows.push(['classes', `${loaded.config.nb_classes}, from ${POOLS[loaded.config.pool]}`]);
  rows.push(['normalised', `mean ${data.mean.map(short).join(' ')}, std ${data.std.map(short).join(' ')}`]);
  rows.push(['parameters', millionsText(report.parameters)]);
  rows.push(['missing', listText(report.missing) || 'nothing']);
  const left = [...report.unexpected, ...report.besides.map((part) => `${part} (not weights)`)];
  rows.push(['left out', listText(left, 8) || 'nothing']);
  for (const note of report.notes) rows.push(['note', note]);
  return rows;
}

const short = (x: number): string => String(Number(x.toFixed(4)));
const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;
