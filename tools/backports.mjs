// The last resort on Debian 12, for root: bookworm-backports' Mesa, installed by the system's own apt. The list of sources
// and the package lists are private, so nothing but the packages themselves changes on the system.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { distribution } from './advice.mjs';
import { aptReason, machineMirrors } from './apt.mjs';
import { run } from './child.mjs';
import { progress } from './say.mjs';

/** @returns why it could not be installed, or `null` when it was */
export async function installFromBackports({ quiet = false } = {}) {
  const { id, codename } = distribution();
  if (id !== 'debian' || codename !== 'bookworm') return 'backports are for Debian 12 only';
  if (process.getuid?.() !== 0) return 'installing with apt-get needs root';
  const line = progress('software adapter', { quiet });
  const work = mkdtempSync(join(tmpdir(), 'tesserae-apt-'));
  try {
    mkdirSync(join(work, 'lists', 'partial'), { recursive: true });
    const own = existsSync('/etc/apt/sources.list') ? readFileSync('/etc/apt/sources.list', 'utf8') : '';
    const [mirror] = await machineMirrors();
    if (!mirror) return "apt's sources name no Debian mirror";
    writeFileSync(join(work, 'sources.list'), `${own}\ndeb ${mirror} bookworm-backports main\n`);
    const options = [
      `-oDir::Etc::SourceList=${work}/sources.list`,
      `-oDir::State::Lists=${work}/lists`,
      '-oAPT::Sandbox::User=root',
    ];
    const quick = [
      '-oDir::Cache::pkgcache=',
      '-oDir::Cache::srcpkgcache=',
      '-oAcquire::Languages=none',
      '-oAcquire::Retries=2',
    ];
    const install = [
      'install',
      '-y',
      '--no-install-recommends',
      '-t',
      'bookworm-backports',
      'mesa-vulkan-drivers',
      'libvulkan1',
    ];
    for (const step of [['update', '--error-on=any'], install]) {
      line.update(`apt-get ${step[0]} (bookworm-backports)`);
      const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
      const done = await run('apt-get', ['-q', ...options, ...quick, ...step], { env, timeout: 300_000 });
      if (done.code !== 0) return line.clear() ?? `apt-get ${step[0]} (backports): ${aptReason(done.all)}`;
    }
    line.done('Mesa of bookworm-backports, installed on the system');
    return null;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
