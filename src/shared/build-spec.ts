// What a runtime is built from: runtime.yaml, read as a whole, every problem with its line and column.
// The grammar is in build-grammar.ts; docs/guide/creating-a-runtime.md explains it.

import { type Base, baseOf, languages } from './build-base.ts';
import { type Grammar, grammar, knownKeys } from './build-grammar.ts';
import { invalid, type Problem } from './errors.ts';
import { nearest } from './nearest.ts';
import { type Path, parseYamlText } from './yaml-text.ts';

/** What is to be built. Defaults are filled in; sizes in bytes, times in milliseconds. */
export interface BuildSpec extends Omit<Grammar, 'base'> {
  readonly base: Base;
}

const MAX_FILE_BYTES = 1024 ** 2;
/** Problems that are named; nobody mends more at once. */
const MAX_PROBLEMS = 100;

/**
 * Reads a build specification. `file` is what its problems call it. Throws `invalid` with all of
 * them; the field of each is `file:line:column`.
 */
export function parseBuildSpec(text: string, file: string): BuildSpec {
  if (Buffer.byteLength(text) > MAX_FILE_BYTES) {
    throw invalid([{ field: file, message: `is larger than ${MAX_FILE_BYTES} bytes` }]);
  }
  const { root, placeOf } = parseYamlText(text, file);
  const problems: Problem[] = [];
  const report: Report = (at, part, message) => {
    // To find the place of each takes as long as the file is.
    if (problems.length >= MAX_PROBLEMS) return;
    const name = at.length === 0 ? '' : `${formatPath(at)}: `;
    problems.push({ field: placeOf(at, part), message: `${name}${message}` });
  };
  const result = grammar.safeParse(root);
  for (const issue of result.error?.issues ?? []) {
    if (issue.code !== 'unrecognized_keys') {
      report(issue.path, 'value', issue.message);
      continue;
    }
    for (const word of issue.keys) {
      report([...issue.path, word], 'key', unknownKey(word, knownKeys(issue.path)));
    }
  }
  checkBase(root, report);
  if (result.success) checkTogether(result.data, report);
  if (!result.success || problems.length > 0) throw invalid(problems);
  return { ...result.data, base: baseOf(result.data.base) };
}

/** What the author of a specification may want to know, though it can be built. */
export function warningsOf(spec: BuildSpec): string[] {
  const warnings: string[] = [];
  if (spec.description === '') warnings.push('description is empty; runtime list shows it');
  if (spec.tests.length === 0) {
    warnings.push('there are no tests; nothing tells whether the runtime does what it is for');
  }
  for (const word of spec.pip.filter((word) => !/^[^;]*[=<>~@]/.test(word))) {
    warnings.push(`pip: ${word} has no version; a later build takes the newest`);
  }
  for (const word of spec.npm.filter((word) => !word.slice(1).includes('@'))) {
    warnings.push(`npm: ${word} has no version; a later build takes the newest`);
  }
  return warnings;
}

/** Relative paths of what a specification takes from beside it, each once. */
export function filesBeside({ archives, files }: BuildSpec): string[] {
  const paths = [...archives.map((each) => each.path), ...files.map(({ source }) => source)];
  return [...new Set(paths.filter((each) => each !== undefined))];
}

type Report = (at: Path, part: 'key' | 'value', message: string) => void;

/** `archives[0].sha256` */
function formatPath(at: Path): string {
  return at
    .map((word, index) => {
      if (typeof word === 'number') return `[${word}]`;
      return index === 0 ? String(word) : `.${String(word)}`;
    })
    .join('');
}

function unknownKey(word: string, known: readonly string[]): string {
  const guess = nearest(word, known);
  if (guess !== undefined) return `is not known; did you mean ${guess}?`;
  return `is not known; known here are ${known.join(', ')}`;
}

/** One of the ways to say what a runtime begins with, and only one. */
function checkBase(root: unknown, report: Report): void {
  if (!isRecord(root)) return;
  const base = root['base'];
  if (!isRecord(base)) return;
  const ways = ['debian', 'ubuntu', 'language', 'none'].filter((way) => Object.hasOwn(base, way));
  if (ways.length !== 1) {
    const found = ways.length === 0 ? 'no such key' : ways.join(' and ');
    const message = `must have exactly one of debian, ubuntu, language and none; it has ${found}`;
    report(['base'], 'value', message);
  }
  if (Object.hasOwn(base, 'version') && !ways.includes('language')) {
    report(['base', 'version'], 'key', 'goes with language');
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Problems that lie between keys. */
function checkTogether(spec: Grammar, report: Report): void {
  checkLanguage(spec, report);
  if (spec.base.none === true) {
    for (const key of ['apt', 'pip', 'npm'] as const) {
      if (spec[key].length > 0) report([key], 'key', 'needs a base; base.none has no programs');
    }
    for (const key of ['pre_install', 'post_install'] as const) {
      if (spec.hooks[key] === '') continue;
      report(['hooks', key], 'key', 'needs a base; base.none has no shell');
    }
  }
  if (spec.pip_options.length > 0 && spec.pip.length === 0) {
    report(['pip_options'], 'key', 'goes with pip');
  }
  checkSources(spec, report);
  checkTwice(spec, report);
  const { min_memory: least, recommended_memory: more } = spec.requirements;
  if (least !== undefined && more !== undefined && least > more) {
    report(['requirements', 'min_memory'], 'value', 'is more than recommended_memory');
  }
}

function checkLanguage({ base }: Grammar, report: Report): void {
  const { language, version } = base;
  if (language === undefined) return;
  const versions = Object.keys(languages[language]);
  if (version === undefined) {
    report(['base'], 'value', `language ${language} needs a version: ${versions.join(', ')}`);
  } else if (!versions.some((known) => version === known || version.startsWith(`${known}.`))) {
    const message = `there is no Debian suite with ${language} ${version}; there is ${versions.join(', ')}, or name a suite by base.debian`;
    report(['base', 'version'], 'value', message);
  }
}

/** Things that come from exactly one of two places. */
function checkSources({ archives, files }: Grammar, report: Report): void {
  for (const [index, { path, url }] of archives.entries()) {
    if ((path === undefined) === (url === undefined)) {
      report(['archives', index], 'value', 'must have either path or url');
    }
  }
  for (const [index, { content, source }] of files.entries()) {
    if ((content === undefined) === (source === undefined)) {
      report(['files', index], 'value', 'must have either content or source');
    }
  }
}

/** Targets and names that stand twice: the later one would win in silence. */
function checkTwice({ files, links, tests }: Grammar, report: Report): void {
  const seen = new Set<string>();
  const check = (key: string, name: string, word: string, index: number) => {
    if (seen.has(word)) report([key, index, name], 'value', `${JSON.stringify(word)} stands twice`);
    seen.add(word);
  };
  files.forEach(({ target }, index) => {
    check('files', 'target', target, index);
  });
  links.forEach(({ target }, index) => {
    check('links', 'target', target, index);
  });
  seen.clear();
  tests.forEach(({ name }, index) => {
    check('tests', 'name', name, index);
  });
}
