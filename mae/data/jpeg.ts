// Usual JPEG files by libjpeg-turbo as WebAssembly, in the thread that asks. The image library decodes each file with two threads of its own, which wait for
// one another, by all signs at locks that all files share: ten reading threads came to hardly more files than two. This one shares nothing. README.md beside this file has the figures.
import { createRequire } from 'node:module';

/** What the package exports: C++ objects through Emscripten. */
interface Codec {
  readonly JPEGDecoder: new () => Decoder;
}
interface Decoder {
  /** Room for a file of so many bytes, in the codec's memory. */
  getEncodedBuffer(bytes: number): Uint8Array;
  /** @throws a number, for damage as well as for mere warnings */
  decode(): void;
  /** A copy of its own, outside the codec's memory. */
  getDecodedBuffer(): Uint8ClampedArray;
  getFrameInfo(): { readonly width: number; readonly height: number; readonly componentCount: number };
}

const PACKAGE = '@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs';
/** A picture takes 3 bytes a pixel, and up to 6 more for the coefficients of a progressive one. */
const MOST_PIXELS = 2 ** 24;
export const MOST_FILE_BYTES = 2 ** 24;
/** The codec's memory, one in every thread, only grows, and in pieces that do not fit one another: one with more is not used again. */
const MOST_KEPT_BYTES = 2 ** 26;

/** Begun with the first picture; null where the package is not there, as in a program that a bundler made. */
let loading: Promise<Decoder | null> | null = null;

async function load(): Promise<Decoder | null> {
  try {
    const { JPEGDecoder } = await (createRequire(import.meta.url)(PACKAGE) as () => Promise<Codec>)();
    return new JPEGDecoder();
  } catch {
    return null;
  }
}

interface Picture {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** 1 or 3. */
  readonly channels: number;
}

/** Decodes a file's bytes, to the same bits as the image library; null where that one is to decide, for all that is unusual or may be damaged. */
export async function decodeJpeg(bytes: Uint8Array): Promise<Picture | null> {
  if (!isUsual(bytes)) return null;
  loading ??= load();
  const decoder = await loading;
  if (!decoder) return null;
  try {
    decoder.getEncodedBuffer(bytes.length).set(bytes);
    decoder.decode();
    const { width, height, componentCount: channels } = decoder.getFrameInfo();
    const data = decoder.getDecodedBuffer();
    if (decoder.getEncodedBuffer(0).buffer.byteLength > MOST_KEPT_BYTES) loading = null;
    // It had no room, or another idea of the file than we have.
    if (data.length !== width * height * channels) return null;
    return { data: new Uint8Array(data.buffer, data.byteOffset, data.length), width, height, channels };
  } catch (error) {
    // The codec itself has failed, as its stack does after some thousands of complaints: the next picture gets a new one.
    if (typeof error !== 'number') loading = null;
    return null;
  }
}

const [SOI, SOS, APP1, STANDALONE] = [0xd8, 0xda, 0xe1, /* restart marks, and ends */ 0xd0];
/** Frames of 8 bits by Huffman codes: baseline, extended, progressive. */
const FRAMES = [0xc0, 0xc1, 0xc2];
const PROGRESSIVE = 0xc2;

/** A grey or three-channel picture of moderate size that stands upright, by the segments before its first scan. */
export function isUsual(bytes: Uint8Array): boolean {
  const word = (at: number): number => (bytes[at] << 8) | bytes[at + 1];
  if (bytes[0] !== 0xff || bytes[1] !== SOI || bytes.length > MOST_FILE_BYTES) return false;
  let framed = false;
  for (let at = 2; at + 4 <= bytes.length; at += 2 + word(at + 2)) {
    const mark = bytes[at + 1];
    if (bytes[at] !== 0xff || mark < 0xc0 || mark === 0xff || (mark >= STANDALONE && mark <= 0xd9)) return false;
    if (mark === SOS) return framed;
    if (mark === APP1 && isTurned(bytes.subarray(at + 4, at + 2 + word(at + 2)))) return false;
    if (!FRAMES.includes(mark)) continue;
    const [precision, height, width, channels] = [bytes[at + 4], word(at + 5), word(at + 7), bytes[at + 9]];
    const most = mark === PROGRESSIVE ? MOST_PIXELS / 3 : MOST_PIXELS;
    framed = precision === 8 && width * height > 0 && width * height <= most && (channels === 1 || channels === 3);
    if (!framed) return false;
  }
  return false;
}

const ORIENTATION = 0x0112;

/** Whether a segment of Exif data says that the picture is to be turned, or may say so. */
function isTurned(segment: Uint8Array): boolean {
  if (String.fromCharCode(...segment.subarray(0, 6)) !== 'Exif\0\0') return false;
  const tiff = new DataView(segment.buffer, segment.byteOffset + 6, segment.length - 6);
  try {
    const little = tiff.getUint16(0) === 0x4949;
    const first = tiff.getUint32(4, little);
    const entries = tiff.getUint16(first, little);
    for (let i = 0; i < entries; i++) {
      const at = first + 2 + 12 * i;
      if (tiff.getUint16(at, little) === ORIENTATION) return tiff.getUint16(at + 8, little) !== 1;
    }
    return false;
  } catch {
    return true;
  }
}
