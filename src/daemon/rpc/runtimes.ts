// RuntimeService, the part about runtimes that are there: what there is, whether it works, and its end.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  RuntimeInfoSchema,
  RuntimeService,
  ValidateRuntimeSpecResponseSchema,
} from '../../gen/joblet/runtimes_pb.ts';
import { JobletError } from '../../shared/errors.ts';
import {
  runtimeCandidates,
  runtimeSpecProblem,
  splitRuntimeName,
  wordsOfRuntime,
} from '../../shared/runtime-names.ts';
import { type Catalogue, type Runtime, refOf } from '../runtimes/catalogue.ts';
import type { Sizes } from '../runtimes/measure-trees.ts';
import { type RemovalParts, removeRuntime } from '../runtimes/removal.ts';
import { readSpecification } from '../runtimes/specification.ts';
import type { Trees } from '../runtimes/trees.ts';
import type { Handlers } from './handlers.ts';
import { type RuntimeTestParts, testRuntime } from './runtime-tests.ts';

export interface RuntimeParts extends RuntimeTestParts, Omit<RemovalParts, 'runtimes' | 'trees'> {
  readonly catalogue: Pick<Catalogue, 'list' | 'get' | 'find'>;
  readonly runtimes: RuntimeTestParts['runtimes'] & RemovalParts['runtimes'];
  readonly trees: Pick<Trees, 'sizes' | 'remove'>;
}

type RuntimeHandlers = Pick<
  Handlers<typeof RuntimeService>,
  'listRuntimes' | 'getRuntimeInfo' | 'testRuntime' | 'removeRuntime' | 'validateRuntimeSpec'
>;

export function runtimeHandlers(parts: RuntimeParts): RuntimeHandlers {
  const { catalogue, runtimes, trees } = parts;
  /** Also looks whether a tree has what its runtime.yml says. */
  const toInfo = (runtime: Runtime, sizes: Sizes) =>
    toRuntimeInfo(runtime, runtime.problem || problemOf(runtime, runtimes), sizes);
  return {
    listRuntimes: async () => {
      const all = catalogue.list();
      const sizes = await trees.sizes(all);
      return {
        runtimes: all.map((runtime) => toInfo(runtime, sizes)),
        diskBytes: BigInt(sizes.diskBytes),
      };
    },

    getRuntimeInfo: async ({ runtime: name }) => {
      const runtime = catalogue.find(name);
      if (runtime === undefined) return { found: false, message: whyNot(name, catalogue) };
      const sizes = await trees.sizes(catalogue.list());
      const originalYaml = await readSpecification(runtime.directory);
      return { found: true, runtime: { ...toInfo(runtime, sizes), originalYaml } };
    },

    testRuntime: ({ runtime }, call) => testRuntime(parts, runtime, call),

    removeRuntime: async ({ runtime }, { identity }) => {
      const { refs, freedBytes } = await removeRuntime(parts, runtime, identity);
      return {
        success: true,
        message: `Runtime ${refs.join(', ')} removed`,
        freedSpaceBytes: BigInt(freedBytes),
        removed: [...refs],
      };
    },

    validateRuntimeSpec: async ({ runtimeSpec }) => describeName(runtimeSpec, catalogue),
  };
}

function toRuntimeInfo(
  runtime: Runtime,
  problem: string,
  sizes: Sizes,
): MessageInitShape<typeof RuntimeInfoSchema> {
  const { file, name, version, aliases, warnings } = runtime;
  const size = sizes.trees.get(runtime.directory);
  const words = wordsOfRuntime(name);
  return {
    name,
    version,
    language: file?.language || words.language,
    languageVersion: file?.languageVersion || words.version,
    description: file?.description ?? '',
    type: file?.type ?? '',
    sizeBytes: BigInt(size?.bytes ?? 0),
    uniqueBytes: BigInt(size?.uniqueBytes ?? 0),
    packages: [...(file?.packages ?? [])],
    libraries: [...(file?.libraries ?? [])],
    available: problem === '',
    problem,
    aliases: [...aliases],
    environment: { ...file?.environment },
    requirements: {
      architectures: [...(file?.requirements.architectures ?? [])],
      gpu: file?.requirements.gpu ?? false,
      minMemoryBytes: BigInt(file?.requirements.minMemoryBytes ?? 0),
      recommendedMemoryBytes: BigInt(file?.requirements.recommendedMemoryBytes ?? 0),
    },
    tests: file?.tests.map((test) => test.name) ?? [],
    warnings: [...warnings],
    ...(file?.built && {
      buildInfo: {
        builtAt: file.built.at,
        builtWith: file.built.with,
        platform: file.built.platform,
      },
    }),
  };
}

/** What keeps jobs from a runtime whose runtime.yml is sound. */
function problemOf(runtime: Runtime, runtimes: RuntimeParts['runtimes']): string {
  try {
    runtimes.rootFor(refOf(runtime));
    return '';
  } catch (error) {
    if (error instanceof JobletError) return error.message;
    throw error;
  }
}

function whyNot(name: string, catalogue: Pick<Catalogue, 'get'>): string {
  try {
    return refOf(catalogue.get(name));
  } catch (error) {
    if (error instanceof JobletError) return error.message;
    throw error;
  }
}

/** Takes a name apart; whether there is such a runtime does not matter. */
function describeName(
  text: string,
  catalogue: Pick<Catalogue, 'find'>,
): MessageInitShape<typeof ValidateRuntimeSpecResponseSchema> {
  const problem = runtimeSpecProblem(text);
  if (problem !== undefined) {
    const message = `Runtime specification is invalid: ${JSON.stringify(text.slice(0, 64))} ${problem}`;
    return { valid: false, message };
  }
  const { name, version } = splitRuntimeName(text);
  const plain = catalogue.find(name)?.name ?? runtimeCandidates(name)[0] ?? name;
  return {
    valid: true,
    message: 'Runtime specification is valid',
    normalizedSpec: version === '' ? plain : `${plain}@${version}`,
    specInfo: { ...wordsOfRuntime(text), variants: [...wordsOfRuntime(text).variants] },
  };
}
