// The runtimes of a node as its configuration has them, for the daemon and for commands without one.

import { reserveOf } from '../linux/disk.ts';
import { Catalogue } from './catalogue.ts';
import { readAuthority } from './fetch.ts';
import { Installs } from './installs.ts';
import { Registries } from './registries.ts';
import { openSigningKey, readPublicKey } from './signature.ts';
import { type TreeParts, Trees } from './trees.ts';

export interface RuntimeConfig {
  readonly directory: string;
  readonly signingKey: string;
  readonly trustedKeys: readonly string[];
  readonly registries: readonly string[];
  readonly registryCa: string;
  readonly requireSignatures: boolean;
  readonly maxFiles: number;
  readonly maxBytes: number;
}

/** Opens what is below one directory; `minFreeBytes` is left free of its disk. */
export function openRuntimes(config: RuntimeConfig, minFreeBytes: number, uses: TreeParts['uses']) {
  const { directory, requireSignatures, maxFiles, maxBytes } = config;
  const limits = { maxFiles, maxBytes, reserveBytes: reserveOf(directory, minFreeBytes) };
  const keys = {
    signing: openSigningKey(config.signingKey),
    trusted: config.trustedKeys.map(readPublicKey),
  };
  const trust = { keys, requireSignatures };
  const catalogue = new Catalogue(directory);
  const trees = new Trees({ directory, keys, limits, uses });
  const ca = readAuthority(config.registryCa);
  const registries = new Registries({ addresses: config.registries, trust, ca, maxBytes });
  const installs = new Installs({ catalogue, trees, trust, limits, registries });
  return { catalogue, trees, installs };
}
