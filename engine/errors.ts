// The one message form: what was wrong, with the numbers, and what to do.

/** A mistake of the caller's or a limit of the machine: its message is meant to be read by a user, without a stack. */
export class TesseraeError extends Error {
  override readonly name = 'TesseraeError';
}

/** A tensor, or all of them together, that this device has no room for: a smaller batch helps. */
export class CapacityError extends TesseraeError {}

/** The device is gone, and with it all that was on it. What waited for it ends with this; `Engine.renew` begins anew on another. */
export class DeviceLostError extends TesseraeError {}

export function fail(message: string): never {
  throw new TesseraeError(message);
}

/** `(2, 3)` for messages. */
export const shapeText = (shape: readonly number[]): string => `(${shape.join(', ')})`;
