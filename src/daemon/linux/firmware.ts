// What the firmware of this machine says of it.

import path from 'node:path';
import { readSmallFile } from './job-usage.ts';

export interface Firmware {
  /** Names of makers and products, and tags that some of them set. */
  readonly words: readonly string[];
  readonly isVirtual: boolean;
}

const files = [
  'sys_vendor',
  'product_name',
  'bios_vendor',
  'chassis_asset_tag',
  'board_asset_tag',
] as const;

/** Reads it; without firmware that says anything there are no words. */
export function readFirmware(): Firmware {
  const words = files.map((name) => readSmallFile(path.join('/sys/class/dmi/id', name)).trim());
  return {
    words: words.filter((word) => word !== ''),
    isVirtual: /^flags\s*:.*\bhypervisor\b/m.test(readSmallFile('/proc/cpuinfo')),
  };
}
