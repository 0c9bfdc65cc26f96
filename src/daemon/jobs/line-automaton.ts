// Tells in which lines an expression of RE2 finds something. Of the program that re2js makes of the
// expression, the sets of instructions that can be reached become states, each made when a text first
// leads there; from then on a character is one look into a table. Whatever the expression, a character
// costs no more than a look at all of its instructions, and states take no more than their room.

import type { RE2JS } from 're2js';
import { runeAt } from './runes.ts';

/** One instruction of a program of re2js. */
interface Instruction {
  readonly op: number;
  readonly out: number;
  /** Of a choice the other way out; of an empty width what has to hold there. */
  readonly arg: number;
  matchRune(rune: number): boolean;
}

interface Program {
  readonly start: number;
  numInst(): number;
  getInst(pc: number): Instruction;
}

/** What instructions do; those from RUNE on take a character. */
const ops = { CHOICE: 1, CHOICE_MATCH: 2, CAPTURE: 3, EMPTY_WIDTH: 4, MATCH: 6, NOP: 7, RUNE: 8 };

/** What may hold between two characters: of a line, that it or the text begins or ends; of a word, its edge. */
const BEGIN = 1 | 4;
const END = 2 | 8;
const EDGE = 16;
const NO_EDGE = 32;

/** A set of instructions at a place of a line. */
interface State {
  readonly pcs: readonly number[];
  /** What holds there, and what instructions ask for. */
  readonly holds: number;
  readonly asks: number;
  /** Whether a character of a word stands before it; false where nobody asks. */
  readonly isBehindWord: boolean;
  /** Where characters beyond ASCII lead to. */
  readonly others: Map<number, number>;
}

/** A row of the table has a column for each byte; those beyond ASCII stay empty, and their characters are `others`. */
const ROW = 256;
const ASCII = 128;

// A state is spoken of by the place of its row. The first two rows are those of no state.
const UNKNOWN = 0;
const FOUND = ROW;
const START = 2 * ROW;

/** States that are remembered, instructions in them, and ways out of them beyond the table: some MB. */
const MOST_STATES = 1024;
const MOST_INSTRUCTIONS = 64 * 1024;
const MOST_OTHERS = 32 * 1024;

/** Instructions looked at until others get their turn, which takes some milliseconds; a step counts as so many. */
const MOST_WORK = 50_000;
const STEP_WORK = 20;

const NEWLINE = 0x0a;

export class LineAutomaton {
  readonly #program: Program;
  /** Whether edges of words are asked for anywhere. */
  readonly #hasEdges: boolean;
  #table = new Int32Array(16 * ROW);
  readonly #states: State[] = [];
  readonly #places = new Map<string, number>();
  #instructions = 0;
  #others = 0;
  /** Where the last run has ended. */
  #state = START;
  #work = 0;

