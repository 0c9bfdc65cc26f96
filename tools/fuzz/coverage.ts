// Which blocks of which sources were executed, as V8 itself counts them.

import { type Profiler, Session } from 'node:inspector';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../steps.ts';

/** What was met so far. */
export interface Totals {
  readonly functions: number;
  readonly functionsHit: number;
  readonly blocks: number;
  readonly blocksHit: number;
}

/** A function, with how often each of its blocks was executed at most in one look, in steps. */
interface Watched {
  isHit: boolean;
  readonly blocks: Map<string, Block>;
}

interface Block {
  readonly start: number;
  readonly end: number;
  steps: number;
}

export class Coverage {
  readonly #session = new Session();
  readonly #urls: ReadonlySet<string>;
  readonly #functions = new Map<string, Watched>();

  /** Counts from now on; the sources should not be loaded yet. */
  constructor(sources: readonly string[]) {
    this.#urls = new Set(sources.map((file) => pathToFileURL(path.join(ROOT, file)).href));
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Whether anything was executed since the last look that never was before. */
  isNew(): boolean {
    return this.#look(false);
  }

  /**
   * Takes note of what was executed since the last look. Answers whether there was anything new in it:
   * a block that never was executed before, or never so often.
   */
  note(): boolean {
    return this.#look(true);
  }

  totals(): Totals {
    const functions = [...this.#functions.values()];
    const blocks = functions.flatMap((one) => [...one.blocks.values()]);
    return {
      functions: functions.length,
      functionsHit: functions.filter(({ isHit }) => isHit).length,
      blocks: blocks.length,
      blocksHit: blocks.filter(({ steps }) => steps > 0).length,
    };
  }

  /** Names of functions that were never called. */
  missed(): string[] {
    return [...this.#functions].filter(([, { isHit }]) => !isHit).map(([name]) => name);
  }

  #look(noting: boolean): boolean {
    let isNew = false;
    for (const { url, functions } of this.#take()) {
      if (!this.#urls.has(url)) continue;
      for (const one of functions) isNew = this.#compare(url, one, noting) || isNew;
    }
    return isNew;
  }

  #take(): readonly Profiler.ScriptCoverage[] {
    let result: readonly Profiler.ScriptCoverage[] = [];
    // In this thread the answer comes before the call returns.
    this.#session.post('Profiler.takePreciseCoverage', (error, taken) => {
      if (error !== null) throw error;
      result = taken.result;
    });
    return result;
  }

  #compare(url: string, found: Profiler.FunctionCoverage, noting: boolean): boolean {
    const name = `${url.slice(url.lastIndexOf('/') + 1)}:${found.functionName}@${found.ranges[0]?.startOffset}`;
    let watched = this.#functions.get(name);
    if (watched === undefined) {
      watched = { isHit: false, blocks: new Map() };
      this.#functions.set(name, watched);
    }
    watched.isHit ||= (found.ranges[0]?.count ?? 0) > 0;
    for (const { startOffset: start, endOffset: end } of found.ranges) {
      const key = `${start}-${end}`;
      if (!watched.blocks.has(key)) watched.blocks.set(key, { start, end, steps: 0 });
    }
    let isNew = false;
    for (const block of watched.blocks.values()) {
      const steps = stepsOf(countOf(block, found.ranges));
      if (steps <= block.steps) continue;
      isNew ||= noting || block.steps === 0;
      if (noting) block.steps = steps;
    }
    return isNew;
  }
}

/** V8 leaves out a block that was executed as often as what is around it. */
function countOf({ start, end }: Block, ranges: readonly Profiler.CoverageRange[]): number {
  let count = 0;
  // What is further in stands further back.
  for (const range of ranges) {
    if (range.startOffset <= start && end <= range.endOffset) count = range.count;
  }
  return count;
}

/** A count in steps that grow: one time more makes no difference among many. */
function stepsOf(count: number): number {
  return count === 0 ? 0 : 1 + Math.floor(Math.log2(count));
}
