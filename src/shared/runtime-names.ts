// What runtimes are called, and which installed one a name means. The same environment has several
// names: `openjdk-21`, `java:21`, `java-21`; a version may follow each: `openjdk-21@1.2.0`, `@latest`.

import { nearest } from './nearest.ts';

/** A name as it is asked for. */
export interface RuntimeName {
  /** Without the version: `python:3.11-ml`. */
  readonly name: string;
  /** Empty is any, so the latest; `latest` is the same. */
  readonly version: string;
}

/** What an installed runtime is known by. */
export interface NamedRuntime {
  readonly name: string;
  readonly version: string;
  /** Further names that its author gave it. */
  readonly aliases: readonly string[];
  /** The one that counts as the latest, whatever its version. */
  readonly isCurrent: boolean;
}

/** The parts of a name such as `python:3.11-ml`. */
export interface RuntimeWords {
  /** `python`; empty when the name begins with no language that is known. */
  readonly language: string;
  /** `3.11`: of the language. */
  readonly version: string;
  /** `ml` and what else follows. */
  readonly variants: readonly string[];
  /** When the name ends with one. */
  readonly architecture: string;
}

export const MAX_RUNTIME_NAME_CHARS = 64;

const NAME = /^[A-Za-z0-9][A-Za-z0-9.-]*$/;
const VERSION = /^[A-Za-z0-9][A-Za-z0-9.+-]*$/;
/** Either of `:` and `-` stands between a language and its version. */
const LANGUAGE_FORM = /^([a-z]+)[:-](\d.*)$/i;

/**
 * The words for each language: what people write, and what runtimes are called. The first is the
 * language's name, the second what a runtime of it is called by default.
 */
const languages = {
  python: ['python'],
  java: ['openjdk', 'java', 'jdk'],
  graalvm: ['graalvmjdk', 'graalvm'],
  node: ['node', 'nodejs'],
  go: ['go', 'golang'],
  ruby: ['ruby'],
  php: ['php'],
  rust: ['rust'],
} as const satisfies Readonly<Record<string, readonly [string, ...string[]]>>;

const architectures: readonly string[] = ['amd64', 'x86_64', 'arm64', 'aarch64'];

/** What is wrong with the name of a runtime itself, without version or colon; undefined when nothing is. */
export function runtimeNameProblem(name: string): string | undefined {
  return wordProblem(name, NAME, 'letters, digits, . and -');
}

/** What is wrong with the version of a runtime. */
export function runtimeVersionProblem(version: string): string | undefined {
  return wordProblem(version, VERSION, 'letters, digits, ., + and -');
}

/** What is wrong with a name as it is asked for: `python:3.11-ml@1.0.0`. */
export function runtimeSpecProblem(text: string): string | undefined {
  const { name, version } = splitRuntimeName(text);
  const [first = '', second] = name.split(':', 2);
  if (text.split('@').length > 2 || name.split(':').length > 2) {
    return 'is written NAME, NAME@VERSION or LANGUAGE:VERSION';
  }
  const parts = second === undefined ? [first] : [first, second];
  for (const part of parts) {
    const problem = runtimeNameProblem(part);
    if (problem !== undefined) return problem;
  }
  return text.includes('@') ? runtimeVersionProblem(version) : undefined;
}

function wordProblem(word: string, allowed: RegExp, letters: string): string | undefined {
  if (word.length > MAX_RUNTIME_NAME_CHARS) {
    return `has ${word.length} characters; use at most ${MAX_RUNTIME_NAME_CHARS}`;
  }
  if (allowed.test(word) && !word.includes('..')) return undefined;
  return `must start with a letter or a digit and go on with ${letters}`;
}

/** Takes the version off a name. */
export function splitRuntimeName(text: string): RuntimeName {
  const at = text.indexOf('@');
  return at < 0
    ? { name: text, version: '' }
    : { name: text.slice(0, at), version: text.slice(at + 1) };
}

/** Takes a name such as `python:3.11-ml` or `openjdk-21` apart. */
export function wordsOfRuntime(text: string): RuntimeWords {
  const { name } = splitRuntimeName(text);
  const [, word = '', rest = ''] = LANGUAGE_FORM.exec(name) ?? [];
  const language = languageOf(word);
  if (language === undefined) {
    return { language: languageOf(name) ?? '', version: '', variants: [], architecture: '' };
  }
  const [version = '', ...variants] = rest.split('-');
  const last = variants.at(-1) ?? '';
  const architecture = architectures.includes(last) ? last : '';
  return {
    language,
    version,
    variants: architecture === '' ? variants : variants.slice(0, -1),
    architecture,
  };
}

function languageOf(word: string): string | undefined {
  const wanted = word.toLowerCase();
  const found = Object.entries(languages).find(
    ([language, words]) => language === wanted || words.some((one) => one === wanted),
  );
  return found?.[0];
}

/**
 * The names of runtimes that a name may stand for, the likeliest first. The first is how this node
 * writes it: `java:21` is `openjdk-21`.
 */
