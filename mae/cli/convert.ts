// `tesserae convert IN OUT`: says what a file of weights is, and writes it in another format.
import { basename } from 'node:path';
import type { Command } from 'commander';
import picocolors from 'picocolors';
import { imageSize, oneOf, whole } from '../train/flags.ts';
import { misuse } from '../usage.ts';
import type { Loaded } from '../weights/loaded.ts';
import { makeReporter } from './progress.ts';
import { columns, examples, type Flags, outOf, value } from './command.ts';

/** What can be written, and what a path that does not say ends in. */
const FORMATS = ['tesserae', 'mae', 'huggingface'] as const;
type Format = (typeof FORMATS)[number];
/** What others call them, and where it goes. */
const ALSO: Readonly<Record<string, string>> = {
  timm: "timm's names are those of facebookresearch/mae: --to mae, with --encoder where a decoder would be in the way",
  hf: '--to huggingface',
  transformers: '--to huggingface',
  onnx: 'tesserae onnx writes ONNX',
};

export function define(command: Command): void {
  command
    .argument('<in>', 'a file, a folder, an address, or OWNER/NAME of the Hugging Face hub')
    .argument('[out]', 'a .safetensors file, or a folder for transformers; without it the weights are only described')
    .option('--output <PATH>', 'the same as OUT')
    .option('--to <NAME>', `one of ${FORMATS.join(', ')} (default: tesserae for a .safetensors file, else huggingface)`)
    .option('--encoder', 'leave decoder or head out')
    .option('--num_heads <N>', 'of the encoder, where the file does not say: PyTorch files of unusual widths')
    .option('--decoder_num_heads <N>', 'of the decoder, likewise')
    .option('--input_size <N|HxW>', 'of images that are not square, where the file does not say')
    .option('--norm_pix_loss', 'it predicts normalised pixels, where the file does not say')
    .option('--half', 'weights rounded to f16, in a file of Tesserae: half the size')
    .option('--overwrite', 'replace what OUT holds')
    .addHelpText(
      'after',
      `\nReads facebookresearch/mae's .pth (either kind of PyTorch file; full, encoder, fine-tuned or linear probe), folders of Hugging Face's
ViTMAEForPreTraining, ViTMAEModel and ViTForImageClassification (one file or shards), timm's ViT as safetensors, and our own. What a file is
follows from its content. Other commands take all of these as they are: converting is for use elsewhere. Names, and what is refused:
mae/weights/README.md.\n${examples(
        ['tesserae convert mae_pretrain_vit_base_full.pth', 'what it is'],
        ['tesserae convert mae_visualize_vit_base.pth vit-mae-base', 'a folder for transformers'],
        ['tesserae convert facebook/vit-mae-base mae.safetensors --to mae', 'for safetensors.torch.load_file'],
        [
          'tesserae convert runs/photos/checkpoint.safetensors vit.safetensors --to mae --encoder',
          'for timm, whose names are the same',
        ],
      )}`,
    )
    .action(run);
}

