// Files of features: what goes into one, row by row, and which kind a name asks for. A kind writes to a target of bytes and knows no files.
import { fail } from '../../engine/errors.ts';
import { numel } from '../../engine/tensor.ts';

/** Takes bytes at the end, or anywhere. */
export interface Target {
  write(bytes: Uint8Array): Promise<void>;
  writeAt(offset: number, bytes: Uint8Array): Promise<void>;
}

export interface Column {
  readonly name: string;
  /** Of one image. */
  readonly shape: readonly number[];
}

export interface Table {
  /** Images. */
  readonly count: number;
  readonly columns: readonly Column[];
  /** Of every image, in the order of the rows. */
  readonly ids: readonly string[];
  readonly classes: readonly string[] | null;
  /** What made them: text by name. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Some images, one behind the other. */
export interface Rows {
  /** Number of the first. */
  readonly first: number;
  /** -1 where unlabelled */
  readonly labels: Int32Array;
  /** By column. */
  readonly values: Readonly<Record<string, Float32Array>>;
}

export interface FeatureWriter {
  /** Rows that follow those of before. */
  add(rows: Rows): Promise<void>;
  finish(): Promise<void>;
}

export const KINDS = ['safetensors', 'npy', 'parquet'] as const;
export type Kind = (typeof KINDS)[number];

/** By the end of the name. @throws where it is none of the three */
export function kindOf(path: string): Kind {
  const kind = KINDS.find((name) => path.toLowerCase().endsWith(`.${name}`));
  return kind ?? fail(`${path}: the name must end in .safetensors, .npy or .parquet, which says what is written`);
}

/** Elements of one image. */
export const widthOf = ({ shape }: Column): number => numel(shape);

export const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
