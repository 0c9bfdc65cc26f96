// registry.json: what a registry has. Each version of a runtime with where its pack lies, how big that
// is and its checksum. The format is that of the first generation's registries.

import { JobletError } from '../../shared/errors.ts';
import { meansPlatform, type Platform } from '../../shared/platform.ts';
import {
  compareVersions,
  matchRuntime,
  nearestRuntime,
  runtimeNameProblem,
  runtimeVersionProblem,
} from '../../shared/runtime-names.ts';

export const INDEX_FILE = 'registry.json';
export const INDEX_SIGNATURE_FILE = 'registry.sig';

export interface RegistryEntry {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  /** An address, or one relative to that of the index. */
  readonly url: string;
  readonly sha256: string;
  /** Bytes of the pack; 0 when the index does not say. */
  readonly size: number;
  /** Empty is any. */
  readonly platforms: readonly string[];
}

export interface RegistryIndex {
  /** RFC 3339. */
  readonly updatedAt: string;
  readonly entries: readonly RegistryEntry[];
}

export const MAX_INDEX_BYTES = 16 * 1024 * 1024;

const VERSION = '1';
const MAX_ENTRIES = 100_000;
const MAX_TEXT_CHARS = 4096;
const MAX_PLATFORMS = 64;

/**
 * Reads an index. Fields that nobody knows are passed over, as registries grow.
 * @throws JobletError invalid
 */
export function parseIndex(text: string): RegistryIndex {
  if (text.length > MAX_INDEX_BYTES) throw wrong(`is larger than ${MAX_INDEX_BYTES} bytes`);
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    throw wrong('is not JSON');
  }
  const { version, updated_at: updatedAt, runtimes } = record(found, 'it');
  if (version !== VERSION) throw wrong(`has a version that is not "${VERSION}"`);
  const entries: RegistryEntry[] = [];
  for (const [name, versions] of Object.entries(record(runtimes, 'runtimes'))) {
    for (const [word, entry] of Object.entries(record(versions, `runtimes.${shown(name)}`))) {
      entries.push(parseEntry(name, word, entry));
      if (entries.length > MAX_ENTRIES) throw wrong(`has more than ${MAX_ENTRIES} entries`);
    }
  }
  return { updatedAt: typeof updatedAt === 'string' ? updatedAt : '', entries };
}

function parseEntry(name: string, version: string, found: unknown): RegistryEntry {
  const at = `runtimes.${shown(name)}.${shown(version)}`;
  const problem = runtimeNameProblem(name) ?? runtimeVersionProblem(version);
  if (problem !== undefined) throw wrong(`${at} ${problem}`);
  const entry = record(found, at);
  const { description = '', download_url: url, checksum, size = 0, platforms = [] } = entry;
  if ((entry['version'] ?? version) !== version)
    throw wrong(`${at} says that it is another version`);
  const [, sha256] = /^sha256:([0-9a-f]{64})$/.exec(String(checksum)) ?? [];
  if (sha256 === undefined) throw wrong(`${at} has no checksum sha256:...`);
  if (!isText(url) || url === '') throw wrong(`${at} has no download_url`);
  if (!isText(description)) throw wrong(`${at} has a description that is no text`);
  if (!Number.isSafeInteger(size) || (size as number) < 0) throw wrong(`${at} has no size`);
  const isList = Array.isArray(platforms) && platforms.length <= MAX_PLATFORMS;
  if (!isList || !platforms.every(isText)) throw wrong(`${at} has platforms that are no texts`);
  return { name, version, description, url, sha256, size: size as number, platforms };
}

/** The text of an index, in the order of names and versions. */
export function formatIndex({ updatedAt, entries }: RegistryIndex): string {
  const ordered = entries.toSorted((a, b) =>
    a.name === b.name ? compareVersions(a.version, b.version) : a.name < b.name ? -1 : 1,
  );
  const byName = Map.groupBy(ordered, ({ name }) => name);
  const runtimes = Object.fromEntries(
    [...byName].map(([name, versions]) => [
      name,
      Object.fromEntries(versions.map((entry) => [entry.version, written(entry)])),
    ]),
  );
  return `${JSON.stringify({ version: VERSION, updated_at: updatedAt, runtimes }, undefined, 2)}\n`;
}

function written({ version, description, url, sha256, size, platforms }: RegistryEntry): object {
  const checksum = `sha256:${sha256}`;
  return { version, description, download_url: url, checksum, size, platforms };
}

/**
 * The entry that a name means, for a platform; the latest version unless one is named.
 * @throws JobletError not-found, with the name that was meant, perhaps; unsupported for other platforms
 */
export function chooseEntry(
  { entries }: RegistryIndex,
  spec: string,
  platform: Platform,
): RegistryEntry {
  const known = entries.map((entry) => ({ ...entry, aliases: [], isCurrent: false }));
  const fitting = known.filter(
    ({ platforms }) =>
      platforms.length === 0 || platforms.some((word) => meansPlatform(word, platform)),
  );
  const found = matchRuntime(spec, fitting);
  if (found !== undefined) return found;
  const other = matchRuntime(spec, known);
  if (other !== undefined) {
    const message = `${other.name}@${other.version} is for ${other.platforms.join(', ')}, and this node is ${platform.name}`;
    throw new JobletError('unsupported', message, { about: 'runtime_spec' });
  }
  const guess = nearestRuntime(spec, known);
  const hint = guess === undefined ? '' : `; did you mean ${guess}?`;
  const message = `runtime not found: ${spec.slice(0, 64)}${hint}`;
  throw new JobletError('not-found', message, { about: 'runtime_spec' });
}

/** A runtime with all its versions. */
export interface OfferedRuntime {
  readonly name: string;
  /** The newest first. */
  readonly versions: readonly string[];
  /** What its name alone means. */
  readonly latest: string;
  /** Of any version; empty is any. */
  readonly platforms: readonly string[];
  /** Of the latest. */
  readonly description: string;
}

/** What an index has, by name. */
export function offeredRuntimes({ entries }: RegistryIndex): OfferedRuntime[] {
  const byName = [...Map.groupBy(entries, ({ name }) => name)];
  byName.sort(([a], [b]) => (a < b ? -1 : 1));
  return byName.map(([name, versions]) => {
    const known = versions.map((entry) => ({ ...entry, aliases: [], isCurrent: false }));
    const latest = matchRuntime(name, known);
    return {
      name,
      versions: versions.map(({ version }) => version).sort((a, b) => compareVersions(b, a)),
      latest: latest?.version ?? '',
      platforms: [...new Set(versions.flatMap(({ platforms }) => platforms))].sort(),
      description: latest?.description ?? '',
    };
  });
}

function record(found: unknown, what: string): Record<string, unknown> {
  if (typeof found === 'object' && found !== null && !Array.isArray(found)) {
    return found as Record<string, unknown>;
  }
  throw wrong(`${what} is no map`);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_TEXT_CHARS;
}

function shown(word: string): string {
  return JSON.stringify(word.slice(0, 64));
}

function wrong(what: string): JobletError {
  return new JobletError('invalid', `the index of the registry cannot be used: ${what}`, {
    about: INDEX_FILE,
  });
}
