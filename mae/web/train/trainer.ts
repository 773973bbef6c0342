// A pretraining run that somebody watches: it pauses, takes another learning rate or mask ratio, gives its checkpoint at any time, and
// outlives its device. It is the run of `tesserae pretrain`; needs neither a page nor Node.
import type { Engine } from '../../../engine/engine.ts';
import { fail, TesseraeError } from '../../../engine/errors.ts';
import { lenKeep, patchesOf } from '../../model/config.ts';
import { initialWeights } from '../../model/init.ts';
import type { Checkpoint } from '../../train/checkpoint.ts';
import { modelConfig, peakRate } from '../../train/configured.ts';
import { divided, type TrainingData } from '../../train/divided.ts';
import { encodeCheckpoint } from '../../train/encodemodel.ts';
import type { PretrainOptions } from '../../train/options.ts';
import { type Ingredients, pretrainParts, PretrainRun } from '../../train/pretraining.ts';
import { unbroken } from '../../train/recovery.ts';
import type { Reporter } from '../../train/reporter.ts';
import { adapterOf } from '../../train/restore.ts';
import type { Kept } from '../../train/setup.ts';
import { LookClock, ShownImages } from './fixed.ts';
import { PageJournal } from './journal.ts';
import type { Changes, News } from './messages.ts';
import { fewerPictures as smaller } from './recipe.ts';

interface TrainerOptions {
  /** Of the precision that the checkpoint has; the trainer does not dispose of it. */
  readonly engine: Engine;
  readonly options: PretrainOptions;
  /** Of which the options say what is kept back; held-out images of its own, if it has any. */
  readonly data: TrainingData;
  readonly from: Checkpoint | null;
  readonly tell: (news: News) => void;
}

/** Between two looks at the fixed images, and at the held-out ones besides those at the ends of epochs. */
const PICTURES_MS = 1000;
const HELDOUT_MS = 5000;
/** Where device after device is lost. */
const REMEDY = 'its checkpoint can still be downloaded; fewer pictures a step may help';

/** What is done between two steps. */
type Task = (run: PretrainRun) => Promise<void> | void;

export class LiveTrainer {
  readonly #engine: Engine;
  readonly #tell: (news: News) => void;
  readonly #data: TrainingData;
  readonly #from: Checkpoint | null;
  readonly #pictures = new LookClock(PICTURES_MS);
  readonly #heldout = new LookClock(HELDOUT_MS);
  readonly #stop = new AbortController();
  readonly #journal: PageJournal;
  #options: PretrainOptions;
  #run: PretrainRun | null = null;
  #tasks: Task[] = [];
  #paused = false;
  #wake: () => void = () => {};
  /** Once it has ended: what it left. */
  #left: Checkpoint | null = null;

  constructor({ engine, options, data, from, tell }: TrainerOptions) {
    this.#engine = engine;
    this.#options = options;
    this.#tell = tell;
    this.#data = divided(data, options);
    this.#from = from;
    const batch = options.batch_size * options.accum_iter;
    const told = (news: News): void => {
      if (news.kind === 'heldout') this.#heldout.seen();
      tell(news);
    };
    this.#journal = new PageJournal({ tell: told, batch, bytes: () => engine.stats.bytes });
    if (from?.training?.adapter === adapterOf(engine)) engine.picks = new Map(Object.entries(from.training.picks));
  }