export function runtimeCandidates(name: string): string[] {
  const [, word = '', rest = ''] = LANGUAGE_FORM.exec(name) ?? [];
  const language = languageOf(word) as keyof typeof languages | undefined;
  if (language === undefined) return [name];
  const spelled = languages[language].map((one) => `${one}-${rest}`);
  // Who writes a name with a dash means that name first.
  return [...new Set(name.includes(':') ? spelled : [name, ...spelled])];
}

/**
 * The installed runtime that a name means; undefined when there is none. Unless a version is asked for
 * it is the latest that is no release candidate. A runtime's own name goes before names that others
 * were given.
 */
export function matchRuntime<R extends NamedRuntime>(
  text: string,
  installed: readonly R[],
): R | undefined {
  const { name, version } = splitRuntimeName(text);
  for (const wanted of [name, ...runtimeCandidates(name)]) {
    const named = installed.filter((one) => one.name === wanted);
    const meant =
      named.length > 0 ? named : installed.filter(({ aliases }) => aliases.includes(wanted));
    if (meant.length > 0) return chooseVersion(meant, version);
  }
  return matchLanguageVersion(name, version, installed);
}

/** `go:1.22` is also the runtime `go` in its version 1.22 or 1.22.3. */
function matchLanguageVersion<R extends NamedRuntime>(
  name: string,
  version: string,
  installed: readonly R[],
): R | undefined {
  const [, word = '', rest = ''] = LANGUAGE_FORM.exec(name) ?? [];
  const language = languageOf(word) as keyof typeof languages | undefined;
  if (language === undefined) return undefined;
  const words: readonly string[] = [language, ...languages[language]];
  const meant = installed.filter(
    (one) =>
      words.includes(one.name) && (one.version === rest || one.version.startsWith(`${rest}.`)),
  );
  return chooseVersion(meant, version);
}

function chooseVersion<R extends NamedRuntime>(
  meant: readonly R[],
  version: string,
): R | undefined {
  if (version !== '' && version !== 'latest') return meant.find((one) => one.version === version);
  const current = meant.find(({ isCurrent }) => isCurrent);
  if (current !== undefined) return current;
  const finished = meant.filter((one) => partsOf(one.version).early === undefined);
  const ordered = (finished.length > 0 ? finished : meant).toSorted((a, b) =>
    compareVersions(b.version, a.version),
  );
  return ordered[0];
}

/** The installed name or alias that a name is closest to, or undefined. */
export function nearestRuntime(
  text: string,
  installed: readonly NamedRuntime[],
): string | undefined {
  const { name } = splitRuntimeName(text);
  const known = new Set(installed.flatMap((one) => [one.name, ...one.aliases]));
  const words = wordsOfRuntime(name);
  for (const wanted of new Set([name, ...runtimeCandidates(name)])) {
    const guess = nearest(wanted, known);
    if (guess !== undefined) return guess;
  }
  // Another version of the same language is closer than none.
  const ofLanguage = installed.filter(
    (one) => words.language !== '' && wordsOfRuntime(one.name).language === words.language,
  );
  return ofLanguage.map((one) => one.name).toSorted((a, b) => compareVersions(b, a))[0];
}

/**
 * The order of versions: numbers by their size, `1.9` before `1.10`; what follows a dash comes before
 * the version without it, `2.0-rc1` before `2.0`; what follows a plus does not count unless all else
 * is the same.
 */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [partsOf(a), partsOf(b)];
  return (
    compareParts(left.release, right.release) ||
    Number(left.early === undefined) - Number(right.early === undefined) ||
    compareParts(left.early ?? [], right.early ?? []) ||
    compareText(a, b)
  );
}

interface VersionParts {
  readonly release: readonly string[];
  /** What stands behind the dash of `2.0-rc1`. */
  readonly early: readonly string[] | undefined;
}

function partsOf(version: string): VersionParts {
  const [plain = ''] = version.split('+', 1);
  const dash = plain.indexOf('-');
  const release = dash < 0 ? plain : plain.slice(0, dash);
  return {
    release: wordsIn(release),
    early: dash < 0 ? undefined : wordsIn(plain.slice(dash + 1)),
  };
}

/** Runs of digits and of other letters: `rc10` is `rc` and `10`. */
function wordsIn(text: string): string[] {
  return text.match(/\d+|[^\d.-]+/g) ?? [];
}

function compareParts(a: readonly string[], b: readonly string[]): number {
  for (const [at, part] of a.entries()) {
    const other = b[at];
    // The longer of two that begin the same is the later one.
    if (other === undefined) return 1;
    const order = comparePart(part, other);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

const NUMBER = /^\d+$/;

function comparePart(a: string, b: string): number {
  if (NUMBER.test(a) && NUMBER.test(b)) {
    const [left, right] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')];
    return left.length - right.length || compareText(left, right);
  }
  // A number is later than a word.
  return Number(NUMBER.test(a)) - Number(NUMBER.test(b)) || compareText(a, b);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
