// The keys of runtime.yaml: what each may hold, and what it is when it is left out.

import { z } from 'zod';
import { type Language, languages } from './build-base.ts';
import { messageOf } from './errors.ts';
import { patternProblem } from './output-pattern.ts';
import { meansPlatform, platforms } from './platform.ts';
import { parseBytes, parseDuration } from './units.ts';
import type { Path } from './yaml-text.ts';

const MAX_NAME_CHARS = 64;
const MAX_DESCRIPTION_CHARS = 256;
const MAX_TEXT_CHARS = 256 * 1024;
const MAX_WORD_CHARS = 4096;
const MAX_LIST = 1024;
const MAX_STRIP = 64;
const DEFAULT_HOOKS_MS = 20 * 60_000;
const MAX_HOOKS_MS = 24 * 3_600_000;
const DEFAULT_PLATFORMS = Object.values(platforms).map(({ name }) => name);
const PLATFORM_ERROR = `must be one of ${DEFAULT_PLATFORMS.join(', ')}`;

function word(pattern: RegExp, error: string, chars = MAX_WORD_CHARS) {
  return z.string({ error }).max(chars, { error }).regex(pattern, { error });
}

function listOf<T extends z.ZodType>(item: T, preset: z.output<T>[] = []) {
  const error = `must have at most ${MAX_LIST} entries`;
  return z.array(item, { error: 'must be a list' }).max(MAX_LIST, { error }).default(preset);
}

function section<S extends z.ZodRawShape>(shape: S) {
  return z.strictObject(shape, { error: unlessUnknown('must be a map of keys and values') });
}

/** Keys that nobody knows are told of one by one. */
function unlessUnknown(message: string) {
  return (issue: { code: string }) => (issue.code === 'unrecognized_keys' ? undefined : message);
}

function flag() {
  return z.boolean({ error: 'must be true or false' });
}

/** A value with a unit: what `parse` refuses becomes the problem. */
function measured(parse: (text: string) => number, least: number, most: number, range: string) {
  return z.unknown().transform((value, context) => {
    try {
      const isWord = typeof value === 'string' || typeof value === 'number';
      const number = parse(isWord ? String(value) : '');
      if (number >= least && number <= most) return number;
      context.addIssue(`must be ${range}`);
    } catch (error) {
      context.addIssue(messageOf(error));
    }
    return z.NEVER;
  });
}

/** YAML reads 3.11 as a number, and 3.10 as 3.1: what would be lost is asked for as text. */
const versionText = z
  .unknown()
  .transform((value) => (Number.isInteger(value) ? String(value) : value))
  .pipe(
    word(/^\d+(\.\d+){0,3}$/, 'must be a version in quotes, such as "3.11", or a whole number', 64),
  );

const size = measured(parseBytes, 1, Number.MAX_SAFE_INTEGER, 'more than nothing');

const PLAIN_PART = '(?!\\.\\.?(?:/|$))[^/\\0\\n]+';
const inTree = word(
  new RegExp(`^(?:/${PLAIN_PART})+$`),
  'must be an absolute path in the tree, without empty parts, . and ..',
);
const beside = word(
  new RegExp(`^${PLAIN_PART}(?:/${PLAIN_PART})*$`),
  'must be a relative path beside this file, without empty parts, . and ..',
);
const glob = word(
  new RegExp(`^(?:/${PLAIN_PART})+$`),
  'must be an absolute path in the tree; *, ** and ? stand for any part of it',
);

const packageName = word(
  /^[a-z0-9][a-z0-9+.-]+(?::[a-z0-9]+)?(?:=[A-Za-z0-9.+:~-]+)?$/,
  'must be the name of a package, or NAME=VERSION',
  256,
);
// Nothing that pip or npm would take for an option, a file or an address.
const pipRequirement = word(
  /^[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[A-Za-z0-9._, -]*\])?\s*(?:[=<>!~][-A-Za-z0-9=<>!~.*+, ]*)?(?:;[^\n\0]*)?$/,
  'must be a requirement such as numpy>=1.24.3,<2.0',
  512,
);
const npmPackage = word(
  /^(?:@[a-z0-9~][a-z0-9._~-]*\/)?[a-z0-9~][a-z0-9._~-]*(?:@[A-Za-z0-9.^~<>=*|+ -]+)?$/,
  'must be the name of a package, or NAME@VERSION',
  512,
);
const option = word(/^--[a-z][a-z0-9-]*(?:=[^\n\0]*)?$/, 'must be an option such as --no-deps');
const anyText = word(/^[^\0]*$/, 'must be a text', MAX_TEXT_CHARS);
const line = word(/^[^\0]*$/, 'must be a text');

