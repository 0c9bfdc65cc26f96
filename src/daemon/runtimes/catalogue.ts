// The runtimes of this node: whatever lies below one directory with a runtime.yml. Deploying one is
// unpacking it there and nothing else. Nobody watches the directory: each question looks at it, and
// only what has changed since the last one is read again.

import { JobletError, messageOf } from '../../shared/errors.ts';
import type { RuntimeFile } from '../../shared/runtime-file.ts';
import {
  compareVersions,
  matchRuntime,
  type NamedRuntime,
  nearestRuntime,
  runtimeSpecProblem,
  splitRuntimeName,
} from '../../shared/runtime-names.ts';
import { architectureWords } from './architecture.ts';
import { Layout, type Place } from './layout.ts';

/** A runtime as it lies on the disk. */
export interface Runtime extends NamedRuntime {
  /** Holds runtime.yml; no link. */
  readonly directory: string;
  /** The link that gives it this name; empty without one. */
  readonly link: string;
  /** Of that directory, also when it is renamed: device and inode. */
  readonly id: string;
  /** Undefined when it cannot be read; `problem` says why. */
  readonly file: RuntimeFile | undefined;
  /** Why no job can use it; empty when jobs can. */
  readonly problem: string;
  /** What its author may have meant differently. */
  readonly warnings: readonly string[];
}

/** A runtime that jobs can use. */
export type UsableRuntime = Runtime & { readonly file: RuntimeFile };

export class Catalogue {
  readonly #layout: Layout;
  #known: readonly Runtime[] = [];
  #knownPlaces: readonly Place[] | undefined;

  /** `directory` may come later. */
  constructor(directory: string) {
    this.#layout = new Layout(directory);
  }

  /** All of them, by their names, and the latest version of each first. */
  list(): readonly Runtime[] {
    const places = this.#layout.places();
    if (places !== this.#knownPlaces) {
      this.#known = places.map(toRuntime).sort(inOrder);
      this.#knownPlaces = places;
    }
    return this.#known;
  }

  /** The one that a name means, or undefined. See matchRuntime. */
  find(name: string): Runtime | undefined {
    return runtimeSpecProblem(name) === undefined ? matchRuntime(name, this.list()) : undefined;
  }

  /**
   * The same.
   * @throws JobletError not-found with the name that was meant, perhaps; invalid for what is no name
   */
  get(name: string): Runtime {
    const found = this.find(name);
    if (found !== undefined) return found;
    const shown = name.slice(0, 64);
    const problem = runtimeSpecProblem(name);
    const about = 'runtime';
    if (problem !== undefined) {
      throw new JobletError('invalid', `runtime: ${JSON.stringify(shown)} ${problem}`, { about });
    }
    const message = `runtime not found: ${shown} (${this.#wayOut(name)})`;
    throw new JobletError('not-found', message, { about });
  }

  /**
   * The same, for a job.
   * @throws JobletError also wrong-state when no job can use it
   */
  getUsable(name: string): UsableRuntime {
    const runtime = this.get(name);
    if (isUsable(runtime)) return runtime;
    throw unfit(runtime, runtime.problem);
  }

  #wayOut(name: string): string {
    const all = this.list();
    const { name: plain, version } = splitRuntimeName(name);
    const versions = version === '' ? undefined : matchRuntime(plain, all);
    if (versions !== undefined) {
      const there = all.filter((one) => one.name === versions.name).map((one) => one.version);
      return `installed versions of ${versions.name}: ${there.join(', ')}`;
    }
    const guess = nearestRuntime(name, all);
    if (guess !== undefined) return `did you mean ${guess}?`;
    return '`rnx runtime list` shows what is installed, `rnx runtime install` installs more';
  }
}

/** How a runtime is recorded with a job: nothing but this very version is meant. */
export function refOf({ name, version }: Pick<Runtime, 'name' | 'version'>): string {
  return `${name}@${version}`;
}

export function isUsable(runtime: Runtime): runtime is UsableRuntime {
  return runtime.problem === '';
}

/** What is said of a runtime that no job can use. */
export function unfit(runtime: Runtime, why: string): JobletError {
  const message = `runtime ${refOf(runtime)} cannot be used: ${why}`;
  return new JobletError('wrong-state', message, { about: 'runtime' });
}

function toRuntime({ parts, directory, id, isCurrent, link, content }: Place): Runtime {
  const [last = '', holder] = parts.toReversed();
  const common = { directory, id, isCurrent, link };
  if ('error' in content) {
    const isVersion = holder !== undefined && /^\d/.test(last);
    const problem = messageOf(content.error);
    const named = isVersion ? { name: holder, version: last } : { name: last, version: '' };
    return { ...common, ...named, aliases: [], file: undefined, problem, warnings: [] };
  }
  const { file, unknownKeys } = content.read;
  const warnings = unknownKeys.map(({ field, message }) => `${field}: ${message}`);
  const isVersion = holder !== undefined && file.name === holder;
  const name = isVersion ? holder : last;
  return {
    ...common,
    name,
    version: isVersion ? last : file.version,
    // A folder that was given another name is known by both.
    aliases: file.name === name ? file.aliases : [...file.aliases, file.name],
    file,
    problem: problemOf(file),
    warnings,
  };
}

function problemOf({ requirements }: RuntimeFile): string {
  const { architectures } = requirements;
  if (architectures.length === 0) return '';
  if (architectures.some((word) => architectureWords.includes(word.toLowerCase()))) return '';
  return `it is for ${architectures.join(', ')}, and this host is ${architectureWords[0]}`;
}

function inOrder(a: Runtime, b: Runtime): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return compareVersions(b.version, a.version);
}
