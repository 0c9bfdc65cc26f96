// runtime.yml: what a runtime is, what of its tree its jobs see, and what they are given. It lies
// beside the tree. Every problem is told with its line and column.

import { stringify } from 'yaml';
import { z } from 'zod';
import { invalid, messageOf, type Problem } from './errors.ts';
import { nearest } from './nearest.ts';
import { patternProblem } from './output-pattern.ts';
import { runtimeNameProblem, runtimeSpecProblem, runtimeVersionProblem } from './runtime-names.ts';
import { formatBytes, parseBytes } from './units.ts';
import { pathProblem } from './upload-path.ts';
import { type Path, parseYamlText } from './yaml-text.ts';

/** A part of the tree that jobs see, always read-only. */
export interface RuntimeMount {
  /** Relative to the folder that holds runtime.yml. */
  readonly source: string;
  /** Absolute, in the job. */
  readonly target: string;
  /** Only these names of the source, each below the target; empty is the whole. */
  readonly selective: readonly string[];
}

/** A command that shows that the runtime works, run as a job in it. */
export interface RuntimeTest {
  readonly name: string;
  readonly command: readonly string[];
  /** A regular expression that its output matches; empty asks for success only. */
  readonly output: string;
}

export interface RuntimeFile {
  /** As `--runtime` takes it. */
  readonly name: string;
  readonly version: string;
  readonly description: string;
  /** `system`, or `managed` when people look after it by hand. */
  readonly type: RuntimeType;
  /** Further names, such as `java:21`. */
  readonly aliases: readonly string[];
  readonly language: string;
  readonly languageVersion: string;
  /** Empty shows the whole tree. */
  readonly mounts: readonly RuntimeMount[];
  /** `PATH_PREPEND` goes before the PATH that jobs would have otherwise. */
  readonly environment: Readonly<Record<string, string>>;
  readonly requirements: RuntimeRequirements;
  /** For people: names, with versions or ranges of them. */
  readonly packages: readonly string[];
  readonly libraries: readonly string[];
  /** Undefined when jobs install no packages. */
  readonly packageManager: PackageInstaller | undefined;
  readonly tests: readonly RuntimeTest[];
  /** Undefined when nobody says. */
  readonly built: RuntimeOrigin | undefined;
}

const runtimeTypes = ['system', 'managed'] as const;
type RuntimeType = (typeof runtimeTypes)[number];

export interface RuntimeRequirements {
  /** Below this its jobs are refused; 0 asks for nothing. */
  readonly minMemoryBytes: number;
  readonly recommendedMemoryBytes: number;
  /** In any of the spellings of an architecture; empty is every one. */
  readonly architectures: readonly string[];
  readonly gpu: boolean;
}

export interface PackageInstaller {
  /** `pip`, `npm` and the like. */
  readonly type: string;
  /** The volume that keeps what was downloaded; empty is none. */
  readonly cacheVolume: string;
}

export interface RuntimeOrigin {
  /** RFC 3339. */
  readonly at: string;
  readonly with: string;
  readonly platform: string;
}

/** What was read, and what may be a mistake of its author. */
export interface ReadRuntimeFile {
  readonly file: RuntimeFile;
  /** Keys that mean nothing here, with their places: other programs' own, perhaps. */
  readonly unknownKeys: readonly Problem[];
}

const MAX_FILE_BYTES = 1024 ** 2;
const MAX_PROBLEMS = 100;
const MAX_TEXT_CHARS = 1024;
const MAX_VALUE_CHARS = 32_768;
const MAX_NAMES = 10_000;
const MAX_MOUNTS = 64;
const MAX_SELECTED = 64;
const MAX_TESTS = 64;
const MAX_ALIASES = 16;
const MAX_VARIABLES = 256;
const MAX_ARGUMENTS = 256;

const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** What every job has of its own, or one with GPUs: nothing of a runtime is seen there. */
export const ownPlaces = [
  '/proc',
  '/sys',
  '/dev',
  '/run',
  '/work',
  '/tmp',
  '/volumes',
  '/nvidia',
] as const;

const line = text(MAX_TEXT_CHARS).refine((value) => !/\p{Cc}/u.test(value), {
  error: 'must be one line without control characters',
});
const names = z
  .array(line, { error: 'must be a list of texts' })
  .max(MAX_NAMES, { error: `must have at most ${MAX_NAMES} entries` });

function text(maxChars: number) {
  return z
    .string({ error: 'must be a text; write it in quotes' })
    .max(maxChars, { error: `must have at most ${maxChars} characters` });
}

/** A text that `problemOf` finds nothing wrong with. */
function checked(problemOf: (value: string) => string | undefined) {
  return text(MAX_VALUE_CHARS).superRefine((value, context) => {
    const problem = problemOf(value);
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
  });
}

