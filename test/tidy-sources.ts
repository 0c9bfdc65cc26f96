// The repository as the tidy test reads it: files, imports between them, and lengths.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

export const ROOT = path.resolve(import.meta.dirname, '..');

/** Files that are committed or about to be, relative to the repository. */
export const files: readonly string[] = execFileSync(
  'git',
  ['ls-files', '--cached', '--others', '--exclude-standard'],
  { cwd: ROOT, encoding: 'utf8' },
)
  .split('\n')
  .filter((file) => file !== '' && existsSync(path.join(ROOT, file)));

export function read(file: string): string {
  return readFileSync(path.join(ROOT, file), 'utf8');
}

export interface Import {
  readonly from: string;
  /** A file of ours, relative to the repository, or the name of a package. */
  readonly to: string;
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\b[^;'"]*?from\s*'([^']+)'|\bimport\(\s*'([^']+)'\s*\)|(?:^|\n)import '([^']+)'/g;

/** What a TypeScript file imports, types included. */
export function importsOf(from: string): Import[] {
  return [...read(from).matchAll(IMPORT)].map(([, named, lazy, bare]) => {
    const word = named ?? lazy ?? bare ?? '';
    const to = word.startsWith('.') ? path.join(path.dirname(from), word) : word;
    return { from, to };
  });
}

/** A circle in a graph, as the names on it, or undefined. */
export function findCircle(edges: ReadonlyMap<string, ReadonlySet<string>>): string[] | undefined {
  const done = new Set<string>();
  const visit = (name: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(name)) return [...trail.slice(trail.indexOf(name)), name];
    if (done.has(name)) return undefined;
    for (const next of edges.get(name) ?? []) {
      const circle = visit(next, [...trail, name]);
      if (circle !== undefined) return circle;
    }
    done.add(name);
    return undefined;
  };
  for (const name of edges.keys()) {
    const circle = visit(name, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

export interface Length {
  readonly what: string;
  readonly lines: number;
}

const FUNCTION =
  /^( *)(?:export )?(?:async )?(?:function\*? (\w+)|(?:static |async |\*)*(#?\w+)\(.*\).*\{$)/;

/** Functions and methods with their lengths: from the line of the name to the brace below it. */
export function functionsOf(file: string): Length[] {
  const lines = read(file).split('\n');
  return lines.flatMap((line, start) => {
    const [, indent, name, method] = FUNCTION.exec(line) ?? [];
    const word = name ?? method;
    if (indent === undefined || word === undefined || /^(if|for|while|switch|catch)$/.test(word)) {
      return [];
    }
    const end = lines.findIndex((text, at) => at > start && text === `${indent}}`);
    return end < 0 ? [] : [{ what: `${file} ${word}`, lines: end - start + 1 }];
  });
}

/** The longest first. */
export function longest(lengths: readonly Length[], count: number): string {
  return lengths
    .toSorted((a, b) => b.lines - a.lines)
    .slice(0, count)
    .map(({ what, lines }) => `${lines} ${what}`)
    .join(', ');
}