const variable = z.record(
  word(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be the name of a variable', 256),
  line,
  { error: 'must be a map of names and texts' },
);

const platform = z
  .string({ error: PLATFORM_ERROR })
  .refine((text) => Object.values(platforms).some((each) => meansPlatform(text, each)), {
    error: PLATFORM_ERROR,
  });

const pattern = line.refine((text) => patternProblem(text) === undefined, {
  error: 'must be a regular expression',
});

const languageNames = Object.keys(languages) as [Language, ...Language[]];
const suiteName = (example: string) =>
  word(/^[a-z][a-z0-9.-]*$/, `must be the name of a suite, such as ${example}`, 64);

export const grammar = section({
  schema_version: z
    .unknown()
    .transform((value) => (value === 1 ? '1.0' : value))
    .pipe(z.literal('1.0', { error: 'must be "1.0", the version of this grammar' })),
  name: word(
    /^[a-z0-9][a-z0-9.-]*$/,
    `must be lowercase letters, digits, - and ., beginning with a letter or digit, at most ${MAX_NAME_CHARS}`,
    MAX_NAME_CHARS,
  ),
  version: word(/^(?:0|[1-9]\d{0,8})(?:\.(?:0|[1-9]\d{0,8})){2}$/, 'must be X.Y.Z, three numbers'),
  description: word(
    /^[^\0\n]*$/,
    `must be one line of at most ${MAX_DESCRIPTION_CHARS} characters`,
    MAX_DESCRIPTION_CHARS,
  ).default(''),
  base: section({
    debian: suiteName('bookworm').optional(),
    ubuntu: suiteName('noble').optional(),
    language: z
      .enum(languageNames, { error: `must be one of ${languageNames.join(', ')}` })
      .optional(),
    version: versionText.optional(),
    none: z.literal(true, { error: 'must be true' }).optional(),
  }),
  apt: listOf(packageName),
  pip: listOf(pipRequirement),
  pip_options: listOf(option),
  npm: listOf(npmPackage),
  archives: listOf(
    section({
      path: beside.optional(),
      url: word(/^https?:\/\/[^\s\0]+$/, 'must be an address: https:// or http://').optional(),
      sha256: word(/^[0-9a-f]{64}$/, 'must be the SHA-256 of the archive: 64 digits, 0 to f'),
      target: inTree,
      strip: z
        .int({ error: `must be a whole number from 0 to ${MAX_STRIP}` })
        .min(0, { error: `must be a whole number from 0 to ${MAX_STRIP}` })
        .max(MAX_STRIP, { error: `must be a whole number from 0 to ${MAX_STRIP}` })
        .default(0),
    }),
  ),
  files: listOf(
    section({
      target: inTree,
      mode: word(/^0?[0-7]{3}$/, 'must be permissions in quotes, such as "0755"').default('0644'),
      content: anyText.optional(),
      source: beside.optional(),
    }),
  ),
  links: listOf(
    section({ target: inTree, to: word(/^[^\0\n]+$/, 'must be where the link leads') }),
  ),
  libraries: listOf(glob),
  remove: listOf(glob),
  closure: section({
    ignore: listOf(word(/^[^\0\n]+$/, 'must be the name of a library, or a glob')),
  }).default({ ignore: [] }),
  environment: variable.default({}),
  requirements: section({
    min_memory: size.optional(),
    recommended_memory: size.optional(),
    architectures: listOf(word(/^[a-z0-9_]+$/, 'must be an architecture such as x86_64', 32)),
    gpu: flag().default(false),
    cuda_version: versionText.optional(),
  }).prefault({}),
  package_manager: section({
    type: word(/^[a-z][a-z0-9-]*$/, 'must be a word such as pip', 32),
    cache_volume: word(
      /^[a-zA-Z0-9][a-zA-Z0-9_-]*$/,
      'must be the name of a volume, such as pip-cache',
      MAX_NAME_CHARS,
    ),
  }).optional(),
  platforms: listOf(platform, DEFAULT_PLATFORMS),
  hooks: section({
    timeout: measured(parseDuration, 1000, MAX_HOOKS_MS, 'from 1s to 24h').default(
      DEFAULT_HOOKS_MS,
    ),
    pre_install: anyText.default(''),
    post_install: anyText.default(''),
  }).prefault({}),
  tests: listOf(
    section({
      name: word(/^[^\0\n]+$/, 'must be a line that says what is tested', 256),
      command: z
        .array(line, { error: 'must be a list: the program and its arguments' })
        .min(1, { error: 'must have at least the program' })
        .max(MAX_LIST, { error: `must have at most ${MAX_LIST} entries` }),
      output: pattern.optional(),
    }),
  ),
  aliases: listOf(
    word(/^[a-z0-9][a-z0-9.:-]*$/, 'must be lowercase letters, digits, -, . and :', MAX_NAME_CHARS),
  ),
});

export type Grammar = z.output<typeof grammar>;

/** The keys that may stand at a place of the file. */
export function knownKeys(at: Path): readonly string[] {
  let here: z.ZodType = grammar;
  for (const part of at) {
    here = bare(here);
    if (here instanceof z.ZodArray) here = here.element as z.ZodType;
    else if (here instanceof z.ZodObject) here = here.shape[String(part)] as z.ZodType;
  }
  here = bare(here);
  return here instanceof z.ZodObject ? Object.keys(here.shape) : [];
}

/** A schema without its default. */
function bare(schema: z.ZodType): z.ZodType {
  const isWrapped =
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodOptional;
  return isWrapped ? bare(schema.unwrap() as z.ZodType) : schema;
}
