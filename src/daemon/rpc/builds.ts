// RuntimeService, the part that builds runtimes.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  BuildRuntimeProgressSchema,
  BuildRuntimeRequest,
  RuntimeService,
  RuntimeYAMLInfoSchema,
} from '../../gen/joblet/runtimes_pb.ts';
import { formatBase } from '../../shared/build-base.ts';
import { numberOf, phases } from '../../shared/build-phases.ts';
import {
  type BuildSpec,
  filesBeside,
  parseBuildSpec,
  warningsOf,
} from '../../shared/build-spec.ts';
import { invalid, JobletError } from '../../shared/errors.ts';
import { platformWarnings } from '../../shared/platform.ts';
import type { BuildEvent, BuildOrder } from '../builder/build.ts';
import type { Builds } from '../builder/builds.ts';
import type { Handlers } from './handlers.ts';

const FILE_NAME = 'runtime.yaml';
const MAX_FILE_NAME_CHARS = 4096;

type BuildHandlers = Pick<Handlers<typeof RuntimeService>, 'validateRuntimeYAML' | 'buildRuntime'>;

export interface BuildHandlerParts {
  readonly builds: Pick<Builds, 'build' | 'specification'>;
}

export function buildHandlers({ builds }: BuildHandlerParts): BuildHandlers {
  return {
    buildRuntime: async function* (request, { identity, signal }) {
      checkFileName(request.fileName);
      const order = await toOrder(request, builds);
      for await (const event of builds.build(order, identity, signal)) {
        if (event.kind === 'log' && event.level === 'info' && !request.verbose) continue;
        yield toProgress(event);
      }
    },

    validateRuntimeYAML: async ({ yamlContent, fileName }) => {
      checkFileName(fileName);
      try {
        const spec = parseBuildSpec(yamlContent, fileName || FILE_NAME);
        const warnings = [...warningsOf(spec), ...platformWarnings(spec.platforms, process.arch)];
        const message = 'Runtime specification is valid';
        return { valid: true, message, warnings, specInfo: toInfo(spec) };
      } catch (error) {
        if (!(error instanceof JobletError) || error.kind !== 'invalid') throw error;
        const errors = error.problems.map(({ field, message }) => `${field}: ${message}`);
        return { valid: false, message: 'Runtime specification is not valid', errors };
      }
    },
  };
}

function checkFileName(fileName: string): void {
  if (fileName.length <= MAX_FILE_NAME_CHARS) return;
  const message = `has more than ${MAX_FILE_NAME_CHARS} characters`;
  throw invalid([{ field: 'file_name', message }]);
}

async function toOrder(
  request: BuildRuntimeRequest,
  builds: Pick<Builds, 'specification'>,
): Promise<BuildOrder> {
  const { yamlContent, fileName, uploadId, specification } = request;
  if (specification !== '' && (yamlContent !== '' || uploadId !== '')) {
    const message = 'stands for a text and its files; leave yaml_content and upload_id empty';
    throw invalid([{ field: 'specification', message }]);
  }
  const text =
    specification === ''
      ? { yaml: yamlContent, fileName: fileName || FILE_NAME, folder: '' }
      : await builds.specification(specification);
  const { lock, dryRun, forceRebuild } = request;
  return { ...text, uploadId, lock, checkOnly: dryRun, force: forceRebuild };
}

function toProgress(event: BuildEvent): MessageInitShape<typeof BuildRuntimeProgressSchema> {
  switch (event.kind) {
    case 'phase': {
      const { phase, message } = event;
      const value = {
        phaseNumber: numberOf(phase),
        totalPhases: phases.length,
        phaseName: phase,
        message,
      };
      return { progressType: { case: 'phase', value } };
    }
    case 'log': {
      const { level, message, timeNs } = event;
      return { progressType: { case: 'log', value: { level, message, timestamp: timeNs } } };
    }
    case 'result': {
      const { result } = event;
      const value = {
        success: result.ok,
        message: result.message,
        runtimeName: result.name,
        runtimeVersion: result.version,
        installPath: result.directory,
        sizeBytes: BigInt(result.bytes),
        buildDurationMs: BigInt(result.durationMs),
        buildJobUuid: result.jobId,
        lock: result.lock,
      };
      return { progressType: { case: 'result', value } };
    }
  }
}

function toInfo(spec: BuildSpec): MessageInitShape<typeof RuntimeYAMLInfoSchema> {
  const { name, version, description, base, hooks } = spec;
  const language = base.kind === 'suite' ? base.language : undefined;
  return {
    name,
    version,
    description,
    language: language?.name ?? '',
    languageVersion: language?.version ?? '',
    pipPackages: [...spec.pip],
    npmPackages: [...spec.npm],
    hasHooks: hooks.pre_install !== '' || hooks.post_install !== '',
    requiresGpu: spec.requirements.gpu,
    base: formatBase(base),
    aptPackages: [...(base.kind === 'suite' ? base.packages : []), ...spec.apt],
    platforms: [...spec.platforms],
    filesBeside: filesBeside(spec),
  };
}