/** Whole numbers need no quotes: `PYTHONUNBUFFERED: 1`. */
const variable = z.preprocess(
  (value) => (Number.isSafeInteger(value) ? String(value) : value),
  text(MAX_VALUE_CHARS).refine((value) => !value.includes('\0'), {
    error: 'holds a NUL character',
  }),
);

const size = z
  .union([z.number(), z.string()], { error: 'must be a size such as 512MB' })
  .transform((value, context) => {
    try {
      return parseBytes(String(value));
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error) });
      return z.NEVER;
    }
  });

const mount = z.strictObject({
  source: checked((source) =>
    pathProblem(source.replace(/\/$/, ''))?.replace('work directory', 'runtime'),
  ),
  target: checked(targetProblem),
  readonly: z
    .literal(true, { error: 'can only be true: all jobs of a runtime share its files' })
    .default(true),
  selective: z
    .array(checked(entryProblem), { error: 'must be a list of names' })
    .max(MAX_SELECTED, { error: `must have at most ${MAX_SELECTED} entries` })
    .default([]),
});

const test = z.strictObject({
  name: line,
  command: z
    .array(
      text(MAX_VALUE_CHARS).refine((word) => !word.includes('\0'), {
        error: 'holds a NUL character',
      }),
      {
        error: 'must be a list of words',
      },
    )
    .min(1, { error: 'must name a program' })
    .max(MAX_ARGUMENTS, { error: `must have at most ${MAX_ARGUMENTS} words` }),
  output: checked(patternProblem).default(''),
});

const schema = z.strictObject({
  name: checked(runtimeNameProblem),
  version: checked(runtimeVersionProblem),
  description: line.default(''),
  type: z
    .enum(runtimeTypes, { error: `must be one of ${runtimeTypes.join(', ')}` })
    .default('system'),
  aliases: z
    .array(checked(runtimeSpecProblem), { error: 'must be a list of names' })
    .max(MAX_ALIASES, { error: `must have at most ${MAX_ALIASES} entries` })
    .default([]),
  language: line.default(''),
  language_version: line.default(''),
  mounts: z
    .array(mount, { error: 'must be a list' })
    .max(MAX_MOUNTS, { error: `must have at most ${MAX_MOUNTS} entries` })
    .default([]),
  environment: z
    .record(z.string().regex(VARIABLE_NAME), variable, { error: 'must be a map of variables' })
    .refine((variables) => Object.keys(variables).length <= MAX_VARIABLES, {
      error: `must have at most ${MAX_VARIABLES} variables`,
    })
    .default({}),
  requirements: z
    .strictObject({
      min_memory: size.default(0),
      recommended_memory: size.default(0),
      architectures: names.default([]),
      gpu: z.boolean({ error: 'must be true or false' }).default(false),
    })
    .prefault({}),
  packages: names.default([]),
  libraries: names.default([]),
  package_manager: z.strictObject({ type: line, cache_volume: line.default('') }).optional(),
  tests: z
    .array(test, { error: 'must be a list' })
    .max(MAX_TESTS, { error: `must have at most ${MAX_TESTS} entries` })
    .default([]),
  built: z
    .strictObject({ at: line.default(''), with: line.default(''), platform: line.default('') })
    .optional(),
});

type Written = z.infer<typeof schema>;

function targetProblem(target: string): string | undefined {
  if (!target.startsWith('/')) return 'must be an absolute path';
  const plain = target.replace(/\/$/, '');
  if (plain === '') return 'cannot be /; leave mounts out to show the whole tree';
  const problem = pathProblem(plain.slice(1));
  if (problem !== undefined) return problem.replace('work directory', 'root');
  const own = ownPlaces.find((place) => plain === place || plain.startsWith(`${place}/`));
  return own === undefined ? undefined : `cannot be below ${own}, which every job has of its own`;
}

function entryProblem(name: string): string | undefined {
  if (name.includes('/')) return 'must be a name in the source, without a slash';
  return pathProblem(name)?.replace('work directory', 'source');
}

/**
 * Reads runtime.yml; `where` names it in messages. Throws `invalid` with all problems, the field of
 * each being `where:line:column`.
 */
