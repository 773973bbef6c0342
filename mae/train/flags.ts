// Kinds of value that a flag, or a key of a config file, can have. A flag gives text; a file may give numbers and lists.
import { z } from 'zod';
import { parseBytes } from '../bytes.ts';

export interface Kind<T> {
  readonly schema: z.ZodType<T>;
  /** Completes `must be ...` in errors. */
  readonly rule: string;
  /** What the value can be, where that is a list. */
  readonly names?: readonly string[];
  /** Stands for the value in the help; '' for a switch. */
  readonly value: string;
  /** A part of a whole: a number that is too large may be one in per cent. */
  readonly percent?: true;
}

const fromText = (value: unknown): unknown => {
  if (typeof value !== 'string') return value;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value.trim()) ? Number(value) : value;
};

/** A whole number from `low`, to `high` where there is a limit. */
export const whole = (low: number, high = Number.MAX_SAFE_INTEGER): Kind<number> => ({
  schema: z.preprocess(fromText, z.int().min(low).max(high)),
  rule: `a whole number of at least ${low}${high < Number.MAX_SAFE_INTEGER ? ` and at most ${high}` : ''}`,
  value: 'N',
});

/** The largest number that a kernel can be given: f32's. */
const F32_MAX = 3.4028234663852886e38;

/** A number from `low` (`open`: above it), below `below`; f32 must hold it. */
export function real({ low = 0, open = false, below = Number.POSITIVE_INFINITY } = {}): Kind<number> {
  const bounded = open ? z.number().gt(low) : z.number().gte(low);
  const bottom = open ? `above ${low}` : `of at least ${low}`;
  return {
    schema: z.preprocess(fromText, below < Number.POSITIVE_INFINITY ? bounded.lt(below) : bounded.lte(F32_MAX)),
    rule: `a number ${bottom}${below < Number.POSITIVE_INFINITY ? ` and below ${below}` : ', within f32'}`,
    value: 'X',
    ...(open && low === 0 && below === 1 ? { percent: true as const } : {}),
  };
}

/** A number from 0 to 1, both included. */
export const fraction = (): Kind<number> => ({
  schema: z.preprocess(fromText, z.number().min(0).max(1)),
  rule: 'a number from 0 to 1',
  value: 'X',
});

/** A part of something, or all of it. */
export const part = (): Kind<number> => ({
  schema: z.preprocess(fromText, z.number().gt(0).max(1)),
  rule: 'a number above 0 and at most 1',
  value: 'X',
});

/** A switch; a file says true or false. */
export const onOff = (): Kind<boolean> => ({ schema: z.boolean(), rule: 'true or false', value: '' });

export const text = (value: string): Kind<string> => ({ schema: z.string().min(1), rule: 'some text', value });

/** Text that may be empty. */
export const maybeText = (value: string): Kind<string> => ({ schema: z.string(), rule: 'text', value });

export const oneOf = (names: readonly string[]): Kind<string> => ({
  schema: z.string().refine((name) => names.includes(name)),
  rule: `one of ${names.join(', ')}`,
  names,
  value: 'NAME',
});

/** An amount of memory; a file may give a number of bytes. */
export const memory = (): Kind<number> => ({
  schema: z.preprocess((value) => (typeof value === 'string' ? parseBytes(value) : value), z.int().min(1)),
  rule: 'an amount of memory, as 8GiB or 500MiB',
  value: 'SIZE',
});

/** `N`, `HxW`, or in a file also [H, W]; becomes [height, width]. */
export const imageSize = (): Kind<[number, number]> => ({
  schema: z.preprocess(
    (value) => {
      const sides = typeof value === 'string' ? value.split(/[x×,]/i).map(fromText) : [value].flat();
      return sides.length === 1 ? [sides[0], sides[0]] : sides;
    },
    z.tuple([z.int().min(1), z.int().min(1)]),
  ),
  rule: 'a side in pixels, as 224, or height x width, as 192x256',
  value: 'N|HxW',
});
