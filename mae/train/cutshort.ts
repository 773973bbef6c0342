// A run that has to end soon, at a step that may take long: it is saved as it was last kept, and the step is left.
import { TesseraeError } from '../../engine/errors.ts';

/** Why a run is asked to stop: its process will end. The reason of an AbortSignal. */
export class EndsSoon {
  /** For the step that it is at, in ms. */
  readonly patience: number;
  constructor(patience: number) {
    this.patience = patience;
  }
}

/** The run was saved, and will never end its step. */
export class CutShort extends TesseraeError {}

const AGAIN_MS = 50;

/**
 * What `work` gives, unless `stop` says that the process ends soon and it takes longer than that allows.
 * @param salvage saves without the device, and says after which step; null where that cannot be done right now
 * @throws CutShort once it is saved
 */
export async function endingSoon<R>(
  work: Promise<R>,
  stop: AbortSignal | undefined,
  salvage: () => Promise<number | null>,
): Promise<R> {
  if (!stop) return work;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ask = (): void => {};
  const cut = new Promise<never>((_, reject) => {
    const attempt = async (): Promise<void> => {
      const step = await salvage();
      if (step === null) timer = setTimeout(() => attempt().catch(reject), AGAIN_MS);
      else reject(new CutShort(`the step that it is at takes long: saved as it was after step ${step}`));
    };
    ask = () => {
      const { reason } = stop;
      if (reason instanceof EndsSoon) timer = setTimeout(() => attempt().catch(reject), reason.patience);
    };
  });
  stop.addEventListener('abort', ask);
  if (stop.aborted) ask();
  try {
    return await Promise.race([work, cut]);
  } finally {
    stop.removeEventListener('abort', ask);
    clearTimeout(timer);
  }
}
