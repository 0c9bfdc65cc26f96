// What a job of a workflow waits for: `requires`, as a tree.
//
//   build=COMPLETED AND (test=COMPLETED OR NOT lint IN (FAILED, STOPPED))
//
// NOT binds closer than AND, AND closer than OR. A tree is not merely true or false: while jobs are
// under way it may be true now, or not yet, or settled for ever, and only what is settled as false
// takes away a job's chance to start.

import { invalid } from './errors.ts';
import { nearest } from './nearest.ts';
import { hasEnded, type StepStatus } from './step-status.ts';

/** The words for what a job is waited for: each is one status or several. */
export const waitedFor = {
  PENDING: ['PENDING'],
  SCHEDULED: ['SCHEDULED'],
  INITIALIZING: ['INITIALIZING'],
  RUNNING: ['RUNNING'],
  COMPLETED: ['COMPLETED'],
  FAILED: ['FAILED'],
  STOPPED: ['STOPPED'],
  CANCELED: ['CANCELED'],
  SKIPPED: ['SKIPPED'],
  FINISHED: ['COMPLETED', 'FAILED', 'STOPPED', 'CANCELED', 'SKIPPED'],
} as const satisfies Record<string, readonly StepStatus[]>;

/** That a job is in one of some statuses. */
export interface StatusLeaf {
  readonly kind: 'is';
  readonly job: string;
  readonly statuses: readonly StepStatus[];
}

/** Leaves that are joined by AND, OR and NOT. */
export type Joined<Leaf> =
  | { readonly kind: 'all'; readonly of: readonly Joined<Leaf>[] }
  | { readonly kind: 'any'; readonly of: readonly Joined<Leaf>[] }
  | { readonly kind: 'not'; readonly of: Joined<Leaf> }
  | Leaf;

/** What a job waits for. */
export type Expression = Joined<StatusLeaf>;

/** That a text is one of some others; without others, that it says yes. See workflow-condition.ts. */
export interface TextLeaf {
  readonly kind: 'text';
  readonly text: string;
  readonly others?: readonly string[];
}

/** What has to hold when a job could start. */
export type Condition = Joined<StatusLeaf | TextLeaf>;

const MAX_CHARS = 8192;
const MAX_DEPTH = 64;

const TOKEN =
  /\s+|&&|\|\||==|!=|<>|[!=(),]|"([^"]*)"|'([^']*)'|(\$\{[^}]*\})|([A-Za-z0-9_][A-Za-z0-9_.-]*)/y;

interface Token {
  /** An operator, a word in capitals, `word` for what is quoted, or `reference` for `${...}`. */
  readonly sign: string;
  readonly text: string;
  /** Characters before it. */
  readonly at: number;
}

/** Hears of a word that is wrong where the expression can be read all the same, so that the rest is looked at too. */
export type Note = (message: string) => void;

/** Without anybody to hear of it, a wrong word is refused at once. */
const throwIt: Note = (message) => {
  throw invalid([{ field: '', message }]);
};

/** Reads an expression. Throws `invalid` saying what is wrong, and where in the text. */
export function parseExpression(text: string, note: Note = throwIt): Expression {
  return parseJoined(text, statusLeaf, note);
}

/** Reads an expression whose leaves are read by `leaf`. */
export function parseJoined<Leaf>(
  text: string,
  leaf: (words: Words<Leaf>) => Joined<Leaf>,
  note: Note = throwIt,
): Joined<Leaf> {
  if (text.length > MAX_CHARS) throw refuse(`has more than ${MAX_CHARS} characters`);
  return new Words(tokens(text), leaf, note).whole();
}

function refuse(message: string): Error {
  return invalid([{ field: '', message: `the expression ${message}` }]);
}

