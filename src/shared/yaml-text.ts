// YAML text as plain values, where every key and value can still tell its line and column.
import { isMap, isScalar, LineCounter, type Pair, parseDocument, visit } from 'yaml';
import { invalid } from './errors.ts';

export type Path = readonly PropertyKey[];
export type Part = 'key' | 'value';

export interface YamlText {
  readonly root: unknown;
  /** `file:line:column` of a key or value, or of the nearest thing around it. */
  placeOf(at: Path, part: Part): string;
}

/** Reads YAML. Throws `invalid` for what is no YAML, with the place of every problem. */
export function parseYamlText(text: string, file: string): YamlText {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    // Warnings would go past our log.
    logLevel: 'error',
  });
  const placeAt = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const problems = document.errors.map(({ pos, message }) => ({ field: placeAt(pos[0]), message }));
  visit(document, {
    // A value that stands in two places cannot be told by its line.
    Alias: (_, { range }) => {
      problems.push({
        field: placeAt(range?.[0] ?? 0),
        message: 'is an alias; write the value out',
      });
    },
  });
  if (problems.length > 0) throw invalid(problems);
  return {
    root: document.toJS(),
    placeOf(at, part) {
      let offset = 0;
      for (let length = 1; length <= at.length; length += 1) {
        const node = part === 'value' ? document.getIn(at.slice(0, length), true) : undefined;
        const pair = findPair(document.getIn(at.slice(0, length - 1), true), at[length - 1]);
        offset = startOf(node) ?? startOf(pair?.key) ?? offset;
      }
      return placeAt(offset);
    },
  };
}

function findPair(node: unknown, word: PropertyKey | undefined): Pair | undefined {
  const items = isMap(node) ? node.items : [];
  return items.find(({ key }) => isScalar(key) && String(key.value) === String(word));
}

function startOf(node: unknown): number | undefined {
  return (node as { range?: readonly number[] } | null | undefined)?.range?.[0];
}
