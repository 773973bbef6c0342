// What the tab and its worker say to one another.
import type { KernelFacts } from '../../train/facts.ts';

/** What can be chosen before a run begins. */
export interface Settings {
  /** A preset's name. */
  readonly model: string;
  /** Of the images as the model sees them, in pixels: patches grow with it, so that a step costs the same. */
  readonly side: number;
  readonly batch_size: number;
  readonly norm_pix_loss: boolean;
  readonly seed: number;
  readonly mask_ratio: number;
  readonly lr: number;
}

/** What can be changed while it runs. */
export type Changes = Partial<Pick<Settings, 'mask_ratio' | 'lr'>>;

export interface Start {
  readonly kind: 'start';
  readonly settings: Settings;
  /** Where the images lie that come with the page. */
  readonly sheet: string;
  /** The visitor's own images with their paths in the folder; null: those that come with the page. */
  readonly files: readonly (readonly [path: string, file: File])[] | null;
  /** To go on from, which says most of the settings itself; null: from the beginning. */
  readonly checkpoint: Blob | null;
}

export type Order =
  | Start
  | ({ readonly kind: 'change' } & Changes)
  | { readonly kind: 'pause' | 'resume' | 'checkpoint' | 'lose' };

/** What a run is, once it stands. */
export interface Facts {
  readonly kind: 'began';
  readonly adapter: string;
  readonly model: string;
  readonly parameters: number;
  readonly precision: string;
  readonly images: number;
  readonly heldout: number;
  readonly batch_size: number;
  readonly stepsPerEpoch: number;
  readonly epochs: number;
  /** Optimizer steps done before. */
  readonly done: number;
  readonly mask_ratio: number;
  /** Peak learning rate. */
  readonly lr: number;
}

export interface Stepped {
  readonly step: number;
  readonly epoch: number;
  readonly loss: number;
  readonly lr: number;
}

/** The fixed images as RGBA of one size, below one another. */
export interface Shots {
  readonly kind: 'shots';
  readonly step: number;
  readonly width: number;
  /** Of all. */
  readonly height: number;
  readonly original: Uint8ClampedArray<ArrayBuffer>;
  readonly masked: Uint8ClampedArray<ArrayBuffer>;
  readonly pasted: Uint8ClampedArray<ArrayBuffer>;
}

export interface Saved {
  readonly kind: 'saved';
  readonly step: number;
  readonly file: File;
  /** How Node goes on from it. */
  readonly command: string;
}

export type State = 'opening' | 'running' | 'paused' | 'ended' | 'failed';

export type News =
  | Facts
  | Shots
  | Saved
  | { readonly kind: 'state'; readonly state: State; readonly why?: string }
  | {
      readonly kind: 'steps';
      readonly steps: readonly Stepped[];
      readonly imagesPerSecond: number;
      readonly bytes: number;
    }
  | { readonly kind: 'heldout'; readonly step: number; readonly loss: number }
  | {
      readonly kind: 'kernels';
      readonly kernels: readonly KernelFacts[];
      readonly byWaiting: boolean;
      readonly bytes: number;
    }
  /** What came after this step is no longer so: the run goes on from there. */
  | { readonly kind: 'rewound'; readonly step: number }
  | { readonly kind: 'note'; readonly line: string };