async function run(path: string, place: string | undefined, flags: Flags): Promise<void> {
  const out = outOf(place, flags);
  const also = ALSO[String(flags.to).toLowerCase()];
  if (also) misuse(`--to ${flags.to}: ${also}`);
  const to = (value(flags, 'to', oneOf(FORMATS)) as Format | undefined) ?? formatOf(out);
  if (out !== undefined && /\.onnx$/i.test(out))
    misuse(`${out}: tesserae onnx ${path} ${out} writes ONNX, and has the flags for it`);
  if (out !== undefined && to !== 'huggingface' && !/\.safetensors$/i.test(out))
    misuse(`--to ${to} writes one file: OUT must end in .safetensors, got ${out}`);
  if (out !== undefined && /\.(pth?|bin|ckpt|tar|npz|h5|pkl)$/i.test(out))
    misuse(
      `${out}: written are .safetensors files (--to mae by the names of facebookresearch/mae) and folders for transformers`,
    );
  if (out !== undefined && flags.to === undefined && to === 'huggingface' && /\.[a-z]\w*$/i.test(basename(out)))
    misuse(
      `${out} would be a folder for transformers: end OUT in .safetensors for a file, or say --to huggingface if a folder of that name is meant`,
    );
  if (flags.half === true && (out === undefined || to !== 'tesserae'))
    misuse('--half is for a .safetensors file of Tesserae: give it as OUT, without --to');
  const [{ loadWeights }, { describe }] = await Promise.all([
    import('../weights/node.ts'),
    import('../weights/describe.ts'),
  ]);
  if (out !== undefined) await refuseExisting(path, out, to, flags.overwrite === true);
  const reporter = makeReporter();
  const loaded = await loadWeights(path, {
    sizesOnly: out === undefined,
    progress: reporter.fetching,
    only: flags.encoder === true ? 'encoder' : undefined,
    num_heads: value(flags, 'num_heads', whole(1)),
    decoder_num_heads: value(flags, 'decoder_num_heads', whole(1)),
    img_size: value(flags, 'input_size', imageSize()),
    norm_pix_loss: flags.norm_pix_loss === true ? true : undefined,
  });
  reporter.finish();
  const rows = describe(loaded).map(([what, text]) => [picocolors.dim(what), text]);
  process.stdout.write(`${picocolors.bold(path)}\n${columns(rows).join('\n')}\n`);
  if (out === undefined) return;
  await write(loaded, out, to, flags.half === true);
  process.stdout.write(`${out} has it ${WRITTEN[to]}\n`);
}

const WRITTEN: Readonly<Record<Format, string>> = {
  tesserae: 'as a checkpoint of Tesserae',
  mae: "by facebookresearch/mae's names: model.load_state_dict(safetensors.torch.load_file(…))",
  huggingface: 'for transformers: from_pretrained takes the folder',
};

const formatOf = (out: string | undefined): Format =>
  out === undefined || /\.safetensors$/i.test(out) ? 'tesserae' : 'huggingface';

/** Before minutes of reading. */
async function refuseExisting(path: string, out: string, to: Format, overwrite: boolean): Promise<void> {
  const { realpath, stat } = await import('node:fs/promises');
  const { join } = await import('node:path');
  const found = await stat(out).catch(() => null);
  if (found && (to === 'huggingface') !== found.isDirectory())
    misuse(`${out} is a ${found.isDirectory() ? 'folder' : 'file'}: choose another OUT`);
  const file = to === 'huggingface' ? join(out, 'model.safetensors') : out;
  // Of a run's checkpoint the training state would be gone, of a PyTorch file whatever is not a weight.
  const [from, into] = await Promise.all([path, file].map((name) => realpath(name).catch(() => null)));
  if (into !== null && (into === from || into === (from && join(from, 'model.safetensors'))))
    misuse(`${file} is what is read: choose another OUT`);
  if (!overwrite && (await stat(file).catch(() => null))) misuse(`${file} is there already: --overwrite replaces it`);
}

async function write(loaded: Loaded, out: string, to: Format, half: boolean): Promise<void> {
  const [{ hfFiles, maeFile }, { saveLoaded }, { makeFolder, writeFileAtomic }, { dirname, join }] = await Promise.all([
    import('../weights/export.ts'),
    import('../weights/save.ts'),
    import('../../engine/node/files.ts'),
    import('node:path'),
  ]);
  // What a format cannot hold is refused before there is a folder.
  const folder = to === 'huggingface' ? [...hfFiles(loaded)] : [];
  const file = to === 'mae' ? maeFile(loaded) : [];
  await makeFolder(to === 'huggingface' ? out : dirname(out), 'convert');
  if (to === 'tesserae') return saveLoaded(out, loaded, { half });
  if (to === 'mae') return writeFileAtomic(out, file);
  for (const [name, chunks] of folder) await writeFileAtomic(join(out, name), chunks);
}