  constructor(pattern: RE2JS) {
    const program: Program = pattern.re2().prog;
    this.#program = program;
    this.#hasEdges = Array.from({ length: program.numInst() }, (_, pc) => program.getInst(pc)).some(
      ({ op, arg }) => op === ops.EMPTY_WIDTH && (arg & (EDGE | NO_EDGE)) !== 0,
    );
    this.#forget();
  }

  /**
   * Whether something is found in a line, which stands from `from` to before `to`, without its end. Yields
   * whenever that takes long, for others to have their turn; meanwhile nothing else is asked.
   */
  *isFoundIn(bytes: Buffer, from: number, to: number): Generator<undefined, boolean> {
    this.#state = START;
    let reached = this.#run(bytes, from, to);
    for (; reached < to; reached = this.#run(bytes, reached, to)) {
      if (this.#state === FOUND) return true;
      yield;
    }
    return this.#after(this.#state, NEWLINE) === FOUND;
  }

  /**
   * Where the first line from `from` on begins that has to be looked at: something is found in it, it is
   * not whole, or to tell takes long. The length of the text when there is none.
   */
  nextLine(bytes: Buffer, from: number): number {
    this.#state = START;
    const reached = this.#run(bytes, from, bytes.length);
    if (reached === from) return from;
    return Math.max(from, bytes.lastIndexOf(NEWLINE, reached - 1) + 1);
  }

  /** Goes on until something is found, or that has taken long; answers at which character, or `to`. */
  #run(bytes: Buffer, from: number, to: number): number {
    this.#work = 0;
    let table = this.#table;
    let state = this.#state;
    let at = from;
    while (at < to) {
      const byte = bytes[at] ?? 0;
      let next = table[state + byte] ?? UNKNOWN;
      if (next > FOUND) {
        at += 1;
        // Most characters lead nowhere else, and then none has to wait for where the one before it led.
        if (next === state) while (at < to && table[state + (bytes[at] ?? 0)] === state) at += 1;
        else state = next;
        continue;
      }
      let width = 1;
      if (next === UNKNOWN) {
        if (this.#work > MOST_WORK) break;
        const character = byte < ASCII ? undefined : runeAt(bytes, at, to);
        width = character?.width ?? 1;
        next = this.#after(state, character?.rune ?? byte);
        table = this.#table;
      }
      state = next;
      if (next === FOUND) break;
      at += width;
    }
    this.#state = state;
    return at;
  }

  /** The state behind a character. */
  #after(state: number, rune: number): number {
    const { others } = this.#stateAt(state);
    const known = rune < ASCII ? this.#table[state + rune] : others.get(rune);
    if (known !== undefined && known !== UNKNOWN) return known;
    const next = this.#step(this.#stateAt(state), rune);
    // Where there was no room for it, the state that led there is forgotten too.
    if (this.#states[state / ROW]?.others !== others) return next;
    if (rune < ASCII) this.#table[state + rune] = next;
    else if (this.#others++ < MOST_OTHERS) others.set(rune, next);
    return next;
  }

  #step({ pcs, holds, asks, isBehindWord }: State, rune: number): number {
    this.#work += STEP_WORK;
    const isEnd = rune === NEWLINE;
    const isWord = isWordRune(rune);
    const here = holds | (isEnd ? END : 0) | (isWord === isBehindWord ? NO_EDGE : EDGE);
    const reached = (asks & here & ~holds) === 0 ? pcs : this.#closure(pcs, here).pcs;
    const next = isEnd ? [] : [this.#program.start];
    for (const pc of reached) {
      this.#work += 1;
      const instruction = this.#program.getInst(pc);
      if (instruction.op === ops.MATCH) return FOUND;
      if (!isEnd && instruction.op >= ops.RUNE && instruction.matchRune(rune)) {
        next.push(instruction.out);
      }
    }
    return isEnd ? START : this.#stateOf(next, this.#hasEdges && isWord);
  }

  /** The state within a line where some instructions are reached; FOUND where their end is, too. */
  #stateOf(from: readonly number[], isBehindWord: boolean): number {
    const { pcs, asks, isMatch } = this.#closure(from, 0);
    if (isMatch) return FOUND;
    const key = `${isBehindWord} ${pcs.join()}`;
    const known = this.#places.get(key);
    if (known !== undefined) return known;
    this.#instructions += pcs.length;
    const isFull = this.#instructions > MOST_INSTRUCTIONS || this.#states.length === MOST_STATES;
    if (isFull) this.#forget();
    const place = this.#states.length * ROW;
    if (place === this.#table.length) {
      const longer = new Int32Array(2 * place);
      longer.set(this.#table);
      this.#table = longer;
    }
    this.#states.push({ pcs, holds: 0, asks, isBehindWord, others: new Map() });
    this.#places.set(key, place);
    return place;
  }

  /** All instructions that are reached from some without a character, where so much holds. */
  #closure(from: readonly number[], holds: number) {
    const reached = new Set<number>();
    const left = [...from];
    let asks = 0;
    let isMatch = false;
    for (let pc = left.pop(); pc !== undefined; pc = left.pop()) {
      if (reached.has(pc)) continue;
      reached.add(pc);
      this.#work += 1;
      const { op, out, arg } = this.#program.getInst(pc);
      if (op === ops.MATCH) isMatch = true;
      if (op === ops.CHOICE || op === ops.CHOICE_MATCH) left.push(out, arg);
      if (op === ops.CAPTURE || op === ops.NOP) left.push(out);
      if (op !== ops.EMPTY_WIDTH) continue;
      asks |= arg;
      if ((arg & ~holds) === 0) left.push(out);
    }
    return { pcs: [...reached].sort((a, b) => a - b), asks, isMatch };
  }

  #stateAt(place: number): State {
    const state = this.#states[place / ROW];
    if (state === undefined) throw new Error(`no state stands at ${place}`);
    return state;
  }

  /** Begins anew with the state of a line's begin. */
  #forget(): void {
    const { pcs, asks } = this.#closure([this.#program.start], BEGIN);
    const start = { pcs, holds: BEGIN, asks, isBehindWord: false, others: new Map() };
    // What is no state has a row, too.
    this.#states.splice(0, this.#states.length, start, start, start);
    this.#places.clear();
    this.#instructions = pcs.length;
    this.#others = 0;
    this.#table.fill(UNKNOWN);
  }
}

function isWordRune(rune: number): boolean {
  return rune < ASCII && /\w/.test(String.fromCharCode(rune));
}
