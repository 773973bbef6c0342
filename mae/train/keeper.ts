// A run's state off the device: copies on the host to go on from when the device is lost, and checkpoints on the disk.
import type { InputTypes } from '../../engine/engine.ts';
import type { TrainingState } from './checkpoint.ts';
import { runFacts } from './facts.ts';
import { ruinedIn } from './diagnose.ts';
import type { OptimizerState } from './modelfile.ts';
import { Ruined } from './nonfinite.ts';
import { Overflows } from './overflow.ts';
import { adapterOf, optimizerState } from './restore.ts';
import {
  type Checkpointed,
  type Folder,
  type Kept,
  LATEST,
  type Pace,
  type RunJournal,
  type RunSetup,
} from './setup.ts';
import { Snapshots } from './snapshot.ts';
import type { Standing } from './standing.ts';

interface KeeperOptions<C> {
  /** Everything that a checkpoint holds, read off the device. */
  readonly gather: (optimizer: OptimizerState, training: TrainingState) => Promise<C>;
  readonly write: (path: string, checkpoint: C) => Promise<void>;
}

export class Keeper<I extends InputTypes, C extends Checkpointed> {
  readonly journal: RunJournal;
  readonly #setup: RunSetup<I, C>;
  readonly #at: Standing;
  readonly #options: KeeperOptions<C>;
  readonly #overflows: Overflows;
  readonly #snapshots = new Snapshots();
  #kept: Kept<C> | null;

  constructor(setup: RunSetup<I, C>, at: Standing, options: KeeperOptions<C>) {
    const { report, from } = setup;
    this.#setup = setup;
    this.#at = at;
    this.#options = options;
    this.#kept = setup.kept ?? null;
    this.journal = setup.journal;
    const out = { metric: (line: Record<string, number>) => this.journal.metric(line), note: report.note };
    this.#overflows = new Overflows(out, at.position, from?.optimizer?.lossScale);
  }

  /** Makes the output folder what it was when the run was saved, or kept. */
  async open(): Promise<void> {
    if (!this.#kept) {
      await this.journal.open(this.#setup.from?.training ?? {}, this.#at.position);
      await this.journal.facts(runFacts(this.#setup, null));
      return;
    }
    const { mark, position: step, leftOut } = this.#kept;
    await this.journal.rewind(mark);
    if (leftOut) await this.journal.metric({ step, epoch: this.#at.epoch, left_out: leftOut });
  }

  /** What a run that takes this one's place goes on from; null before anything was kept. */
  get kept(): Kept<C> | null {
    return this.#kept;
  }

  /** Whether it is time for a copy that nothing else asks for. */
  get due(): boolean {
    return this.#snapshots.due;
  }

  /** Copies the state to the host, perhaps for a checkpoint. No step may be in flight. */
  async keep(pace: Readonly<Pace>, { saving = false } = {}): Promise<C> {
    const { engine, trainer, train, recipe, updates } = this.#setup;
    const checkpoint = await this.#snapshots.take(async () => {
      const training = {
        recipe,
        images: train.length,
        ...this.#at.state,
        micro_batch: updates.micro_batch,
        adapter: adapterOf(engine),
        picks: Object.fromEntries(engine.picks),
        logs: {},
      };
      return this.#options.gather(await optimizerState(engine, trainer.optimizer), training);
    });
    const { journal } = this;
    const { position, epoch } = this.#at;
    const ruined = ruinedIn(checkpoint);
    if (ruined) throw new Ruined(`after step ${position} ${ruined} is not finite`, position);
    if (saving) await this.#overflows.saved(position, epoch, checkpoint.optimizer?.lossScale ?? null);
    this.#kept = { checkpoint, position, mark: await journal.mark(), pace: { ...pace } };
    engine.device.watchdog.kept();
    return checkpoint;
  }

  /** A checkpoint of what was just kept. False where the disk refused; the `final` one must not fail. */
  save(name: string, checkpoint: C, final = false): Promise<boolean> {
    return this.#write(name, checkpoint, { best: this.#at.best }, final);
  }

  /** What was kept, further on in its epoch: the steps in between are left out. */
  advanced(to: number): Kept<C> | null {
    const kept = this.#kept;
    if (!kept) return null;
    const { updates } = this.#setup;
    const leftOut = to - kept.position;
    const training = kept.checkpoint.training as TrainingState;
    let { step, left = 0 } = training;
    for (let i = 0; i < leftOut; i++) left += updates.size(step++);
    return {
      ...kept,
      position: to,
      leftOut,
      checkpoint: { ...kept.checkpoint, training: { ...training, step, left } },
    };
  }

  /** Saves what was last kept, without the device. */
  async rescue(): Promise<void> {
    if (!this.#kept) return;
    await this.open();
    await this.#write(LATEST, this.#kept.checkpoint, {}, false);
  }

  /** The same while the run is at a step: nothing is written after it. The step that was saved; null where nothing was kept, or the run is writing. */
  async salvage(): Promise<number | null> {
    const kept = this.#kept;
    if (!kept || this.journal.writing) return null;
    await this.journal.saveLast(LATEST, this.#writer(kept.checkpoint, {}), kept.mark);
    return kept.position;
  }

  #write(name: string, checkpoint: C, known: Partial<TrainingState>, final: boolean): Promise<boolean> {
    return this.journal.save(name, this.#writer(checkpoint, known), final);
  }

  #writer(checkpoint: C, known: Partial<TrainingState>): (path: string, folder: Folder) => Promise<void> {
    const training = { ...(checkpoint.training as TrainingState), ...known };
    return (path, folder) => this.#options.write(path, { ...checkpoint, training: { ...training, ...folder } });
  }
}
