// Files and links of the specification, what is kept of libraries, and what is taken away.

import { existsSync } from 'node:fs';
import { chmod, copyFile, lstat, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { BuildSpec } from '../shared/build-spec.ts';
import { places } from '../shared/build-task.ts';
import { globToRegExp, walk } from './globs.ts';
import { BuildError, say } from './output.ts';
import { resolveIn } from './tree-path.ts';

/** Writes the files of a specification. */
export async function placeFiles(files: BuildSpec['files']): Promise<void> {
  for (const { target, mode, content, source } of files) {
    const place = await makeWay(target, true);
    await makeRoom(place, target);
    if (source === undefined) await writeFile(place, content ?? '');
    else await copyBeside(source, place);
    await chmod(place, Number.parseInt(mode, 8));
    say(target);
  }
}

async function copyBeside(source: string, place: string): Promise<void> {
  const file = path.join(places.files, source);
  if (!existsSync(file)) {
    throw new BuildError(`the file ${source} does not lie beside the specification`);
  }
  await copyFile(file, place);
}

/** Makes the links of a specification; what stands in the place of one goes. */
export async function placeLinks(links: BuildSpec['links']): Promise<void> {
  for (const { target, to } of links) {
    const place = await makeWay(target, false);
    await makeRoom(place, target);
    await symlink(to, place);
    say(`${target} -> ${to}`);
  }
}

/** Takes a file or a link away; a folder stays, with all that is in it. */
async function makeRoom(place: string, target: string): Promise<void> {
  const found = await lstat(place).catch(() => undefined);
  if (found?.isDirectory() === true) {
    throw new BuildError(`${target} is a folder of the tree; it cannot become a file or a link`);
  }
  await rm(place, { force: true });
}

/** Where a path of the tree lies, with the folders that lead there. */
async function makeWay(target: string, follow: boolean): Promise<string> {
  const place = resolveIn(places.tree, target, follow);
  if (place === undefined) throw new BuildError(`links lead in a circle: ${target}`);
  await mkdir(path.dirname(place), { recursive: true });
  return place;
}

const LIBRARY = /\.so(\.[0-9.]+)?$/;

/** Where there are globs of libraries, those that none of them means go. */
export async function keepLibraries(globs: readonly string[]): Promise<void> {
  if (globs.length === 0) return;
  const kept = globs.map(globToRegExp);
  await removeAll(
    (target, kind) =>
      kind !== 'folder' && LIBRARY.test(target) && !kept.some((glob) => glob.test(target)),
    'libraries that are not named',
  );
}

/** Takes away what the globs mean. */
export async function removeMeant(globs: readonly string[]): Promise<void> {
  const meant = globs.map(globToRegExp);
  await removeAll((target) => meant.some((glob) => glob.test(target)), 'as asked for');
}

async function removeAll(
  isMeant: (target: string, kind: string) => boolean,
  why: string,
): Promise<void> {
  const found = [...walk(places.tree)].filter(({ target, kind }) => isMeant(target, kind));
  for (const { target } of found) {
    await rm(path.join(places.tree, target), { recursive: true, force: true });
  }
  if (found.length > 0) say(`removed ${found.length} files and folders ${why}`);
}