  /** Trains to the end, or until it is stopped. Other errors than those of the device end it. */
  async train(): Promise<void> {
    try {
      const report = this.#reporter();
      const make = (from: Checkpoint | null, kept: Kept<Checkpoint> | null) => this.#make(report, from, kept);
      const { signal: stop } = this.#stop;
      await unbroken({ engine: this.#engine, report, command: 'page', from: this.#from, make, stop, remedy: REMEDY });
      this.#journal.flush();
      this.#left = this.#run?.kept?.checkpoint ?? null;
      for (const task of this.#tasks.splice(0)) await task(this.#run as PretrainRun);
      this.#tell({ kind: 'state', state: 'ended' });
    } catch (error) {
      this.#left = this.#run?.kept?.checkpoint ?? null;
      const why = (error as Error).message;
      this.#tell({ kind: 'state', state: 'failed', why });
      if (!(error instanceof TesseraeError)) throw error;
    }
  }

  /** The step that it is at is its last for now. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#wake();
  }

  /** From the next step on; what it is told later of a checkpoint says so, too. */
  change(changes: Changes): void {
    const { mask_ratio } = changes;
    const patches = patchesOf(modelConfig({ ...this.#options, in_chans: this.#data.train.channels }));
    if (mask_ratio !== undefined && lenKeep(patches, mask_ratio) === patches) {
      this.#tell({
        kind: 'note',
        line: `a hidden part of ${mask_ratio} hides none of ${patches} patches: it stays as it was`,
      });
      return;
    }
    this.#options = { ...this.#options, ...changes };
    this.#between((run) => run.change(changes));
    if (mask_ratio === undefined) return;
    this.#pictures.ask();
    this.#heldout.ask();
  }

  /** The file that Node goes on from, in chunks, as it is after the step that it is at. */
  async checkpoint(): Promise<{ step: number; bytes: Uint8Array[] }> {
    const checkpoint = this.#left ?? (await this.#taken());
    const { epoch, step } = checkpoint.training ?? fail('page: there is nothing to save yet');
    return { step: epoch * (this.#run?.steps ?? 0) + step, bytes: encodeCheckpoint(checkpoint) };
  }

  get options(): PretrainOptions {
    return this.#options;
  }

  /** Ends it after the step that it is at. */
  stop(): void {
    this.#stop.abort();
    this.#wake();
  }

  /** Destroys the device, as a driver that resets itself would: the run goes on from its last copy. */
  lose(): void {
    this.#engine.device.gpu.destroy();
  }

  #taken(): Promise<Checkpoint> {
    return new Promise((resolve) => this.#between(async (run) => resolve(await run.snapshot())));
  }

  #between(task: Task): void {
    this.#tasks.push(task);
    this.#wake();
  }

  #reporter(): Reporter {
    const note = (line: string): void => this.#tell({ kind: 'note', line });
    return { fetching() {}, start: (_, done) => this.#introduce(done), step() {}, note, judged() {}, finish() {} };
  }

  async #make(report: Reporter, from: Checkpoint | null, kept: Kept<Checkpoint> | null): Promise<PretrainRun> {
    const { seed, pictures: count } = this.#options;
    const { train, heldout } = this.#data;
    const shown = { clock: this.#pictures, tell: this.#tell, position: () => this.#run?.position ?? 0 };
    const ingredients: Ingredients = {
      ...{ train, heldout, limit: null, from },
      weights: async (config) => initialWeights(config, seed),
      sights: (model, preparer, keep) => {
        const looks = { ...shown, count, keep, seed, note: report.note };
        return { pictures: new ShownImages(this.#engine, model, preparer, heldout ?? train, looks), evidence: null };
      },
    };
    const options = this.#options;
    const made = await pretrainParts(this.#engine, options, ingredients, report);
    const between = () => this.#pause();
    const begun = { journal: this.#journal, report, from, kept, stop: this.#stop.signal, between, smaller };
    // What it keeps, it keeps in memory.
    this.#run = new PretrainRun(this.#engine, options, made, async () => {}, begun);
    return this.#run;
  }

  /** Between two steps: what was asked for, a look now and then, and a rest for as long as it is paused. */
  async #pause(): Promise<void> {
    const began = performance.now();
    const run = this.#run as PretrainRun;
    for (let told = false; ; told = true) {
      // One that a lost device ends is done again.
      for (; this.#tasks.length; this.#tasks.shift()) await this.#tasks[0](run);
      if (!this.#paused || this.#stop.signal.aborted) {
        if (told) this.#tell({ kind: 'state', state: 'running' });
        break;
      }
      if (!told) {
        // Also told of all losses, and safe from a device that is lost meanwhile.
        await run.snapshot();
        this.#journal.flush();
        this.#tell({ kind: 'state', state: 'paused' });
      }
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
    }
    if (this.#pictures.due) await run.draw();
    if (this.#heldout.due) await this.#heldout.take(() => this.#judge(run));
    this.#journal.waited(performance.now() - began);
  }

  async #judge(run: PretrainRun): Promise<void> {
    const heldout_loss = await run.heldoutLoss();
    if (heldout_loss !== null) await this.#journal.metric({ step: run.position, epoch: 0, heldout_loss });
  }

  #introduce(done: number): void {
    const run = this.#run as PretrainRun;
    const { device, precision } = this.#engine;
    const { description, vendor, architecture } = device.adapter;
    this.#tell({
      kind: 'began',
      adapter: description || `${vendor} ${architecture}`,
      model: this.#options.model,
      parameters: run.parameters,
      precision,
      images: this.#data.train.length,
      heldout: this.#data.heldout?.length ?? 0,
      batch_size: this.#options.batch_size * this.#options.accum_iter,
      stepsPerEpoch: run.steps,
      epochs: this.#options.epochs,
      done,
      mask_ratio: this.#options.mask_ratio,
      lr: peakRate(this.#options),
    });
    this.#tell({ kind: 'state', state: 'running' });
  }
}