function tokens(text: string): Token[] {
  const found: Token[] = [];
  for (let at = 0; at < text.length; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) {
      const shown = JSON.stringify(text.slice(at, at + 1));
      throw refuse(`cannot be read at character ${at + 1}: ${shown}`);
    }
    const [sign, double, single, reference, word] = match;
    const quoted = double ?? single;
    if (quoted !== undefined) found.push({ sign: 'word', text: quoted, at });
    else if (reference !== undefined) found.push({ sign: 'reference', text: reference, at });
    else if (sign.trim() !== '') {
      found.push({ sign: word === undefined ? sign : sign.toUpperCase(), text: sign, at });
    }
  }
  return found;
}

const isWord = /^(?:word|[A-Z0-9_][A-Z0-9_.-]*)$/;
const END: Token = { sign: 'the end', text: '', at: -1 };

/** The words of an expression, gone through once. */
export class Words<Leaf> {
  readonly #tokens: readonly Token[];
  readonly #leaf: (words: Words<Leaf>) => Joined<Leaf>;
  readonly note: Note;
  #at = 0;
  #depth = 0;

  constructor(all: readonly Token[], leaf: (words: Words<Leaf>) => Joined<Leaf>, note: Note) {
    this.#tokens = all;
    this.#leaf = leaf;
    this.note = note;
  }

  whole(): Joined<Leaf> {
    const expression = this.#either();
    if (this.next !== END) throw this.unexpected('AND, OR or the end');
    return expression;
  }

  get next(): Token {
    return this.#tokens[this.#at] ?? END;
  }

  /** The one that was gone past. */
  get last(): Token {
    return this.#tokens[this.#at - 1] ?? END;
  }

  /** Whether one of these signs comes next; it is gone past then. */
  take(...signs: readonly string[]): boolean {
    if (!signs.includes(this.next.sign)) return false;
    this.#at += 1;
    return true;
  }

  #either(): Joined<Leaf> {
    const of = [this.#both()];
    while (this.take('OR', '||')) of.push(this.#both());
    return oneOr('any', of);
  }

  #both(): Joined<Leaf> {
    const of = [this.#single()];
    while (this.take('AND', '&&')) of.push(this.#single());
    return oneOr('all', of);
  }

  #single(): Joined<Leaf> {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw refuse(`is nested deeper than ${MAX_DEPTH}`);
    const expression = this.#negated() ?? this.#grouped() ?? this.#leaf(this);
    this.#depth -= 1;
    return expression;
  }

  #negated(): Joined<Leaf> | undefined {
    return this.take('NOT', '!') ? { kind: 'not', of: this.#single() } : undefined;
  }

  #grouped(): Joined<Leaf> | undefined {
    if (!this.take('(')) return undefined;
    const inside = this.#either();
    if (!this.take(')')) throw this.unexpected(')');
    return inside;
  }

  /** What `item` reads, several times between parentheses. */
  list<T>(item: () => T): T[] {
    if (!this.take('(')) throw this.unexpected('(');
    const items = [item()];
    while (this.take(',')) items.push(item());
    if (!this.take(')')) throw this.unexpected(', or )');
    return items;
  }

  word(what: string): string {
    const { sign, text } = this.next;
    if (!isWord.test(sign) || ['AND', 'OR', 'NOT', 'IN', 'NOT_IN'].includes(sign)) {
      throw this.unexpected(what);
    }
    this.#at += 1;
    return text;
  }

  unexpected(wanted: string): Error {
    const { text, at } = this.next;
    const found = at < 0 ? 'it ends' : `${JSON.stringify(text)} stands at character ${at + 1}`;
    return refuse(`is not complete: ${found} where ${wanted} is expected`);
  }
}

/** `job = STATUS`, or a job alone. */
export function statusLeaf<Leaf>(words: Words<Leaf>): Joined<StatusLeaf> {
  const job = words.word('the name of a job');
  const status = () => parseStatus(words.word('a status'), words.note);
  const list = () => [...new Set(words.list(status).flat())];
  if (words.take('=', '==')) return { kind: 'is', job, statuses: status() };
  if (words.take('!=', '<>')) return { kind: 'not', of: { kind: 'is', job, statuses: status() } };
  if (words.take('IN')) return { kind: 'is', job, statuses: list() };
  if (words.take('NOT_IN')) return { kind: 'not', of: { kind: 'is', job, statuses: list() } };
  // A name alone: that job went well.
  return { kind: 'is', job, statuses: waitedFor.COMPLETED };
}

