// Where pictures come from: a sample, a file that was picked, dropped or pasted, the camera. Checkpoints come the same way.
import type { Sample } from '../../browser.ts';
import { find } from '../dom.ts';
import { decode } from './pictures.ts';

interface Taker {
  /** A picture is there, or will be. */
  readonly take: (sample: Sample | Promise<Sample>) => Promise<void>;
  /** Weights of another model. */
  readonly model: (weights: File) => Promise<void>;
  /** A sentence for the visitor; '' for none. */
  readonly say: (text: string, bad?: boolean) => void;
}

/** Wires all of them, until `signal` says otherwise. @returns what shows the first sample */
export function wireSources(root: HTMLElement, { take, model, say }: Taker, signal: AbortSignal): () => Promise<void> {
  const samples = [...root.querySelectorAll<HTMLButtonElement>('[data-sample]')];
  const camera = wireCamera(root, { take, say }, () => press(null));
  signal.addEventListener('abort', camera.stop);
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

  const offer = (files: FileList | null | undefined): void => {
    const weights = [...(files ?? [])].find(({ name }) => WEIGHTS.test(name));
    const picture = [...(files ?? [])].find(({ type }) => type.startsWith('image/'));
    if (picture) void show(picture, null);
    else if (weights) void model(weights);
    else say('That is no picture: take a JPEG, PNG or WebP file, or a checkpoint as .safetensors or .pth.', true);
  };
  for (const input of [find(root, 'input', '#file'), find(root, 'input', '#model')])
    input.addEventListener('change', () => {
      if (input.files?.length) offer(input.files);
      input.value = ''; // so that the same file can be chosen again
    });
  document.addEventListener(
    'paste',
    ({ clipboardData }) => {
      if (!root.hidden && clipboardData?.files.length) offer(clipboardData.files);
    },
    { signal },
  );
  wireDrop(root, offer, signal);
  return () => show(sampleFile(samples[0]), samples[0]);
}

/** What checkpoints are called. */
const WEIGHTS = /\.(safetensors|pth|pt|bin)$/i;

/** Files may fall anywhere on the page. */
function wireDrop(root: HTMLElement, drop: (files: FileList | undefined) => void, signal: AbortSignal): void {
  const ours = (event: DragEvent): boolean => !root.hidden && (event.dataTransfer?.types.includes('Files') ?? false);
  const on = (kind: 'dragover' | 'dragleave' | 'drop', act: (event: DragEvent) => void): void =>
    document.addEventListener(kind, act, { signal });
  on('dragover', (event) => {
    if (!ours(event)) return;
    event.preventDefault();
    root.classList.add('dropping');
  });
  on('dragleave', (event) => {
    if (!event.relatedTarget) root.classList.remove('dropping');
  });
  on('drop', (event) => {
    root.classList.remove('dropping');
    if (!ours(event)) return;
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
function wireCamera(
  root: HTMLElement,
  { take, say }: Pick<Taker, 'take' | 'say'>,
  begun: () => void,
): { stop(): void } {
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
