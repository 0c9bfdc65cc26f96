// Whether the archive can be used: an object is stored, read back and deleted again.

import { randomUUID } from 'node:crypto';
import { messageOf } from '../../shared/errors.ts';
import { sourceOf } from '../archive/objects.ts';
import { openStore } from '../archive/open.ts';
import type { Config } from '../config.ts';
import type { Line } from './report.ts';

const TIMEOUT_MS = 20_000;
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/** Nothing is said of an archive that is not wanted. */
export async function archiveLines(
  archive: Config['archive'],
  environment: NodeJS.ProcessEnv,
): Promise<Line[]> {
  if (archive.type === 'none') return [];
  const said = {
    group: 'Archive',
    name: 'store',
    needed: { feature: 'the archive of ended jobs' },
    means: 'Ended jobs stay on this node and wait until it can be used.',
    remedy: 'See what it answers: the address, the bucket, the keys and what they may do.',
  };
  try {
    const place = await tryStore(archive, environment);
    if (isPlain(archive)) {
      const means = 'Whoever is on the way can read what jobs have printed.';
      const remedy = 'Use an endpoint with https://.';
      return [{ ...said, state: 'limited', found: `${place}, not encrypted`, means, remedy }];
    }
    return [{ ...said, state: 'ok', found: `${place} gives back what it is given` }];
  } catch (error) {
    return [{ ...said, state: 'missing', found: messageOf(error) }];
  }
}

async function tryStore(archive: Config['archive'], environment: NodeJS.ProcessEnv) {
  const store = openStore(archive, environment);
  if (store === undefined) return '';
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const key = `joblet-doctor/${randomUUID()}`;
  const content = Buffer.from(key);
  await store.put(key, sourceOf(content), signal);
  const parts: Uint8Array[] = [];
  for await (const part of store.get(key, 0, content.length, signal)) parts.push(part);
  await store.delete(key, signal);
  if (!Buffer.concat(parts).equals(content)) {
    throw new Error(`${store.place} gives back something else than it was given`);
  }
  return store.place;
}

function isPlain({ type, endpoint }: Config['archive']): boolean {
  if (type !== 's3' || !endpoint.startsWith('http:')) return false;
  return !LOOPBACK.test(new URL(endpoint).hostname);
}
