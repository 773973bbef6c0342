// Calls a function with a device of another adapter: in a Node of its own, because a driver cannot be changed in a running one.
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const tool = (name: string) => import(new URL(`../../tools/${name}.mjs`, import.meta.url).href);
const { chooseAdapter } = await tool('adapter');
const { run } = await tool('child');
const { launchEnvironment, pristine } = await tool('environment');
const { commandLine } = await tool('launch');

interface Choice {
  readonly label: string;
  readonly dawnAdapter: string;
  readonly env: Readonly<Record<string, string>>;
}

/** An adapter by the names of `--adapter`; null, with the reason on stderr, where there is none. */
export async function adapterOf(name: string): Promise<Choice | null> {
  return chooseAdapter({ name, quiet: true }).catch((error: Error) => {
    process.stderr.write(`tests on ${name} are skipped: ${error.message}\n`);
    return null;
  });
}

/** The same adapter with vectors of so many bits: lavapipe's subgroups have a thirty-second of that. */
export const withVectors = (choice: Choice, bits: number): Choice => ({
  ...choice,
  // The name of the adapter holds their width.
  dawnAdapter: choice.dawnAdapter && 'llvmpipe',
  env: { ...choice.env, LP_NATIVE_VECTOR_WIDTH: String(bits) },
});

/**
 * What `name` of the module `entry` gives for (device, input).
 * @param entry a path from the clone's root  @param input as JSON, like the result
 */
export async function onAdapter<T>(choice: Choice, entry: string, name: string, input: unknown): Promise<T> {
  const argv = [entry, name, JSON.stringify(input)];
  const [program, args] = commandLine('test/support/on-adapter-child.ts', argv, choice);
  const end = await run(program, args, { env: launchEnvironment(choice, pristine()), cwd: root });
  if (end.code !== 0)
    throw new Error(`${name} on ${choice.label}: ${end.all.trim().split('\n').slice(-12).join('\n')}`);
  return JSON.parse(end.out.trim().split('\n').at(-1)!) as T;
}
