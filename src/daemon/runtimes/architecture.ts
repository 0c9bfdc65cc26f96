// The words for the architecture of this host, as distributions and people spell it.

import { platformOf } from '../../shared/platform.ts';

const platform = platformOf(process.arch);

/** The first is what `uname` says. */
export const architectureWords: readonly string[] =
  platform === undefined ? [process.arch] : [platform.machine, platform.debian, process.arch];
