// What can go wrong on a device, in the one message form of kernels/errors.ts.
import { TesseraeError } from '../kernels/errors.ts';

export { fail, TesseraeError } from '../kernels/errors.ts';

/** A tensor, or all of them together, that this device has no room for: a smaller batch helps. */
export class CapacityError extends TesseraeError {}

/** The device refused memory that was asked for. Nothing was made of what it was part of: smaller ones can be tried on the same engine. */
export class OutOfMemoryError extends CapacityError {
  /** The buffer's label: the variable, the input, or `transient` for values of a step. */
  readonly what: string;
  /** Bytes that it asked for. */
  readonly bytes: number;
  /** Bytes that the engine had then. */
  readonly held: number;

  constructor(what: string, bytes: number, held: number, why = '') {
    const said = why && ` (${why.trim().split('\n')[0]})`;
    super(
      `memory: the device has no room for ${what}, ${bytes} bytes, beside the ${held} that are in use${said}; use a smaller batch`,
    );
    [this.what, this.bytes, this.held] = [what, bytes, held];
  }
}

/** The device is gone, and with it all that was on it. What waited for it ends with this; `Engine.renew` begins anew on another. */
export class DeviceLostError extends TesseraeError {}

/** The device does not answer, and is given up. */
export class DeviceHungError extends DeviceLostError {
  /** The kernel that did not come back; null where several were in flight (a run after `Engine.renew` finds out which). */
  readonly kernel: string | null;

  constructor(message: string, kernel: string | null) {
    super(message);
    this.kernel = kernel;
  }
}

/** `(2, 3)` for messages. */
export const shapeText = (shape: readonly number[]): string => `(${shape.join(', ')})`;
