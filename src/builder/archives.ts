// Unpacks archives into the tree. Each is unpacked on its own first and looked at: nothing in it may
// lead out of it, or be anything but files, folders and links.

import { createWriteStream, existsSync, lstatSync, readlinkSync } from 'node:fs';
import { chmod, mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { BuildSpec } from '../shared/build-spec.ts';
import { places } from '../shared/build-task.ts';
import { sha256Of } from './apt.ts';
import { walk } from './globs.ts';
import { BuildError, say } from './output.ts';
import { run } from './programs.ts';
import { resolveIn } from './tree-path.ts';

type Archive = BuildSpec['archives'][number];

const MAX_ENTRIES = 1_000_000;
const SPECIAL_BITS = 0o7000;

export async function unpackArchives(archives: readonly Archive[]): Promise<void> {
  for (const archive of archives) {
    const name = archive.path ?? archive.url ?? '';
    say(`unpacking ${name} to ${archive.target}`);
    const file = await fetchArchive(archive, name);
    await checkNames(file, name);
    const folder = path.join(places.work, 'unpacked');
    await mkdir(folder);
    const options = [
      '--no-same-owner',
      `--strip-components=${archive.strip}`,
      '--delay-directory-restore',
    ];
    await run('tar', ['-xf', file, '-C', folder, ...options]);
    await checkTree(folder, name);
    await moveInto(folder, archive.target);
    await rm(folder, { recursive: true, force: true });
    if (archive.url !== undefined) await rm(file);
  }
}

/** The archive as a file, which has been compared with its digest. */
async function fetchArchive({ path: beside, url, sha256 }: Archive, name: string): Promise<string> {
  let file = path.join(places.files, beside ?? '');
  if (url !== undefined) {
    file = path.join(places.work, 'archive');
    await download(url, file);
  } else if (!existsSync(file)) {
    throw new BuildError(`the archive ${name} does not lie beside the specification`);
  }
  const found = await sha256Of(file);
  if (found === sha256) return file;
  throw new BuildError(`the archive ${name} has the SHA-256 ${found}, and should have ${sha256}`);
}

async function download(url: string, file: string): Promise<void> {
  try {
    const answer = await fetch(url);
    if (!answer.ok || answer.body === null) throw new Error(`the server says ${answer.status}`);
    await pipeline(answer.body, createWriteStream(file));
  } catch (error) {
    const { message, cause } = error as Error;
    const why = cause instanceof Error ? `${message}: ${cause.message}` : message;
    throw new BuildError(`${url} cannot be fetched: ${why}`);
  }
}

/** Refuses names that are absolute or lead upwards, which tar would change or leave out. */
async function checkNames(file: string, name: string): Promise<void> {
  const names = await run('tar', ['-tf', file, '--quoting-style=escape', '-P'], { quiet: true });
  const lines = names.split('\n');
  if (lines.length > MAX_ENTRIES) {
    throw new BuildError(`the archive ${name} has more than ${MAX_ENTRIES} entries`);
  }
  const bad = lines.find((line) => line.startsWith('/') || line.split('/').includes('..'));
  if (bad === undefined) return;
  throw new BuildError(`the archive ${name} holds a path that leads out of it: ${bad}`);
}

/** Refuses links that lead out, and what is no file; takes set-uid bits away. */
async function checkTree(folder: string, name: string): Promise<void> {
  for (const { target, kind } of walk(folder)) {
    const file = path.join(folder, target);
    if (kind === 'other') {
      throw new BuildError(`the archive ${name} holds a device or the like: ${target}`);
    }
    if (kind === 'link') {
      const text = readlinkSync(file);
      if (text.startsWith('/') || leadsUp(target, text)) {
        throw new BuildError(`the archive ${name} holds a link that leads out of it: ${target}`);
      }
      continue;
    }
    const { mode } = lstatSync(file);
    if ((mode & SPECIAL_BITS) !== 0) await chmod(file, mode & 0o777);
  }
}

/** Whether the parts of a link go above the archive’s top on the way. */
function leadsUp(target: string, text: string): boolean {
  let depth = target.split('/').filter((part) => part !== '').length - 1;
  for (const part of text.split('/')) {
    if (part === '..') depth -= 1;
    else if (part !== '' && part !== '.') depth += 1;
    if (depth < 0) return true;
  }
  return false;
}

/** Moves what lies in a folder into one of the tree, whose own files are kept. */
async function moveInto(folder: string, target: string): Promise<void> {
  const place = resolveIn(places.tree, target, true);
  if (place === undefined) throw new BuildError(`links lead in a circle: ${target}`);
  await mkdir(place, { recursive: true });
  await run('cp', ['-a', '--no-target-directory', folder, place]);
  await chmod(place, 0o755);
}
