// Where pictures come from: a sample, a file that was picked, dropped or pasted, the camera.
import type { Sample } from '../../browser.ts';
import { find } from '../dom.ts';
import { decode } from './pictures.ts';

export interface Taker {
  /** A picture is there, or will be. */
  readonly take: (sample: Sample | Promise<Sample>) => Promise<void>;
  /** A sentence for the visitor; '' for none. */
  readonly say: (text: string, bad?: boolean) => void;
}

/** Wires all of them. @returns what shows the first sample */
export function wireSources(root: HTMLElement, { take, say }: Taker): () => Promise<void> {
  const samples = [...root.querySelectorAll<HTMLButtonElement>('[data-sample]')];
  const camera = wireCamera(root, { take, say }, () => press(null));
  const press = (sample: HTMLButtonElement | null): void => {
    for (const other of samples) other.setAttribute('aria-pressed', String(other === sample));
  };
  const show = (blob: Promise<Blob> | Blob, sample: HTMLButtonElement | null): Promise<void> => {
    camera.stop();
    press(sample);
    return take(Promise.resolve(blob).then(decode));
  };
  const sampleFile = async (button: HTMLButtonElement): Promise<Blob> => {
    const response = await fetch(button.dataset.sample as string);
    if (!response.ok) throw new Error(`${button.dataset.sample} is not there (${response.status})`);
    return response.blob();
  };
  for (const button of samples) button.addEventListener('click', () => void show(sampleFile(button), button));

  const input = find(root, 'input', '#file');
  input.addEventListener('change', () => {
    const [file] = input.files ?? [];
    if (file) void show(file, null);
    input.value = ''; // so that the same file can be chosen again
  });
  const here = (): boolean => !root.hidden;
  document.addEventListener('paste', (event) => {
    const file = here() && picture(event.clipboardData?.files);
    if (file) void show(file, null);
  });
  wireDrop(root, here, (files) => {
    const file = picture(files);
    if (file) void show(file, null);
    else say('That is no picture: drop a JPEG, PNG or WebP file.', true);
  });
  return () => show(sampleFile(samples[0]), samples[0]);
}

const picture = (files: FileList | undefined): File | undefined =>
  [...(files ?? [])].find(({ type }) => type.startsWith('image/'));

/** Files may fall anywhere on the page. */
function wireDrop(root: HTMLElement, here: () => boolean, drop: (files: FileList | undefined) => void): void {
  const holdsFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') ?? false;
  document.addEventListener('dragover', (event) => {
    if (!here() || !holdsFiles(event)) return;
    event.preventDefault();
    root.classList.add('dropping');
  });
  document.addEventListener('dragleave', (event) => {
    if (!event.relatedTarget) root.classList.remove('dropping');
  });
  document.addEventListener('drop', (event) => {
    root.classList.remove('dropping');
    if (!here() || !holdsFiles(event)) return;
    event.preventDefault();
    drop(event.dataTransfer?.files);
  });
}

/** Frames are taken at most so large; the model sees far less. */
const FRAME = 256;

const REFUSED: Readonly<Record<string, string>> = {
  NotAllowedError:
    'The camera was not allowed: allow it by the symbol in the address bar, then press the button again.',
  NotFoundError: 'There is no camera here.',
  NotReadableError: 'The camera is in use by another program: close that, then press the button again.',
};

/** The button starts the camera and stops it, as another tab does; what it saw last stays. */
function wireCamera(root: HTMLElement, { take, say }: Taker, begun: () => void): { stop(): void } {
  const button = find(root, 'button', '#camera');
  let stream: MediaStream | null = null;
  const stop = (): void => {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
    button.textContent = 'Use the camera';
    button.setAttribute('aria-pressed', 'false');
  };
  const start = async (): Promise<void> => {
    if (!navigator.mediaDevices) throw new Error('This browser gives pages no camera.');
    const opened = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'user' }, audio: false });
    stream = opened;
    const video = Object.assign(document.createElement('video'), { muted: true, playsInline: true, srcObject: opened });
    await video.play();
    button.textContent = 'Stop the camera';
    button.setAttribute('aria-pressed', 'true');
    begun();
    const canvas = new OffscreenCanvas(FRAME, FRAME);
    const context = canvas.getContext('2d', { willReadFrequently: true }) as OffscreenCanvasRenderingContext2D;
    // As in a mirror.
    context.setTransform(-1, 0, 0, 1, FRAME, 0);
    const next = (): void => {
      if (root.hidden) stop();
      if (stream !== opened) return;
      if (video.videoWidth && !document.hidden) void take(frameOf(video, context));
      requestAnimationFrame(next);
    };
    next();
  };
  button.addEventListener('click', () => {
    say('');
    if (stream) return stop();
    start().catch((error: Error) => {
      stop();
      say(REFUSED[error.name] ?? `The camera cannot be used: ${error.message}`, true);
    });
  });
  return { stop };
}

/** The square in the middle of what the camera sees. */
function frameOf(video: HTMLVideoElement, context: OffscreenCanvasRenderingContext2D): Sample {
  const { videoWidth: width, videoHeight: height } = video;
  const side = Math.min(width, height);
  context.drawImage(video, (width - side) / 2, (height - side) / 2, side, side, 0, 0, FRAME, FRAME);
  const { data: rgba } = context.getImageData(0, 0, FRAME, FRAME);
  const data = new Uint8Array(3 * FRAME * FRAME);
  for (let i = 0; i < data.length; i++) data[i] = rgba[i + Math.floor(i / 3)];
  return { data, height: FRAME, width: FRAME, channels: 3, label: -1 };
}
