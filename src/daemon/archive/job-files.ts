// The files of a job, as they go into the archive and are found there again.

import { createHash } from 'node:crypto';
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { JobletError } from '../../shared/errors.ts';
import { listSegments, sealedName } from '../logs/segments.ts';
import { type ObjectStore, piecesOf, type Source, sourceOf } from './objects.ts';
import type { ArchivedFile } from './rows.ts';

/** The last object of a job: what is known of it, and what else there is. */
export const RECORD = 'job.json';

/** Segments, as they are or sealed, and samples; what is being written is none of them. */
const LASTING = /^(\d{20}\.log(\.zst)?|metrics(\.old)?\.jsonl)$/;

/** Whether a file stays as it is, also when others of its job come or change. */
export function isSealed({ name }: Pick<ArchivedFile, 'name'>): boolean {
  return name.endsWith('.zst');
}

/** Where an object of a job lies. */
export function keyOf(id: string, name: string): string {
  return `${id}/${name}`;
}

/** Everything of a job lies below it. */
export function prefixOf(id: string): string {
  return `${id}/`;
}

/** Names of the segments in a directory that are sealed, and do not change any more. */
export async function sealedIn(directory: string): Promise<string[]> {
  const segments = await listSegments(directory);
  // Where a crash has left both, sealing is done again.
  const sealed = segments.filter(({ isSealed, isRaw }) => isSealed && !isRaw);
  return sealed.map(({ base }) => sealedName(base));
}

/** Stores a file of a directory. */
export async function storeFile(
  store: ObjectStore,
  id: string,
  directory: string,
  name: string,
  signal: AbortSignal,
): Promise<ArchivedFile> {
  const file = await open(path.join(directory, name));
  try {
    const source = await sourceIn(file, signal);
    await store.put(keyOf(id, name), source, signal);
    return { name, bytes: source.bytes, sha256: source.sha256 };
  } finally {
    await file.close();
  }
}

/**
 * Stores those files of a directory that are not there yet, then the record that says that all are
 * whole. Resolves with what is there.
 */
export async function storeJob(
  store: ObjectStore,
  id: string,
  directory: string,
  record: object,
  stored: readonly ArchivedFile[],
  signal: AbortSignal,
): Promise<ArchivedFile[]> {
  const files = [...stored];
  for (const name of await namesIn(directory)) {
    if (stored.some((file) => file.name === name)) continue;
    files.push(await storeFile(store, id, directory, name, signal));
  }
  files.sort((a, b) => (a.name < b.name ? -1 : 1));
  const text = `${JSON.stringify({ ...record, files }, undefined, 2)}\n`;
  await store.put(keyOf(id, RECORD), sourceOf(Buffer.from(text)), signal);
  return files;
}

/** Removes what an earlier try has stored of a job and is none of its files any more. */
export async function removeOthers(
  store: ObjectStore,
  id: string,
  files: readonly ArchivedFile[],
  signal: AbortSignal,
): Promise<void> {
  const wanted = new Set([RECORD, ...files.map(({ name }) => name)].map((name) => keyOf(id, name)));
  const others: string[] = [];
  for await (const { key } of store.list(prefixOf(id), signal)) {
    if (!wanted.has(key)) others.push(key);
  }
  for (const key of others) await store.delete(key, signal);
}

/** Whether all that lies in a directory was stored, as far as names and sizes tell. */
export async function isAll(directory: string, files: readonly ArchivedFile[]): Promise<boolean> {
  for (const name of await namesIn(directory)) {
    const { size } = await stat(path.join(directory, name));
    if (!files.some((file) => file.name === name && file.bytes === size)) return false;
  }
  return true;
}

/** Those files of which the archive gives back every byte that it was given. */
export async function wholeOnes(
  store: ObjectStore,
  id: string,
  files: readonly ArchivedFile[],
  signal: AbortSignal,
): Promise<ArchivedFile[]> {
  const whole: ArchivedFile[] = [];
  for (const file of files) {
    try {
      const stored = store.get(keyOf(id, file.name), 0, file.bytes, signal);
      if ((await hashOf(stored, signal)) === file.sha256) whole.push(file);
    } catch (error) {
      if (!(error instanceof JobletError) || error.kind !== 'not-found') throw error;
    }
  }
  return whole;
}

/** Removes everything of a job. */
export async function removeJob(
  store: ObjectStore,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  await store.discardUnfinished(prefixOf(id), signal);
  const keys: string[] = [];
  for await (const { key } of store.list(prefixOf(id), signal)) keys.push(key);
  for (const key of keys) await store.delete(key, signal);
}

/** A job that never ran has no directory. */
async function namesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    },
  );
  return entries
    .filter((entry) => entry.isFile() && LASTING.test(entry.name))
    .map(({ name }) => name)
    .toSorted();
}

async function sourceIn(file: FileHandle, signal: AbortSignal): Promise<Source> {
  const { size: bytes } = await file.stat();
  const read = async (into: Buffer, offset: number) => {
    for (let done = 0; done < into.length; ) {
      const { bytesRead } = await file.read(into, done, into.length - done, offset + done);
      if (bytesRead === 0) throw new Error('a file that was to be archived became shorter');
      done += bytesRead;
    }
  };
  return { bytes, sha256: await hashOf(piecesOf({ read }, 0, bytes), signal), read };
}

async function hashOf(parts: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of parts) {
    signal.throwIfAborted();
    hash.update(part);
  }
  return hash.digest('hex');
}
