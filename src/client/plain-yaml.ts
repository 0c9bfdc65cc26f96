// The YAML that nodes files are made of, and nothing else: maps by indentation, plain and quoted
// words, literal blocks. Loading a whole YAML library takes 12 ms, a quarter of what `rnx` may need
// from start to end, so the common case is read here; whatever is not plainly of this form is left
// to the library. What is read here means the same there, which plain-yaml.test.ts checks.

export type PlainYaml = string | boolean | { [key: string]: PlainYaml };

interface Line {
  readonly indent: number;
  readonly text: string;
}

const entryPattern =
  /^([A-Za-z][A-Za-z0-9_.-]*|"[A-Za-z0-9_. -]+"|'[A-Za-z0-9_. -]+'):(?: +(.*))?$/;
const quotedPattern = /^(?:"([^"\\]*)"|'([^']*)')$/;
/** Words that cannot be mistaken for a number or a date: addresses, ids, names. */
const wordPattern =
  /^(?:[A-Za-z](?:[A-Za-z0-9_.:/@-]*[A-Za-z0-9_/@-])?|\d+(?:\.\d+){3}(?::\d+)?|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
/** Words that mean something other than themselves. */
const specialWords = /^(?:null|true|false)$/i;

/** The document's value, or undefined when it takes a YAML library to say. */
export function parsePlainYaml(text: string): PlainYaml | undefined {
  if (/[\t\r\u0085\u2028\u2029\ufeff]/.test(text)) return undefined;
  const lines = text.split('\n').map((line) => {
    const indent = line.length - line.trimStart().length;
    return { indent, text: line.slice(indent) };
  });
  const cursor = new Cursor(lines);
  const value = parseMap(cursor, 0);
  return cursor.line === undefined ? value : undefined;
}

/** Stands on the next line that says something. */
class Cursor {
  readonly #lines: readonly Line[];
  #at = 0;

  constructor(lines: readonly Line[]) {
    this.#lines = lines;
    this.#skipSilent();
  }

  get line(): Line | undefined {
    return this.#lines[this.#at];
  }

  advance(): void {
    this.#at++;
    this.#skipSilent();
  }

  /** The lines that follow directly, as long as they are empty or deeper than `indent`. */
  takeBlock(indent: number): Line[] {
    const start = this.#at + 1;
    let end = start;
    for (let line = this.#lines[end]; line !== undefined; line = this.#lines[++end]) {
      if (line.text !== '' && line.indent <= indent) break;
    }
    this.#at = end;
    this.#skipSilent();
    return this.#lines.slice(start, end);
  }

  #skipSilent(): void {
    for (let line = this.line; line !== undefined; line = this.line) {
      if (line.text !== '' && !line.text.startsWith('#')) return;
      this.#at++;
    }
  }
}

function parseMap(cursor: Cursor, indent: number): PlainYaml | undefined {
  const map: { [key: string]: PlainYaml } = {};
  for (let line = cursor.line; line?.indent === indent; line = cursor.line) {
    const match = entryPattern.exec(line.text);
    const key = match?.[1]?.replace(/^["']|["']$/g, '');
    if (key === undefined || specialWords.test(key) || Object.hasOwn(map, key)) return undefined;
    const value = parseValue(cursor, indent, match?.[2] ?? '');
    if (value === undefined) return undefined;
    map[key] = value;
  }
  return Object.keys(map).length > 0 ? map : undefined;
}

function parseValue(cursor: Cursor, indent: number, text: string): PlainYaml | undefined {
  if (text === '') {
    cursor.advance();
    const next = cursor.line;
    return next !== undefined && next.indent > indent ? parseMap(cursor, next.indent) : undefined;
  }
  if (text === '|') return literal(cursor.takeBlock(indent));
  cursor.advance();
  // A deeper line would continue this value.
  if (cursor.line !== undefined && cursor.line.indent > indent) return undefined;
  return scalar(text);
}

function literal(lines: readonly Line[]): string | undefined {
  const indent = lines[0]?.indent ?? 0;
  const body = lines.findLastIndex((line) => line.text !== '');
  const kept = lines.slice(0, body + 1);
  if (kept.length === 0 || kept[0]?.text === '') return undefined;
  if (lines.some((line) => (line.text === '' ? line.indent > 0 : line.indent < indent))) {
    return undefined;
  }
  return kept
    .map((line) => `${' '.repeat(Math.max(0, line.indent - indent))}${line.text}\n`)
    .join('');
}

function scalar(text: string): string | boolean | undefined {
  const quoted = quotedPattern.exec(text);
  if (quoted !== null) return quoted[1] ?? quoted[2];
  if (text === 'true') return true;
  if (text === 'false') return false;
  return wordPattern.test(text) && !specialWords.test(text) ? text : undefined;
}
