// TensorBoard's event files: TFRecords of Event messages (tensorflow/core/util/event.proto), one file a process.
import { hostname } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from '../../engine/node/files.ts';
import { appendBytes } from '../../engine/node/logs.ts';
import { fail } from '../../engine/errors.ts';

/** Field numbers of Event, SessionLog, Summary and Summary.Value, and SessionLog's START. */
const EVENT = { wallTime: 1, step: 2, fileVersion: 3, summary: 5, sessionLog: 7 } as const;
const SUMMARY_VALUE = 1;
const VALUE = { tag: 1, simpleValue: 2 } as const;
const SESSION_STATUS = 1;
const START = 1;

type Wire = typeof import('@bufbuild/protobuf/wire');
type Writer = InstanceType<Wire['BinaryWriter']>;

/** Seconds since 1970. */
type Clock = () => number;

export class EventFile {
  readonly path: string;
  readonly #wire: Wire;
  readonly #crc32c: (bytes: Uint8Array) => number;
  readonly #now: Clock;
  /** Records that are not in the file yet. */
  #waiting: Uint8Array[] = [];

  private constructor(path: string, wire: Wire, crc32c: (bytes: Uint8Array) => number, now: Clock) {
    this.path = path;
    this.#wire = wire;
    this.#crc32c = crc32c;
    this.#now = now;
  }

  /** Begins a file in `folder`. What older files there have of steps after `step` is void: the run went back to it. */
  static async open(folder: string, step: number, now: Clock = () => Date.now() / 1000): Promise<EventFile> {
    const [wire, crc] = await Promise.all([import('@bufbuild/protobuf/wire'), import('crc-32/crc32c.js')]).catch(
      (error: Error) =>
        fail(
          `--log_dir: needs the packages @bufbuild/protobuf and crc-32: npm install (${error.message.split('\n')[0]})`,
        ),
    );
    await makeFolder(folder, '--log_dir');
    const name = `events.out.tfevents.${Math.floor(now())}.${hostname()}.${process.pid}.0`;
    const file = new EventFile(join(folder, name), wire, crc.default.buf, now);
    file.#add(0, (w) => w.tag(EVENT.fileVersion, wire.WireType.LengthDelimited).string('brain.Event:2'));
    file.#add(step, (w) =>
      w
        .tag(EVENT.sessionLog, wire.WireType.LengthDelimited)
        .fork()
        .tag(SESSION_STATUS, wire.WireType.Varint)
        .int32(START)
        .join(),
    );
    await file.flush();
    return file;
  }

  /** Scalars at an optimizer step. */
  scalars(step: number, values: Readonly<Record<string, number>>): void {
    const { LengthDelimited, Bit32 } = this.#wire.WireType;
    this.#add(step, (w) => {
      w.tag(EVENT.summary, LengthDelimited).fork();
      for (const [tag, value] of Object.entries(values))
        w.tag(SUMMARY_VALUE, LengthDelimited)
          .fork()
          .tag(VALUE.tag, LengthDelimited)
          .string(tag)
          .tag(VALUE.simpleValue, Bit32)
          .float(value)
          .join();
      return w.join();
    });
  }

  /** Writes what waits; what the disk refuses goes on waiting. @throws FileError */
  async flush(): Promise<void> {
    const records = this.#waiting;
    if (!records.length) return;
    await appendBytes(this.path, Buffer.concat(records));
    this.#waiting = this.#waiting.slice(records.length);
  }

  #add(step: number, what: (event: Writer) => Writer): void {
    const { BinaryWriter, WireType } = this.#wire;
    const event = new BinaryWriter().tag(EVENT.wallTime, WireType.Bit64).double(this.#now());
    this.#waiting.push(this.#record(what(event.tag(EVENT.step, WireType.Varint).int64(step)).finish()));
  }

  /** A TFRecord: length, its masked CRC-32C, the data, its masked CRC-32C. */
  #record(data: Uint8Array): Uint8Array {
    const record = Buffer.alloc(16 + data.length);
    record.writeBigUInt64LE(BigInt(data.length), 0);
    record.writeUInt32LE(this.#masked(record.subarray(0, 8)), 8);
    record.set(data, 12);
    record.writeUInt32LE(this.#masked(data), 12 + data.length);
    return record;
  }

  /** TFRecord's mask, which keeps checksums of checksums from being trivial. */
  #masked(bytes: Uint8Array): number {
    const crc = this.#crc32c(bytes) >>> 0;
    return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
  }
}