function oneOr<Leaf>(kind: 'all' | 'any', of: readonly Joined<Leaf>[]): Joined<Leaf> {
  return of.length === 1 && of[0] !== undefined ? of[0] : { kind, of };
}

/** The statuses that a word stands for; none for a word that is noted as wrong. */
export function parseStatus(word: string, note: Note): readonly StepStatus[] {
  const sign = word.toUpperCase();
  if (Object.hasOwn(waitedFor, sign)) return waitedFor[sign as keyof typeof waitedFor];
  const known = Object.keys(waitedFor);
  const guess = nearest(word, known);
  const hint = guess === undefined ? `there are ${known.join(', ')}` : `did you mean ${guess}?`;
  note(`${JSON.stringify(word.slice(0, 64))} is no status of a job; ${hint}`);
  return [];
}

/** The jobs that an expression names, each once, in its order. */
export function jobsOf(expression: Condition): string[] {
  const found = new Set<string>();
  const collect = (one: Condition) => {
    if (one.kind === 'is') found.add(one.job);
    else if (one.kind === 'not') collect(one.of);
    else if (one.kind !== 'text') one.of.forEach(collect);
  };
  collect(expression);
  return [...found];
}

/** What is known of a job that others wait for. */
export interface Seen {
  readonly status: StepStatus;
  /** Its command has run. */
  readonly hasRun: boolean;
}

/**
 * How an expression stands: `always` and `never` stay so whatever happens; `now` is true and may
 * change; `open` is not true yet.
 */
export type Standing = 'always' | 'now' | 'open' | 'never';

/** How an expression stands while jobs are as `see` says. */
export function standingOf(expression: Expression, see: (job: string) => Seen): Standing {
  switch (expression.kind) {
    case 'all':
      return conjunction(expression.of.map((one) => standingOf(one, see)));
    case 'any':
      return opposite[conjunction(expression.of.map((one) => opposite[standingOf(one, see)]))];
    case 'not':
      return afterNot[standingOf(expression.of, see)];
    case 'is':
      return standingOfJob(expression.statuses, see(expression.job));
  }
}

/** What is true of the opposite; `open` and `now` change places. */
const opposite = { always: 'never', never: 'always', now: 'open', open: 'now' } as const;

/** NOT of what is not true yet is not true either: `NOT a=FAILED` waits for the end of a. */
const afterNot = { always: 'never', never: 'always', now: 'open', open: 'open' } as const;

function conjunction(all: readonly Standing[]): Standing {
  if (all.includes('never')) return 'never';
  if (all.includes('open')) return 'open';
  return all.includes('now') ? 'now' : 'always';
}

/** How far a job has come in a status. It never goes back, but waits for its time and its turn in any order. */
const stage = {
  SCHEDULED: 0,
  PENDING: 0,
  INITIALIZING: 1,
  RUNNING: 2,
  COMPLETED: 3,
  FAILED: 3,
  STOPPED: 3,
  CANCELED: 3,
  SKIPPED: 3,
} as const satisfies Record<StepStatus, number>;

function standingOfJob(wanted: readonly StepStatus[], { status, hasRun }: Seen): Standing {
  // That it has run stays true: who waits for RUNNING may hear of it only when it is over.
  if (hasRun && wanted.includes('RUNNING')) return 'always';
  if (hasEnded(status)) return wanted.includes(status) ? 'always' : 'never';
  if (wanted.includes(status)) return 'now';
  return wanted.some((one) => stage[one] >= stage[status]) ? 'open' : 'never';
}
