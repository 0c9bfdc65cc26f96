// The program in the builder's sandbox: it makes a tree from a task, phase by phase, and leaves an
// outcome. It is the only one that runs what others wrote: maintainers of packages, and whoever wrote
// the specification.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { formatBase } from '../shared/build-base.ts';
import type { BuildLock, LockedDeb } from '../shared/build-lock.ts';
import type { Phase } from '../shared/build-phases.ts';
import {
  type BuildOutcome,
  type BuildTask,
  outcomeFile,
  places,
  taskFile,
} from '../shared/build-task.ts';
import { TREE_TIME_S } from '../shared/tree-time.ts';
import {
  fetchPackages,
  fileOf,
  installPackages,
  isKnown,
  keepNewPackages,
  listPackages,
  makeRepository,
  openRepository,
  resolvePackages,
  suiteTime,
  takeFromCache,
  updateMirrors,
} from './apt.ts';
import { unpackArchives } from './archives.ts';
import { configureEssential, endBootstrap, unpackEssential } from './bootstrap.ts';
import { runInTree } from './chroot.ts';
import { Closure } from './closure.ts';
import {
  closeNetwork,
  installNpm,
  installPip,
  networkVariables,
  openNetwork,
} from './languages.ts';
import { BuildError, currentPhase, say, sayPhase } from './output.ts';
import { keepLibraries, placeFiles, placeLinks, removeMeant } from './place.ts';
import { settle } from './settle.ts';

/** Every suite has these; the last one says that /bin and the like are links into /usr. */
const essentials = ['?essential'];
const MERGED = 'usr-is-merged';

const MAX_MISSING = 20;

interface Packages {
  readonly all: readonly LockedDeb[];
  readonly essential: readonly LockedDeb[];
  /** Those that the cache does not have. */
  readonly missing: readonly LockedDeb[];
}

async function build(task: BuildTask): Promise<BuildLock> {
  const { spec, platform, lock } = task;
  sayPhase('Validate packages', formatBase(spec.base));
  const packages = await validatePackages(task);
  const made: BuildLock = {
    schema_version: '1.0',
    base: formatBase(spec.base),
    platform: platform.name,
    time: lock?.time ?? (await timeOf(spec)),
    apt: [...packages.all],
    pip: [],
    npm: [],
  };
  if (task.checkOnly) return made;
  const hasBase = spec.base.kind === 'suite';

  sayPhase('Prepare directories', hasBase ? `${packages.all.length} packages` : '');
  if (hasBase) await prepareBase(packages, task);
  await openNetwork();

  await runHook('Pre-install hook', spec.hooks.pre_install, spec.hooks.timeout);

  const wanted = packages.all.filter((each) => !packages.essential.includes(each));
  sayPhase('Install base packages', wanted.length === 0 ? 'none' : `${wanted.length} packages`);
  if (wanted.length > 0) await installPackages(wanted);

  sayPhase('Install pip and npm packages', countOf([...spec.pip, ...spec.npm]));
  const pip = await installPip(spec, lock?.pip);
  const npm = await installNpm(spec.npm, lock);

  await runHook('Post-install hook', spec.hooks.post_install, spec.hooks.timeout);
  await closeNetwork();

  sayPhase('Copy binaries', countOf([...spec.archives, ...spec.files, ...spec.links]));
  await unpackArchives(spec.archives);
  await placeFiles(spec.files);
  await placeLinks(spec.links);

  sayPhase('Copy libraries');
  await keepLibraries(spec.libraries);
  await removeMeant(spec.remove);
  if (hasBase) await endBootstrap();
  checkClosure(task);

  sayPhase('Copy configuration');
  await settle();
  await keepNewPackages(packages.missing);
  return { ...made, pip: [...pip], npm };
}

