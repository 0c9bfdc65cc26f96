// YAML text as plain values, where every key and value can still tell its line and column.
import { isMap, isScalar, Lexer, LineCounter, type Pair, parseDocument, visit } from 'yaml';
import { invalid, type Problem } from './errors.ts';
import { type PlainMap, type PlainNode, type PlainPair, parsePlainYaml } from './yaml-plain.ts';

/** Lists and maps within each other; the parser calls itself for each. */
const MAX_DEPTH = 100;

/** Keys that are shown in a message are cut to this. */
const MAX_WORD_CHARS = 64;

export type Path = readonly PropertyKey[];
export type Part = 'key' | 'value';

export interface YamlText {
  readonly root: unknown;
  /** Keys that stand twice in their map; the later one counts. */
  readonly repeated: readonly Problem[];
  /** `file:line:column` of a key or value, or of the nearest thing around it. */
  placeOf(at: Path, part: Part): string;
}

/**
 * Reads YAML. Throws `invalid` for what is no YAML, with the place of every problem. With `as written`
 * every scalar is its text: `1.10` stays that, and so do `yes` and `0755`; what is empty is ''.
 */
export function parseYamlText(
  text: string,
  file: string,
  scalars: 'by their types' | 'as written' = 'by their types',
): YamlText {
  const plain = scalars === 'as written' ? parsePlainYaml(text) : undefined;
  if (plain !== undefined) return readPlain(plain, text, file);
  return parseAnyYamlText(text, file, scalars);
}

/** The same by the library alone. */
export function parseAnyYamlText(
  text: string,
  file: string,
  scalars: 'by their types' | 'as written',
): YamlText {
  if (isDeep(text)) throw tooDeep(file);
  try {
    return parse(text, file, scalars);
  } catch (error) {
    // Deep by indentation.
    throw error instanceof RangeError ? tooDeep(file) : error;
  }
}

function readPlain(plain: PlainMap, text: string, file: string): YamlText {
  let lines: LineCounter | undefined;
  return {
    repeated: [],
    root: plainValue(plain),
    placeOf(at, part) {
      let offset = 0;
      let node: PlainNode | undefined = plain;
      for (const word of at) {
        const pair: PlainPair | undefined =
          node?.kind === 'map' ? node.pairs.find(({ key }) => key === String(word)) : undefined;
        node = node?.kind === 'list' ? node.items[Number(word)] : pair?.value;
        offset = (part === 'value' ? node?.start : undefined) ?? pair?.at ?? offset;
      }
      lines ??= linesOf(text);
      const { line, col } = lines.linePos(offset);
      return `${file}:${line}:${col}`;
    },
  };
}

function plainValue(node: PlainNode): unknown {
  if (node.kind === 'list') return node.items.map(plainValue);
  if (node.kind !== 'map') return node.text;
  const values: Record<string, unknown> = {};
  for (const { key, value } of node.pairs) values[key] = plainValue(value);
  return values;
}

function linesOf(text: string): LineCounter {
  const lines = new LineCounter();
  lines.addNewLine(0);
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) {
    lines.addNewLine(at + 1);
  }
  return lines;
}

function tooDeep(file: string): Error {
  return invalid([{ field: `${file}:1:1`, message: 'is nested too deeply' }]);
}

/** Whether brackets stand in each other that deep; looks closely only where there are so many. */
function isDeep(text: string): boolean {
  if (!exceeds(text)) return false;
  return exceeds(new Lexer().lex(text));
}

function exceeds(tokens: Iterable<string>): boolean {
  let depth = 0;
  for (const token of tokens) {
    if (token === '[' || token === '{') depth += 1;
    else if ((token === ']' || token === '}') && depth > 0) depth -= 1;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}

function parse(text: string, file: string, scalars: 'by their types' | 'as written'): YamlText {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    // Warnings would go past our log.
    logLevel: 'error',
    schema: scalars === 'as written' ? 'failsafe' : 'core',
    // To be found below: the parser compares every key with every other one.
    uniqueKeys: false,
  });
  const placeAt = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  if (document.errors.some(({ message }) => message.startsWith('Maximum call stack'))) {
    throw new RangeError();
  }
  // What the library only warns of, such as a tag that nobody knows, would mean something else than it says.
  const faults = scalars === 'as written' ? document.warnings : [];
  const problems = [...document.errors, ...faults].map(({ pos, code, message }) => ({
    field: placeAt(pos[0]),
    message: own[code] ?? message,
  }));
  const repeated: Problem[] = [];
  visit(document, {
    Map: (_, { items }) => {
      const seen = new Set<string>();
      for (const { key } of items) {
        if (!isScalar(key)) continue;
        const word = String(key.value);
        if (seen.has(word)) {
          const shown = JSON.stringify(word.slice(0, MAX_WORD_CHARS));
          const message = `the key ${shown} is not unique: it stands here twice`;
          repeated.push({ field: placeAt(startOf(key) ?? 0), message });
        }
        seen.add(word);
      }
    },
    // A value that stands in two places cannot be told by its line.
    Alias: (_, { range }) => {
      problems.push({
        field: placeAt(range?.[0] ?? 0),
        message: 'is an alias; write the value out',
      });
    },
  });
  if (problems.length > 0) throw invalid([...problems, ...repeated]);
  return {
    repeated,
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

/** What is said in the place of the library's words, which are for its own users. */
const own: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: 'begins a second document; a file holds one',
  TAG_RESOLVE_FAILED: 'has a tag that is not known here; write the value alone',
};

function findPair(node: unknown, word: PropertyKey | undefined): Pair | undefined {
  const items = isMap(node) ? node.items : [];
  return items.find(({ key }) => isScalar(key) && String(key.value) === String(word));
}

function startOf(node: unknown): number | undefined {
  return (node as { range?: readonly number[] } | null | undefined)?.range?.[0];
}
