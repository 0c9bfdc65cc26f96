// The plain part of YAML that nearly all files are written in, read in one pass: maps and lists by
// indentation or in brackets on one line, words, quoted texts on one line, literal blocks, comments.
// Whatever else there may be, or may be wrong, is for the YAML library: then there is no answer. So this
// never says what a text means where the library could say something else.

/** A part of the text, from `start` to `end`. */
export type PlainNode = PlainScalar | PlainMap | PlainList;

export interface PlainScalar {
  readonly kind: 'scalar' | 'block';
  readonly start: number;
  /** Behind it; of a block it is not known. */
  readonly end: number;
  readonly text: string;
}

export interface PlainMap {
  readonly kind: 'map';
  readonly start: number;
  readonly pairs: readonly PlainPair[];
}

export interface PlainPair {
  readonly key: string;
  /** Where the key stands. */
  readonly at: number;
  readonly value: PlainNode;
}

export interface PlainList {
  readonly kind: 'list';
  readonly start: number;
  readonly items: readonly PlainNode[];
}

/** Reads a text whose whole is a map; undefined where it is not plain throughout. */
export function parsePlainYaml(text: string): PlainMap | undefined {
  // Tabs, carriage returns and other controls, and spaces that are none.
  if (/(?!\n)[\p{Cc}\u00a0\u2028\u2029\ufeff]/u.test(text)) return undefined;
  try {
    return new Plain(text).document();
  } catch (error) {
    if (error === notPlain) return undefined;
    throw error;
  }
}

const notPlain = Symbol('the text is not plain');

/** Lists and maps within each other. */
const MAX_DEPTH = 50;

