// Reads the values of a workflow file by its tables of keys. Whatever is wrong is noted with its
// place and does not end the reading, so that all of it is named at once.

import { invalid, JobletError, messageOf, type Problem } from './errors.ts';
import { nearest } from './nearest.ts';
import { parseDuration } from './units.ts';
import { isOwnKind, type Key, type Keys, type OwnKind, type ValuesOf } from './workflow-keys.ts';
import { hasMark } from './workflow-outputs.ts';
import type { Part, Path, YamlText } from './yaml-text.ts';

/** Problems that are named; nobody mends more at once. */
const MAX_PROBLEMS = 100;
const MAX_COUNT = 2 ** 31 - 1;
/** All texts of a file with their values put in. */
const MAX_EXPANDED_CHARS = 64 * 1024 * 1024;

/** A value of the file with the place where it stands. */
export interface Placed {
  readonly at: Path;
  readonly value: unknown;
}

/** Puts values into a text; `undefined` when it comes out too long. */
export type Filling = (text: string) => string | undefined;

export class WorkflowReader {
  readonly #yaml: YamlText;
  readonly #problems: Problem[] = [];
  readonly #named = new Set<string>();
  readonly #warnings: Problem[] = [];
  #expandedChars = 0;

  constructor(yaml: YamlText) {
    this.#yaml = yaml;
    this.#problems.push(...yaml.repeated.slice(0, MAX_PROBLEMS));
  }

  get warnings(): readonly Problem[] {
    return this.#warnings;
  }

  /** Notes what is wrong with a key or value. */
  report(at: Path, part: Part, message: string): void {
    this.#note(this.#problems, at, part, message);
  }

  warn(at: Path, part: Part, message: string): void {
    this.#note(this.#warnings, at, part, message);
  }

  #note(list: Problem[], at: Path, part: Part, message: string): void {
    if (list.length >= MAX_PROBLEMS) return;
    const field = this.#yaml.placeOf(at, part);
    // Defaults are read for every job.
    if (this.#named.has(`${field} ${message}`)) return;
    this.#named.add(`${field} ${message}`);
    list.push({ field, message });
  }

  /** Throws `invalid` with all that was noted. */
  finish(): void {
    if (this.#problems.length > 0) throw invalid(this.#problems);
  }

  /** A map; keys that are not in the table are noted. What is empty has no keys. */
  map(at: Path, value: unknown, keys: Keys): ReadonlyMap<string, unknown> {
    const map = this.entries(at, value);
    for (const word of map.keys()) {
      if (!Object.hasOwn(keys, word)) this.report([...at, word], 'key', unknownKey(word, keys));
    }
    return map;
  }

  /** A map with any keys. */
  entries(at: Path, value: unknown): ReadonlyMap<string, unknown> {
    if (value === undefined || value === '') return new Map();
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return new Map(Object.entries(value));
    }
    this.report(at, 'value', `${nameOf(at)} must be a map of keys and values`);
    return new Map();
  }

  /** The values of all keys of a table that are read the same everywhere. */
  values<const K extends Keys>(
    keys: K,
    find: (word: string) => Placed | undefined,
    fill: Filling,
  ): ValuesOf<K> {
    const { words, absent } = tableOf(keys);
    const values = { ...absent };
    for (const [word, kind] of words) {
      const placed = find(word);
      if (placed !== undefined) values[word] = this.#value(kind, placed, fill);
    }
    return values as ValuesOf<K>;
  }

  #value(kind: SharedKind, placed: Placed, fill: Filling): unknown {
    if (kind === 'texts') return this.texts(placed, fill);
    const text = this.text(placed, fill);
    if (kind === 'text') return text;
    if (text === '') return absentValues[kind];
    const { at } = placed;
    if (kind === 'switch') return this.#switch(at, text);
    return kind === 'count' ? this.#count(at, text) : this.#duration(at, text);
  }

  /** One value as it is written, with values put in. */
  text({ at, value }: Placed, fill: Filling): string {
    if (typeof value !== 'string') {
      this.report(at, 'value', `${nameOf(at)} must be one value, not a list or a map`);
      return '';
    }
    if (hasMark(value)) {
      this.report(at, 'value', `${nameOf(at)} holds a NUL character`);
      return '';
    }
    const filled = fill(value);
    this.#expandedChars += filled?.length ?? 0;
    if (filled === undefined || this.#expandedChars > MAX_EXPANDED_CHARS) {
      this.report(at, 'value', `${nameOf(at)} becomes too long with its values put in`);
      return '';
    }
    return filled;
  }

  texts(placed: Placed, fill: Filling): readonly string[] {
    const { at, value } = placed;
    if (value === '' || value === undefined) return [];
    if (!Array.isArray(value)) {
      this.report(at, 'value', `${nameOf(at)} must be a list: [a, b]`);
      return [];
    }
    return value.map((item, index) => this.text({ at: [...at, index], value: item }, fill));
  }

  #count(at: Path, text: string): number {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (value <= MAX_COUNT) return value;
    const shown = JSON.stringify(text.slice(0, 64));
    this.report(at, 'value', `${nameOf(at)} must be a whole number from 0 on, not ${shown}`);
    return 0;
  }

  #duration(at: Path, text: string): number {
    try {
      return parseDuration(text);
    } catch (error) {
      if (!(error instanceof JobletError)) throw error;
      this.report(at, 'value', `${nameOf(at)}: ${messageOf(error)}`);
      return 0;
    }
  }

  #switch(at: Path, text: string): boolean {
    if (text === 'true' || text === 'false') return text === 'true';
    const shown = JSON.stringify(text.slice(0, 64));
    this.report(at, 'value', `${nameOf(at)} must be true or false, not ${shown}`);
    return false;
  }
}

type SharedKind = Exclude<Key['kind'], OwnKind>;

/** What a key is that is not there. */
const absentValues = {
  text: '',
  texts: [],
  count: 0,
  duration: 0,
  switch: false,
} as const satisfies Record<SharedKind, unknown>;

interface Table {
  readonly words: readonly (readonly [word: string, kind: SharedKind])[];
  readonly absent: Readonly<Record<string, unknown>>;
}

/** Tables are gone through for each of thousands of jobs. */
const tables = new WeakMap<Keys, Table>();

function tableOf(keys: Keys): Table {
  const known = tables.get(keys);
  if (known !== undefined) return known;
  const words = Object.entries(keys).flatMap(([word, { kind }]) =>
    isOwnKind(kind) ? [] : [[word, kind] as const],
  );
  const absent = Object.fromEntries(words.map(([word, kind]) => [word, absentValues[kind]]));
  tables.set(keys, { words, absent });
  return { words, absent };
}

/** What a place is called in a message: its last key, with the job that it belongs to. */
function nameOf(at: Path): string {
  const inside = at.indexOf('jobs') + 1;
  const job = inside > 0 && at.length > inside ? `job '${String(at[inside])}'` : '';
  const rest = job === '' ? at : at.slice(inside + 1);
  const words = rest
    .map((word, index) =>
      typeof word === 'number' ? `[${word}]` : `${index > 0 ? '.' : ''}${String(word)}`,
    )
    .join('');
  if (job === '') return words || 'the file';
  return words === '' ? job : `${job}: ${words}`;
}

function unknownKey(word: string, keys: Keys): string {
  const shown = word.slice(0, 64);
  const known = Object.keys(keys);
  const guess = nearest(word, known);
  if (guess !== undefined) return `${shown} is not known here; did you mean ${guess}?`;
  return `${shown} is not known here; known are ${known.join(', ')}`;
}
