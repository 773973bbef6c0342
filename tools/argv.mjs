// The few things that the tools read off an argument list; everything else is the command line's own work.
import { Problem } from './say.mjs';

/** Takes `--name VALUE` or `--name=VALUE` out of an argument list: `{ value, rest }`; the last one counts. */
export function takeOption(argv, name) {
  const rest = [];
  let value;
  for (let i = 0; i < argv.length; i++) {
    if (argv[i] === '--') return { value, rest: [...rest, ...argv.slice(i)] };
    if (argv[i] === name) value = argv[++i] ?? '';
    else if (argv[i].startsWith(`${name}=`)) value = argv[i].slice(name.length + 1);
    else rest.push(argv[i]);
  }
  return { value, rest };
}

/**
 * What a tool was asked for, by flag: text, or true for a switch. Null once its help is printed.
 * @param tool as `npm run` calls it  @param known its flags: `--out DIR` has a value, `--again` none
 * @throws Problem that names what the tool does not know
 */
export function toolOptions(tool, help, known = [], argv = process.argv.slice(2)) {
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(help);
    return null;
  }
  const given = {};
  let left = argv;
  for (const [flag, what] of known.map((flag) => flag.split(' '))) {
    const { value, rest } = what ? takeOption(left, flag) : switchIn(left, flag);
    if (value === '') throw new Problem(`${flag} needs a value: ${flag} ${what}`, 2);
    [given[flag], left] = [value, rest];
  }
  if (left.length) throw new Problem(`${tool} knows no ${left[0]} (it knows ${[...known, '--help'].join(', ')})`, 2);
  return given;
}

const switchIn = (argv, flag) => ({
  value: argv.includes(flag) || undefined,
  rest: argv.filter((arg) => arg !== flag),
});

/** Asking what there is needs no adapter. */
export const asksForHelp = (argv) => {
  const own = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv;
  return (
    argv.length === 0 || argv[0] === 'help' || own.some((arg) => ['--help', '-h', '--version', '-V'].includes(arg))
  );
};

const WITHOUT_DEVICE = ['data', 'convert', 'report', 'compare', 'dashboard', 'onnx'];

/** Whether the command computes on a device: without an adapter the others run all the same. */
export function needsDevice(argv) {
  const plain = ['--profile', '--adapter', '--trace'].reduce((args, name) => takeOption(args, name).rest, argv);
  return !WITHOUT_DEVICE.includes(plain.find((arg) => !arg.startsWith('-')));
}
