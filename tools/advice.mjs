// What to install where no adapter was found. Only the Debian lines were tried; the others are called untested.
import { existsSync, readFileSync } from 'node:fs';

const UNTESTED = '(untested)';

/** `{ id, like, codename }` of a Linux distribution. */
export function distribution(text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '') {
  const field = (name) => new RegExp(`^${name}="?([^"\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
  return { id: field('ID'), like: field('ID_LIKE'), codename: field('VERSION_CODENAME') };
}

const BACKPORTS =
  "add the suite bookworm-backports (main) to apt's sources, then " +
  'apt-get update && apt-get install -y -t bookworm-backports mesa-vulkan-drivers libvulkan1';

/** The exact thing to install for an adapter on this system. */
export function advice(platform = process.platform, os = distribution()) {
  if (platform === 'darwin')
    return `Metal is part of macOS and should have been found: update macOS, or run outside a virtual machine ${UNTESTED}`;
  if (platform === 'win32')
    return `Direct3D 12 is part of Windows 10 and later and should have been found: update the graphics driver ${UNTESTED}`;
  if (platform !== 'linux') return `no adapter is known for ${platform}: Dawn needs Vulkan, Metal or Direct3D 12`;
  const family = [os.id, ...os.like.split(' ')];
  const is = (...ids) => ids.some((id) => family.includes(id));
  if (os.id === 'debian' && os.codename === 'bookworm')
    return `as root: ${BACKPORTS} (Debian 12's own Mesa 22.3.6 is too old for Dawn)`;
  if (os.id === 'debian')
    return `as root: apt-get update && apt-get install -y mesa-vulkan-drivers libvulkan1 ${UNTESTED}`;
  if (is('ubuntu'))
    return `sudo apt-get install mesa-vulkan-drivers libvulkan1 (Ubuntu 24.04 or newer: Dawn refuses Mesa 22) ${UNTESTED}`;
  if (is('fedora', 'rhel')) return `sudo dnf install mesa-vulkan-drivers vulkan-loader ${UNTESTED}`;
  if (is('arch')) return `sudo pacman -S vulkan-swrast vulkan-icd-loader ${UNTESTED}`;
  if (is('suse', 'opensuse')) return `sudo zypper install libvulkan_lvp libvulkan1 ${UNTESTED}`;
  if (is('alpine')) return `Dawn's binary needs glibc: use a Debian, Ubuntu or Fedora container ${UNTESTED}`;
  return `install Mesa 24 or newer with lavapipe, and the Vulkan loader libvulkan.so.1 ${UNTESTED}`;
}