/** The same inputs have the same time: that of the suite, unless npm takes what there is now. */
async function timeOf({ base, npm }: BuildTask['spec']): Promise<string> {
  if (npm.length > 0) return new Date().toISOString();
  return base.kind === 'none' ? new Date(TREE_TIME_S * 1000).toISOString() : suiteTime();
}

function countOf(list: readonly unknown[]): string {
  return list.length === 0 ? 'none' : String(list.length);
}

/** Finds out which packages it takes, and has them all. */
async function validatePackages({ spec, platform, lock, checkOnly }: BuildTask): Promise<Packages> {
  const none: Packages = { all: [], essential: [], missing: [] };
  if (spec.base.kind === 'none') return none;
  const names = [...spec.base.packages, ...spec.apt];
  if (lock !== undefined) {
    const missing = await takeFromCache(lock.apt);
    if (missing.length > 0) {
      await updateMirrors(platform.debian);
      if (!checkOnly) await fetchPackages(missing);
    }
    return { all: lock.apt, essential: lock.apt.filter(({ essential }) => essential), missing };
  }
  await updateMirrors(platform.debian);
  const base = await listEssentials();
  const all = await resolvePackages([...base.names, ...names]);
  const first = new Set(base.packages.map(fileOf));
  const marked = all.map((each) => ({ ...each, essential: first.has(fileOf(each)) }));
  const packages = { all: marked, essential: marked.filter(({ essential }) => essential) };
  say(`${all.length} packages, ${packages.essential.length} of them essential`);
  if (checkOnly) return { ...packages, missing: [] };
  const missing = await takeFromCache(marked);
  await fetchPackages(missing);
  return { ...packages, missing };
}

async function listEssentials() {
  const names = (await isKnown(MERGED)) ? [...essentials, MERGED] : essentials;
  return { names, packages: await listPackages(names) };
}

async function prepareBase({ all, essential }: Packages, { platform }: BuildTask): Promise<void> {
  await makeRepository(all);
  await unpackEssential(essential, platform);
  await configureEssential(essential);
  await openRepository(platform.debian);
}

async function runHook(phase: Phase, script: string, timeoutMs: number): Promise<void> {
  sayPhase(phase, script === '' ? 'none' : '');
  if (script === '') return;
  await runInTree('sh', ['-ec', script], {
    timeoutMs,
    env: networkVariables,
    name: 'the hook',
  });
}

function checkClosure({ spec, platform }: BuildTask): void {
  const missing = new Closure(places.tree, platform, spec.closure.ignore).missing();
  if (missing.length === 0) return;
  const lines = missing
    .slice(0, MAX_MISSING)
    .map(({ target, library }) => `${target} needs ${library}`);
  const more = missing.length > MAX_MISSING ? `\nand ${missing.length - MAX_MISSING} more` : '';
  throw new BuildError(
    `libraries are missing in the tree; add their packages, or list them in closure.ignore:\n${lines.join('\n')}${more}`,
  );
}

function leave(outcome: BuildOutcome): void {
  const file = path.join(places.out, outcomeFile);
  rmSync(file, { recursive: true, force: true });
  writeFileSync(file, JSON.stringify(outcome), { flag: 'wx' });
}

const MAX_MESSAGE_CHARS = 16 * 1024;

try {
  const text = readFileSync(path.join(places.input, taskFile), 'utf8');
  const lock = await build(JSON.parse(text) as BuildTask);
  leave({ ok: true, lock });
} catch (error) {
  // What a system call says of a full disk is as good as any sentence; a bug shows where it is.
  const isKnown =
    error instanceof BuildError || (error as NodeJS.ErrnoException).code !== undefined;
  const { message, stack = message } = error as Error;
  const told = (isKnown ? message : stack).slice(0, MAX_MESSAGE_CHARS);
  say(told, 'error');
  try {
    leave({ ok: false, phase: currentPhase(), message: told });
  } catch {
    // A full disk takes no outcome either; the output says it.
  }
  process.exitCode = 1;
}
