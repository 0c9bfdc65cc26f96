// RuntimeService, the part that builds runtimes.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { RuntimeService, RuntimeYAMLInfoSchema } from '../../gen/joblet/runtimes_pb.ts';
import { formatBase } from '../../shared/build-base.ts';
import { type BuildSpec, parseBuildSpec, warningsOf } from '../../shared/build-spec.ts';
import { invalid, JobletError } from '../../shared/errors.ts';
import { platformWarnings } from '../../shared/platform.ts';
import type { Handlers } from './handlers.ts';

const FILE_NAME = 'runtime.yaml';
const MAX_FILE_NAME_CHARS = 4096;

type BuildHandlers = Pick<Handlers<typeof RuntimeService>, 'validateRuntimeYAML'>;

export function buildHandlers(): BuildHandlers {
  return {
    validateRuntimeYAML: async ({ yamlContent, fileName }) => {
      if (fileName.length > MAX_FILE_NAME_CHARS) {
        const message = `has more than ${MAX_FILE_NAME_CHARS} characters`;
        throw invalid([{ field: 'file_name', message }]);
      }
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
  };
}
