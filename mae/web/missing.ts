// What to do where a browser has no WebGPU: a few short lines for the browser at hand.

interface Advice {
  readonly title: string;
  readonly lines: readonly string[];
}

/** Why there is no adapter here, and what helps. `agent`: the browser's user agent. */
export function adviceFor(agent: string, { secure, gpu }: { secure: boolean; gpu: boolean }): Advice {
  if (!secure)
    return {
      title: 'This address is not secure enough for WebGPU',
      lines: ['Browsers give WebGPU to pages from https:// and from localhost only. Open the page from there.'],
    };
  const title = gpu ? 'This browser found no graphics card that it can use' : 'This browser has no WebGPU yet';
  return { title, lines: [...linesFor(agent), ...(gpu ? [DRIVERS] : [])] };
}

const DRIVERS =
  'Switch on “Use graphics acceleration when available” in the settings, bring the drivers up to date, and restart the browser.';

function linesFor(agent: string): string[] {
  const apple = /iPhone|iPad/.test(agent);
  if (apple) return ['WebGPU came with iOS 26 and iPadOS 26: update the system.'];
  if (/Firefox\//.test(agent)) {
    if (/Windows/.test(agent)) return ['Firefox has WebGPU on Windows from version 141 on: update it.'];
    if (/Macintosh/.test(agent))
      return ['Firefox has WebGPU on Macs with Apple silicon: from version 145 on macOS 26, from 147 on older ones.'];
    return [
      'Firefox for this system has WebGPU in its Nightly version; elsewhere try about:config, dom.webgpu.enabled.',
      'Or use Chrome, Edge or Chromium.',
    ];
  }
  if (/Chrome\//.test(agent)) {
    if (/Android/.test(agent)) return ['Chrome has WebGPU on Android 12 and newer from version 121 on: update it.'];
    if (/Linux/.test(agent) && !/CrOS/.test(agent))
      return [
        'Chrome and Edge have WebGPU on Linux from version 144 on for newer Intel, from 147 on for NVIDIA cards.',
        'For others: open chrome://flags/#enable-unsafe-webgpu, enable it, and restart with --enable-features=Vulkan.',
      ];
    return ['Chrome and Edge have WebGPU from version 113 on: update the browser.'];
  }
  if (/Safari\//.test(agent)) return ['Safari has WebGPU from version 26 on: update it, or use Chrome or Edge.'];
  return ['Chrome, Edge, Safari 26 and, on Windows and Macs, Firefox have it.'];
}
