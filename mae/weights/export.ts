// Weights for other projects: one safetensors file by facebookresearch/mae's names, or what transformers' save_pretrained writes. Bits stay.
import { fail } from '../../engine/errors.ts';
import { type RawTensor, rawTensor } from '../../engine/rawtensor.ts';
import { writeSafetensors } from '../../engine/safetensors-write.ts';
import { type ClassifierConfig, classifierSpecs } from '../model/classifier.ts';
import { encoderSpecs, type MaeConfig, parameterSpecs } from '../model/config.ts';
import { hfConfig, preprocessorConfig } from './hfconfig.ts';
import type { Loaded } from './loaded.ts';
import { theirNames } from './names.ts';

/** Pieces of a file, in order. */
type Chunks = readonly Uint8Array[];
type Named = readonly [name: string, tensor: RawTensor];

export const specsOf = (loaded: Loaded) =>
  (loaded.kind === 'autoencoder'
    ? parameterSpecs(loaded.config)
    : loaded.kind === 'classifier'
      ? classifierSpecs(loaded.config)
      : encoderSpecs(loaded.config)
  ).filter(({ name }) => loaded.weights.has(name));

/**
 * One file by the reference's names: `safetensors.torch.load_file` gives the state dict that its `load_state_dict` takes. What shapes cannot
 * say is in the metadata.
 */
export function maeFile(loaded: Loaded): Chunks {
  refuseOthers(loaded, 'facebookresearch/mae');
  const tensors = specsOf(loaded).map(
    ({ name, shape }): Named => [name, rawTensor('F32', shape, valuesOf(loaded, name))],
  );
  const { data, maskRatio } = loaded;
  const unsaid = loaded.kind === 'autoencoder' && loaded.target === null;
  const config = unsaid ? { ...loaded.config, norm_pix_loss: undefined } : loaded.config;
  const said = JSON.stringify({ config, data, mask_ratio: maskRatio });
  return writeSafetensors(tensors, { format: 'pt', tesserae_export: said });
}

/** The files of a folder that transformers' `from_pretrained` reads. */
export function hfFiles(loaded: Loaded): ReadonlyMap<string, Chunks> {
  refuseOthers(loaded, 'Hugging Face');
  const { kind, config, data, maskRatio, weights } = loaded;
  if (kind === 'classifier' && config.pool !== 'cls')
    fail(
      `convert: ${loaded.name}: ViTForImageClassification judges by the cls token, this by the mean over patches: finetune with --cls_token, or write it by --to mae`,
    );
  if (!weights.has('norm.weight'))
    fail(`convert: ${loaded.name}: Hugging Face's encoders end in a norm, this one lacks it`);
  const prefix = kind === 'encoder' ? '' : 'vit.';
  const tensors = specsOf(loaded).flatMap(({ name, shape }): Named[] => {
    const values = valuesOf(loaded, name);
    const names = theirNames(name, prefix);
    const part = values.length / names.length;
    const own = [shape[0] / names.length, ...shape.slice(1)];
    return names.map((theirs, i) => [theirs, rawTensor('F32', own, values.subarray(i * part, (i + 1) * part))]);
  });
  const classes = kind === 'classifier' ? namedClasses(loaded.data.classes) : null;
  const json = (value: object): Chunks => [new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`)];
  return new Map([
    ['config.json', json(hfConfig(kind, config, { maskRatio, classes }))],
    ['preprocessor_config.json', json(preprocessorConfig(config, data))],
    ['model.safetensors', writeSafetensors(tensors, { format: 'pt' })],
  ]);
}

/** Null where they are only numbers. */
const namedClasses = (classes: readonly string[]): readonly string[] | null =>
  classes.every((name, i) => name === String(i)) ? null : classes;

const valuesOf = ({ weights, name: file }: Loaded, name: string): Float32Array =>
  weights.get(name) ?? fail(`convert: ${file} lacks ${name}`);

/** What only Tesserae has. */
function refuseOthers(loaded: Loaded, format: string): void {
  const { objective } = loaded.config as Partial<MaeConfig>;
  const { pool } = loaded.config as Partial<ClassifierConfig>;
  if (objective === 'simmim')
    fail(`convert: ${loaded.name} was trained as SimMIM, which ${format} cannot hold: --encoder leaves its head out`);
  if (pool === 'normed')
    fail(`convert: ${loaded.name} judges by the mean over normed patches, which ${format} cannot hold`);
}
