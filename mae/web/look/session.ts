// The model on the visitor's GPU: an image is put there once, and every mask over it is one pass.
import { type Device, Engine, type Program, type Variable } from '../../../engine/index.ts';
import {
  attentionProgram,
  type ChosenMask,
  headMean,
  type LoadedAutoencoder,
  loadPretrained,
  MaskedAutoencoder,
  type Pass,
  Rebuilder,
  rolloutOf,
  type View,
  VisionEncoder,
} from '../../browser.ts';
import { millionsText } from '../../model/parameter-count.ts';

/** The attention of every token (T * T) in the mean over heads, block by block. */
export type Attention = readonly Float64Array[];

export class Session {
  readonly view: View;
  readonly maskRatio: number;
  readonly #engine: Engine;
  readonly #loaded: LoadedAutoencoder;
  #img!: Variable;
  #rebuilder!: Rebuilder;
  #attention!: Program<Record<never, never>, string>;
  #shown: Float32Array | null = null;

  private constructor(engine: Engine, loaded: LoadedAutoencoder) {
    const { config, data, maskRatio } = loaded;
    this.view = { config, mean: data.mean, std: data.std };
    this.maskRatio = maskRatio;
    this.#engine = engine;
    this.#loaded = loaded;
    this.#begin();
  }

  /** @throws where the weights are no autoencoder of colour images */
  static async open(device: Device, weights: Blob): Promise<Session> {
    const loaded = await loadPretrained(weights);
    if (loaded.kind !== 'autoencoder') throw new Error(`the weights are those of a ${loaded.kind}, not an autoencoder`);
    const { in_chans } = loaded.config;
    if (in_chans !== 3) throw new Error(`the model takes images of ${in_chans} channels, pictures have 3`);
    const engine = new Engine(device);
    try {
      return new Session(engine, loaded);
    } catch (error) {
      engine.dispose();
      throw error;
    }
  }

  /** A sentence on the model. */
  describe(): string {
    const { config, data, maskRatio, report } = this.#loaded;
    const [height, width] = config.img_size;
    const target = config.norm_pix_loss ? ', and predicts patches without their brightness and contrast' : '';
    return (
      `The model has ${millionsText(report.parameters)} parameters and sees ${width} × ${height} pixels in patches of ` +
      `${config.patch_size} × ${config.patch_size}. It was trained on ${shortName(data.name)} with ${Math.round(100 * maskRatio)} % hidden${target}.`
    );
  }

  #begin(): void {
    const { config, weights } = this.#loaded;
    const tokens = 1 + (config.img_size[0] / config.patch_size) * (config.img_size[1] / config.patch_size);
    this.#img = this.#engine.variable('picture', [1, config.in_chans, ...config.img_size]);
    this.#rebuilder = new Rebuilder(this.#engine, new MaskedAutoencoder(this.#engine, config, weights), this.#img);
    const encoder = new VisionEncoder(this.#engine, config, weights);
    this.#attention = attentionProgram(this.#engine, encoder, this.#img, {
      blocks: () => true,
      first: 0,
      rows: tokens,
    });
    this.#shown = null;
  }

  /** Frees what it has on the device, which stays. */
  dispose(): void {
    this.#engine.dispose();
  }

  /** Begins anew after the device was lost; an image has to be shown again. */
  async renew(): Promise<void> {
    await this.#engine.renew();
    this.#begin();
  }

  /** (C, H, W), normalised: what passes are over from here on. Only between passes: none may be under way. */
  show(img: Float32Array): void {
    if (img === this.#shown) return;
    this.#shown = img;
    this.#engine.write(this.#img, img as Float32Array<ArrayBuffer>);
  }

  pass(mask: ChosenMask): Promise<Pass> {
    return this.#rebuilder.pass(mask);
  }

  /** Of the image that is shown, every patch of it seen. */
  async attention(): Promise<Attention> {
    const { config } = this.view;
    const maps = (await (await this.#attention.run({})).read()) as Record<string, Float32Array>;
    return Array.from({ length: config.depth }, (_, block) => headMean(maps[block], config.num_heads));
  }
}

/** What patch `l` takes from every patch (L): in one block, or rolled out over all of them (`block` null). */
export function lookFrom(attention: Attention, l: number, block: number | null): Float64Array {
  if (block === null) return rolloutOf(attention, 1 + l).slice(1);
  const tokens = Math.round(Math.sqrt(attention[block].length));
  return attention[block].slice((1 + l) * tokens + 1, (2 + l) * tokens);
}

/** Of a set by its name, or of a folder's path its last part: where a file lay is nobody's concern. */
const shortName = (name: string): string =>
  name
    .replace(/^train of | train$/g, '')
    .replace(/[/\\]+$/, '')
    .split(/[/\\]/)
    .pop() || name;
