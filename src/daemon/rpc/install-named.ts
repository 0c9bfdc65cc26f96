// Installs a runtime by its name: from a registry that has it, or else built from a specification that
// came with this node.

import path from 'node:path';
import type { InstallRuntimeRequest } from '../../gen/joblet/runtimes_pb.ts';
import { numberOf, phases } from '../../shared/build-phases.ts';
import { parseBuildSpec } from '../../shared/build-spec.ts';
import { invalid, JobletError } from '../../shared/errors.ts';
import {
  runtimeCandidates,
  runtimeSpecProblem,
  splitRuntimeName,
} from '../../shared/runtime-names.ts';
import type { BuildEvent, BuildOrder } from '../builder/build.ts';
import type { Builds } from '../builder/builds.ts';
import type { Installs } from '../runtimes/installs.ts';
import type { Call } from './handlers.ts';
import { type Arrival, type ArrivalParts, type News, tellInstallation } from './install-news.ts';

export interface NamedParts extends ArrivalParts {
  readonly installs: Installs;
  readonly builds: Pick<Builds, 'build' | 'specification'>;
}

/** Fetching, unpacking and installing. */
const STEPS = 3;

export async function* installNamed(
  parts: NamedParts,
  request: InstallRuntimeRequest,
  call: Call,
): AsyncGenerator<News, Arrival> {
  const { runtimeSpec: spec, forceReinstall: force } = request;
  const problem = runtimeSpecProblem(spec);
  if (problem !== undefined) throw invalid([{ field: 'runtime_spec', message: problem }]);
  const registry = registryOf(request);
  const { identity, signal } = call;
  const fetching = tellInstallation(
    parts,
    spec,
    (report) => parts.installs.fromRegistry({ spec, force }, registry, { signal, report }),
    STEPS,
    identity,
  );
  try {
    return yield* fetching;
  } catch (error) {
    const isNowhere = error instanceof JobletError && error.kind === 'not-found';
    if (!isNowhere || registry !== '') throw error;
    return yield* build(parts, spec, force, call, error);
  }
}

/** The registry that a request names; empty when it names none. */
function registryOf({ registryUrl, repository, path: folder }: InstallRuntimeRequest): string {
  if (registryUrl !== '' || repository === '') return registryUrl;
  if (path.isAbsolute(repository)) return path.join(repository, folder);
  if (repository.includes('://')) return repository.replace(/\/*$/, `/${folder}`);
  const shown = JSON.stringify(repository.slice(0, 200));
  const message = `${shown} stands for a site that this node does not know; give the address of a registry there, or a directory`;
  throw invalid([{ field: 'repository', message }]);
}

/** Builds a runtime where no registry has it. */
async function* build(
  parts: NamedParts,
  spec: string,
  force: boolean,
  { identity, signal }: Call,
  nowhere: JobletError,
): AsyncGenerator<News, Arrival> {
  const text = await findSpecification(parts, spec, nowhere);
  const order: BuildOrder = { ...text, uploadId: '', lock: '', checkOnly: false, force };
  for await (const event of parts.builds.build(order, identity, signal)) {
    if (event.kind !== 'result') {
      yield* toNews(event);
      continue;
    }
    const { ok, message, name, version, directory, bytes, jobId } = event.result;
    if (!ok) throw new JobletError('wrong-state', message);
    const runtime = `${name}@${version}`;
    return { message, runtime, directory, bytes, newBytes: bytes, jobId };
  }
  throw new Error('a build ended without a result');
}

async function findSpecification(
  { builds }: NamedParts,
  spec: string,
  nowhere: JobletError,
): Promise<Pick<BuildOrder, 'yaml' | 'fileName' | 'folder'>> {
  const { name, version } = splitRuntimeName(spec);
  let last: unknown;
  for (const candidate of runtimeCandidates(name)) {
    try {
      const found = await builds.specification(candidate);
      requireVersion(parseBuildSpec(found.yaml, found.fileName).version, candidate, version);
      return found;
    } catch (error) {
      if (!(error instanceof JobletError) || error.kind !== 'not-found') throw error;
      last ??= error;
    }
  }
  const because = last instanceof JobletError ? last.message : '';
  const message = `${nowhere.message}; nor can it be built: ${because}`;
  throw new JobletError('not-found', message, { about: 'runtime_spec' });
}

function requireVersion(builds: string, name: string, wanted: string): void {
  if (wanted === '' || wanted === 'latest' || wanted === builds) return;
  const message = `the specification of ${name} builds version ${builds}, not ${wanted}`;
  throw new JobletError('not-found', message, { about: 'runtime_spec' });
}

function* toNews(event: Exclude<BuildEvent, { kind: 'result' }>): Generator<News> {
  if (event.kind === 'log') {
    if (event.level !== 'info') yield { kind: 'log', line: event.message };
    return;
  }
  const { phase, message } = event;
  const text = message === '' ? phase : `${phase}: ${message}`;
  const totalSteps = phases.length;
  yield { kind: 'step', message: text, step: numberOf(phase), totalSteps, done: 0, total: 0 };
}
