// A folder of the cache that is filled with Debian packages: downloaded from the first mirror that answers, made ready, and put
// in its place as a whole. One process at a time; what a killed one left behind is deleted.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statfsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { aptObstacle, machineMirrors, unpackDebian } from './apt.mjs';
import { cacheFolder, temporary, withLock } from './cache.mjs';
import { Problem, progress } from './say.mjs';

/**
 * @param place folders below the cache: [parent, own]  @param title of the progress line, as messages name the whole
 * @param name the main package, for people  @param from its suite, for people  @param bytes that it needs on the disk
 * @param request what apt.mjs's unpackDebian is asked for: suites, packages, target, present
 * @param found gives what is there, or null  @param finish (part, names of the packages' files) makes what is unpacked in `part`
 *   usable at its place, where it is put next, and writes installed.json; leaves that out where files are missing
 * @param lacks the files that are then missing  @param done the last line, of what `found` gives
 * @returns what `found` gives  @throws Problem with what to do
 */
export async function fillPrefix(
  { place, title, name, from, bytes, request, found, finish, lacks, done },
  { quiet = false, again = false } = {},
) {
  const obstacle = aptObstacle();
  if (obstacle) throw new Problem(`cannot unpack a ${title} here: ${obstacle}`);
  if (!again && found()) return found();
  const line = progress(title, { quiet });
  const parent = cacheFolder(place[0]);
  const folder = join(parent, place[1]);
  return withLock(
    place.join('-'),
    async () => {
      if (!again && found()) return line.clear() ?? found();
      const disk = statfsSync(parent);
      if (disk.bavail * disk.bsize < bytes) {
        throw new Problem(
          `the ${title} needs ${mega(bytes)} MB in ${parent}: free some, or set TESSERAE_CACHE to another disk`,
        );
      }
      sweep(folder);
      line.update(`asking Debian for ${name} of ${from}`);
      const part = temporary(folder);
      try {
        const packages = await download(request, part, (text) => line.update(text), name);
        line.update('unpacking');
        await finish(part, packages);
        rmSync(join(part, 'work'), { recursive: true, force: true });
        if (!existsSync(join(part, 'installed.json')))
          throw new Problem(`Debian's ${from} packages no longer hold what is needed: ${lacks}`);
        replace(part, folder);
      } catch (error) {
        line.clear();
        throw error;
      } finally {
        rmSync(part, { recursive: true, force: true });
      }
      line.done(done(found()));
      return found();
    },
    () => line.update('waiting for another set-up'),
  );
}

/** From the first mirror that answers. @returns file names of the packages */
async function download(request, part, say, name) {
  const failures = [];
  const mirrors = await machineMirrors();
  if (!mirrors.length) throw new Problem("apt's sources name no Debian mirror: add one to /etc/apt/sources.list");
  for (const mirror of mirrors) {
    const work = join(part, 'work');
    mkdirSync(work, { recursive: true });
    try {
      const onBytes = (there, all) =>
        say(there < all ? `downloading ${name} ${mega(there)} of ${mega(all)} MB` : 'unpacking');
      return await unpackDebian({ ...request, mirror, work, into: join(part, 'root'), onBytes });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      failures.push(error);
      rmSync(part, { recursive: true, force: true });
    }
  }
  const offline = failures.every((failure) => failure.offline);
  throw new Problem(failures.map((failure) => failure.message).join('; '), 1, { offline });
}

const mega = (bytes) => Math.min(9999, Math.round(bytes / 1e6));

function replace(part, folder) {
  const old = temporary(folder);
  if (existsSync(folder)) renameSync(folder, old);
  renameSync(part, folder);
  rmSync(old, { recursive: true, force: true });
}

/** Deletes what a set-up that was killed left behind. */
function sweep(folder) {
  const parent = dirname(folder);
  for (const name of readdirSync(parent)) {
    if (name.startsWith(`${basename(folder)}.`) && name.endsWith('.tmp'))
      rmSync(join(parent, name), { recursive: true, force: true });
  }
}