export function parseRuntimeFile(content: string, where: string): ReadRuntimeFile {
  if (Buffer.byteLength(content) > MAX_FILE_BYTES) {
    throw invalid([{ field: where, message: `is larger than ${MAX_FILE_BYTES} bytes` }]);
  }
  const { root, placeOf } = parseYamlText(content, where);
  const problems: Problem[] = [];
  const unknownKeys: Problem[] = [];
  const report = (at: Path, part: 'key' | 'value', message: string) => {
    if (problems.length >= MAX_PROBLEMS) return;
    const path = pathText(at);
    problems.push({
      field: placeOf(at, part),
      message: path === '' ? message : `${path}: ${message}`,
    });
  };
  const result = schema.safeParse(root);
  const unknown = result.error?.issues.filter((issue) => issue.code === 'unrecognized_keys') ?? [];
  for (const { path, keys } of unknown) {
    for (const key of keys) {
      const at = [...path, key];
      const guess = nearest(key, keysAt(path));
      if (guess !== undefined) report(at, 'key', `is not known; did you mean ${guess}?`);
      else unknownKeys.push({ field: placeOf(at, 'key'), message: `${pathText(at)} is not known` });
    }
  }
  for (const issue of result.error?.issues ?? []) {
    if (issue.code === 'unrecognized_keys') continue;
    report(
      issue.path,
      'value',
      issue.code === 'invalid_key' ? 'is no name of a variable' : issue.message,
    );
  }
  if (problems.length > 0) throw invalid(problems);
  const written = unknown.length > 0 ? schema.parse(without(root, unknown)) : result.data;
  return { file: fromWritten(written as Written), unknownKeys };
}

/** `mounts[2].source` */
function pathText(at: Path): string {
  return at
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');
}

/** The keys of the map at a place. */
function keysAt(at: Path): string[] {
  const names = at.filter((part) => typeof part === 'string');
  const inner: Readonly<Record<string, { readonly shape: object }>> = {
    mounts: mount,
    tests: test,
    requirements: schema.shape.requirements.unwrap(),
    package_manager: schema.shape.package_manager.unwrap(),
    built: schema.shape.built.unwrap(),
  };
  const found = names.length === 0 ? schema : inner[String(names[0])];
  return Object.keys(found?.shape ?? {});
}

/** A copy without keys that mean nothing here. */
function without(
  root: unknown,
  unknown: readonly { readonly path: Path; readonly keys: readonly string[] }[],
): unknown {
  const copy = structuredClone(root);
  for (const { path, keys } of unknown) {
    let place = copy as Record<PropertyKey, unknown>;
    for (const part of path) place = place[part] as Record<PropertyKey, unknown>;
    for (const key of keys) delete place[key];
  }
  return copy;
}

function fromWritten(written: Written): RuntimeFile {
  const { requirements, package_manager: manager } = written;
  return {
    name: written.name,
    version: written.version,
    description: written.description,
    type: written.type,
    aliases: written.aliases,
    language: written.language,
    languageVersion: written.language_version,
    mounts: written.mounts.map(({ source, target, selective }) => ({
      source: source.replace(/\/$/, ''),
      target: target.replace(/\/$/, ''),
      selective,
    })),
    environment: written.environment,
    requirements: {
      minMemoryBytes: requirements.min_memory,
      recommendedMemoryBytes: requirements.recommended_memory,
      architectures: requirements.architectures,
      gpu: requirements.gpu,
    },
    packages: written.packages,
    libraries: written.libraries,
    packageManager: manager && { type: manager.type, cacheVolume: manager.cache_volume },
    tests: written.tests,
    built: written.built,
  };
}

/** The text of a runtime.yml that reads back as the same. What is empty is left out. */
export function formatRuntimeFile(file: RuntimeFile): string {
  const { requirements, packageManager: manager } = file;
  const written = {
    name: file.name,
    version: file.version,
    description: file.description,
    type: file.type,
    aliases: file.aliases,
    language: file.language,
    language_version: file.languageVersion,
    mounts: file.mounts.map(({ source, target, selective }) =>
      full({ source, target, readonly: true, selective }),
    ),
    environment: file.environment,
    requirements: full({
      min_memory: sizeText(requirements.minMemoryBytes),
      recommended_memory: sizeText(requirements.recommendedMemoryBytes),
      architectures: requirements.architectures,
      gpu: requirements.gpu || undefined,
    }),
    packages: file.packages,
    libraries: file.libraries,
    package_manager: manager && full({ type: manager.type, cache_volume: manager.cacheVolume }),
    tests: file.tests.map((one) => full({ ...one })),
    built: file.built,
  };
  return stringify(full(written), { lineWidth: 0, aliasDuplicateObjects: false });
}

function sizeText(bytes: number): string | undefined {
  return bytes === 0 ? undefined : formatBytes(bytes).replace(' ', '');
}

/** Without empty texts, lists and maps. */
function full(map: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const isEmpty = (value: unknown) =>
    value === undefined ||
    value === '' ||
    (typeof value === 'object' && value !== null && Object.keys(value).length === 0);
  return Object.fromEntries(Object.entries(map).filter(([, value]) => !isEmpty(value)));
}
