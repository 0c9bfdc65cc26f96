// The lock of a build: exactly what it was made of. A build that is given one takes these packages
// and no others.

import { z } from 'zod';
import { invalid, messageOf, type Problem } from './errors.ts';

const MAX_BYTES = 8 * 1024 ** 2;
const MAX_PACKAGES = 20_000;
const MAX_CHARS = 512;

const word = z
  .string()
  .min(1)
  .max(MAX_CHARS)
  .regex(/^[!-~]+$/);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

export const lockSchema = z.strictObject({
  schema_version: z.literal('1.0'),
  /** `Debian bookworm`, or `an empty tree` */
  base: z.string().max(MAX_CHARS),
  /** `linux/amd64` */
  platform: z.string().max(MAX_CHARS),
  /** When packages that only have ranges were chosen, as RFC 3339; npm takes nothing newer. */
  time: z.string().regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/),
  apt: z
    .array(
      z.strictObject({
        name: word,
        version: word,
        architecture: word,
        sha256,
        /** Every other package may count on it. */
        essential: z.boolean(),
      }),
    )
    .max(MAX_PACKAGES),
  pip: z.array(z.strictObject({ name: word, version: word, sha256 })).max(MAX_PACKAGES),
  npm: z.array(z.strictObject({ name: word, version: word })).max(MAX_PACKAGES),
});

export type BuildLock = z.output<typeof lockSchema>;
export type LockedDeb = BuildLock['apt'][number];
export type LockedWheel = BuildLock['pip'][number];

/** Reads a lock. Throws `invalid` with all that is wrong with it. */
export function parseLock(text: string): BuildLock {
  if (text.length > MAX_BYTES) {
    throw invalid([{ field: 'lock', message: `is larger than ${MAX_BYTES} bytes` }]);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid([{ field: 'lock', message: `is not JSON: ${messageOf(error)}` }]);
  }
  const result = lockSchema.safeParse(value);
  if (result.success) return result.data;
  const problems: Problem[] = result.error.issues.slice(0, 100).map(({ path, message }) => ({
    field: ['lock', ...path.map(String)].join('.'),
    message,
  }));
  throw invalid(problems);
}

/** The same with its packages in the order of their names. */
export function sortLock(lock: BuildLock): BuildLock {
  const byName = <T extends { readonly name: string }>(list: readonly T[]) =>
    list.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return { ...lock, apt: byName(lock.apt), pip: byName(lock.pip), npm: byName(lock.npm) };
}

/** The same lock is always the same text. */
export function formatLock(lock: BuildLock): string {
  return `${JSON.stringify(sortLock(lock), undefined, 1)}\n`;
}
