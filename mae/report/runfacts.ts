// run.json as it is read back: it may be of another version, half written, or anything.
import { z } from 'zod';
import type { RunFacts } from '../train/facts.ts';

const kernel = z.looseObject({
  kernel: z.string(),
  calls: z.number(),
  ms: z.number(),
  flops: z.number(),
  bytes: z.number(),
});
const facts = z.looseObject({
  command: z.string(),
  tesserae: z.string(),
  node: z.string(),
  adapter: z.string(),
  profile: z.string(),
  precision: z.string(),
  began: z.string(),
  process: z.looseObject({ pid: z.int(), host: z.string(), started: z.string().nullable() }).optional(),
  images: z.number(),
  stepsPerEpoch: z.number(),
  parameters: z.number(),
  options: z.record(z.string(), z.unknown()),
  step: z.looseObject({ kernels: z.array(kernel), byWaiting: z.boolean(), gpuBytes: z.number() }).nullable(),
});

/** null where the text is no JSON with the facts of a run. */
export function parseFacts(text: string): RunFacts | null {
  try {
    return facts.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
