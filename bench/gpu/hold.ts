// Working clocks while a GPU is measured: an NVIDIA card without a CUDA context falls to its idle clock between pieces of Vulkan's work
// (345 of 1980 MHz on an H200: figures 2 to 5 times too slow), so a program beside the bench holds one.
import { type ChildProcess, spawn } from 'node:child_process';

const HOLD = `
import ctypes, sys
cuda = ctypes.CDLL('libcuda.so.1')
device, context = ctypes.c_int(), ctypes.c_void_p()
done = cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0) or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
print('failed' if done else 'held', flush=True)
sys.stdin.read()
`;
const PATIENCE_MS = 10_000;

/** Holds a CUDA context until `release`; `held` is false where there is no card, no driver or no interpreter. */
export async function holdClocks(python: string): Promise<{ held: boolean; release: () => void }> {
  const child: ChildProcess = spawn(python, ['-c', HOLD], { stdio: ['pipe', 'pipe', 'ignore'] });
  const said = new Promise<string>((resolve) => {
    child.stdout?.once('data', (data: Buffer) => resolve(data.toString()));
    child.once('error', () => resolve(''));
    child.once('exit', () => resolve(''));
  });
  const late = new Promise<string>((resolve) => setTimeout(resolve, PATIENCE_MS, '').unref());
  const held = (await Promise.race([said, late])).startsWith('held');
  const release = (): void => void child.kill();
  if (!held) release();
  return { held, release };
}
