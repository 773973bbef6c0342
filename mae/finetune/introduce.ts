// What a fine-tuning run is about to do, told before its first step is compiled.
import type { Engine } from '../../engine/engine.ts';
import type { Dataset } from '../data/dataset.ts';
import { type Classifier, classifierSpecs } from '../model/classifier.ts';
import { millionsText, parameterCount } from '../model/parameter-count.ts';
import { adapterText, epochText } from '../train/introduce.ts';
import type { Reporter } from '../train/reporter.ts';
import type { Updates } from '../train/updates.ts';
import type { FinetuneOptions } from './options.ts';

interface Made {
  readonly classifier: Classifier;
  readonly train: Dataset;
  readonly val: Dataset;
  readonly updates: Updates;
}

export function introduce(
  engine: Engine,
  { finetune: encoder, output_dir }: FinetuneOptions,
  { classifier: { config, parameters }, train, val, updates }: Made,
  { note }: Reporter,
): void {
  const all = parameterCount(classifierSpecs(config));
  const trained = parameterCount(parameters.trainable);
  const share = trained === all ? '' : `, of which ${millionsText(trained)} are trained`;
  const from = encoder ? `encoder of ${encoder}` : 'from scratch';
  const head = config.pool === 'gap' ? 'the mean over patches' : 'the cls token';
  const images = `${train.length} images of ${config.nb_classes} classes, ${val.length} for validation`;
  note(adapterText(engine));
  note(`model: ${from}, ${millionsText(all)} parameters${share}, head on ${head}`);
  note(`data: ${images}, ${epochText(updates)}; results in ${output_dir}`);
}