const KEY = /([A-Za-z0-9_][A-Za-z0-9_.-]{0,255}):(?=[ \n]|$)/y;
const WORD = /(?:[A-Za-z0-9_./$+<(=;^\\]|-(?=[^ \n,[\]{}]))[^\n]*/y;
const FLOW_WORD = /(?:[A-Za-z0-9_./$+<(=;^\\]|-(?=[^ \n,[\]{}]))[^\n,[\]{}]*/y;
const DOUBLE = /"((?:[^"\\\n]|\\["\\/nt])*)"/y;
const SINGLE = /'((?:[^'\n]|'')*)'/y;
const REST = / *(?: #[^\n]*)?(?:\n|$)/y;

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t' };

class Plain {
  readonly #text: string;
  #at = 0;
  /** Spaces before what comes next; -1 at the end. */
  #indent = -1;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): PlainMap {
    this.#nextLine();
    if (this.#indent !== 0) throw notPlain;
    const map = this.#blockMap(0);
    if (this.#at < this.#text.length) throw notPlain;
    return map;
  }

  /** Goes to the next line that says something. */
  #nextLine(): void {
    const text = this.#text;
    for (let start = this.#at; start < text.length; ) {
      let at = start;
      while (text[at] === ' ') at += 1;
      if (text[at] !== '\n' && text[at] !== '#' && at < text.length) {
        this.#at = at;
        this.#indent = at - start;
        return;
      }
      const end = text.indexOf('\n', at);
      if (end === -1) break;
      start = end + 1;
    }
    this.#at = text.length;
    this.#indent = -1;
  }

  /** Leaves a line on which nothing more may stand. */
  #endLine(): void {
    if (this.#match(REST) === undefined) throw notPlain;
    this.#nextLine();
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text) ?? undefined;
    if (found !== undefined) this.#at = pattern.lastIndex;
    return found;
  }

  #skipSpaces(): void {
    while (this.#text[this.#at] === ' ') this.#at += 1;
  }

  #isItem(): boolean {
    return this.#text[this.#at] === '-' && this.#text[this.#at + 1] === ' ';
  }

  #blockMap(indent: number): PlainMap {
    this.#enter();
    const start = this.#at;
    const pairs: PlainPair[] = [];
    const seen = new Set<string>();
    while (this.#indent === indent && !this.#isItem()) {
      const at = this.#at;
      const key = this.#key(seen);
      this.#skipSpaces();
      pairs.push({ key, at, value: this.#blockValue(indent, true) });
    }
    if (this.#indent > indent || pairs.length === 0) throw notPlain;
    this.#depth -= 1;
    return { kind: 'map', start, pairs };
  }

  #blockList(indent: number): PlainList {
    this.#enter();
    const start = this.#at;
    const items: PlainNode[] = [];
    while (this.#indent === indent && this.#isItem()) {
      const dash = this.#at;
      this.#at += 1;
      this.#skipSpaces();
      KEY.lastIndex = this.#at;
      if (KEY.test(this.#text)) {
        // A map that begins behind the dash.
        const inside = indent + this.#at - dash;
        this.#indent = inside;
        items.push(this.#blockMap(inside));
      } else items.push(this.#blockValue(indent, false));
    }
    if (this.#indent > indent) throw notPlain;
    this.#depth -= 1;
    return { kind: 'list', start, items };
  }

  /** What stands behind a key or a dash, or on the lines below it. */
  #blockValue(indent: number, isOfMap: boolean): PlainNode {
    const first = this.#text[this.#at];
    if (first === '|') return this.#literal(indent);
    if (first !== undefined && first !== '\n' && first !== '#') {
      const node = first === '[' || first === '{' ? this.#flow() : this.#scalar(WORD);
      this.#endLine();
      if (this.#indent > indent) throw notPlain;
      return node;
    }
    this.#endLine();
    if (this.#indent > indent) {
      const inside = this.#indent;
      return this.#isItem() ? this.#blockList(inside) : this.#blockMap(inside);
    }
    if (isOfMap && this.#indent === indent && this.#isItem()) return this.#blockList(indent);
    throw notPlain;
  }

  /** Lines as they stand there, below `|` or `|-`. */
  #literal(indent: number): PlainScalar {
    const text = this.#text;
    const start = this.#at;
    this.#at += 1;
    const isStripped = text[this.#at] === '-';
    if (isStripped) this.#at += 1;
    if (this.#match(REST) === undefined) throw notPlain;
    const lines: string[] = [];
    let inside = 0;
    while (this.#at < text.length) {
      let at = this.#at;
      while (text[at] === ' ') at += 1;
      const spaces = at - this.#at;
      const isEmpty = text[at] === '\n' || at === text.length;
      if (lines.length === 0) {
        if (isEmpty || spaces <= indent) throw notPlain;
        inside = spaces;
      }
      if (isEmpty ? spaces > inside : spaces < inside) {
        if (isEmpty || spaces > indent) throw notPlain;
        break;
      }
      const end = text.indexOf('\n', at);
      if (end === -1) throw notPlain;
      lines.push(isEmpty ? '' : text.slice(this.#at + inside, end));
      this.#at = end + 1;
    }
    if (lines.length === 0) throw notPlain;
    while (lines.at(-1) === '') lines.pop();
    this.#nextLine();
    const whole = lines.join('\n') + (isStripped ? '' : '\n');
    return { kind: 'block', start, end: start, text: whole };
  }

  #scalar(word: RegExp): PlainScalar {
    const start = this.#at;
    const first = this.#text[start];
    if (first === '"') {
      const inside = this.#match(DOUBLE)?.[1];
      if (inside === undefined) throw notPlain;
      const text = inside.includes('\\')
        ? inside.replace(/\\(.)/g, (_, sign: string) => escapes[sign] ?? sign)
        : inside;
      return { kind: 'scalar', start, end: this.#at, text };
    }
    if (first === "'") {
      const inside = this.#match(SINGLE)?.[1];
      if (inside === undefined) throw notPlain;
      return { kind: 'scalar', start, end: this.#at, text: inside.replaceAll("''", "'") };
    }
    let [text] = this.#match(word) ?? [];
    if (text === undefined) throw notPlain;
    const comment = text.indexOf(' #');
    if (comment !== -1) text = text.slice(0, comment);
    let length = text.length;
    while (text[length - 1] === ' ') length -= 1;
    text = text.slice(0, length);
    if (text.endsWith(':') || text.includes(': ')) throw notPlain;
    this.#at = start + length;
    return { kind: 'scalar', start, end: this.#at, text };
  }

  /** A list or a map in brackets, or what stands in one. */
  #flow(): PlainNode {
    const first = this.#text[this.#at];
    if (first !== '[' && first !== '{') return this.#scalar(FLOW_WORD);
    this.#enter();
    const start = this.#at;
    const isList = first === '[';
    const close = isList ? ']' : '}';
    const items: PlainNode[] = [];
    const pairs: PlainPair[] = [];
    const seen = new Set<string>();
    this.#at += 1;
    this.#skipSpaces();
    if (this.#text[this.#at] === close) this.#at += 1;
    else {
      for (let isOpen = true; isOpen; ) {
        if (isList) items.push(this.#flowItem());
        else pairs.push(this.#flowPair(seen));
        this.#skipSpaces();
        const sign = this.#text[this.#at];
        if (sign !== ',' && sign !== close) throw notPlain;
        this.#at += 1;
        this.#skipSpaces();
        isOpen = sign === ',';
      }
    }
    this.#depth -= 1;
    return isList ? { kind: 'list', start, items } : { kind: 'map', start, pairs };
  }

  /** `[a: b]` is a list of one map. */
  #flowItem(): PlainNode {
    const start = this.#at;
    KEY.lastIndex = start;
    if (!KEY.test(this.#text)) return this.#flow();
    return { kind: 'map', start, pairs: [this.#flowPair(new Set())] };
  }

  #flowPair(seen: Set<string>): PlainPair {
    const at = this.#at;
    const key = this.#key(seen);
    this.#skipSpaces();
    return { key, at, value: this.#flow() };
  }

  /** A key that is the first of its name. */
  #key(seen: Set<string>): string {
    const key = this.#match(KEY)?.[1];
    if (key === undefined || seen.has(key) || key === '__proto__') throw notPlain;
    seen.add(key);
    return key;
  }

  #enter(): void {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw notPlain;
  }
}
