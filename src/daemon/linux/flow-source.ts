// The daemon's end of `joblet-launch flows`: the kernel's news of the connections of jobs, and of packets
// that the rules refused.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { Log } from '../log.ts';

export interface FlowNews {
  /** One begins, is over, stands, or a packet was refused. */
  readonly kind: 'new' | 'end' | 'now' | 'no';
  /** The kernel's own for a connection. */
  readonly id: number;
  /** Whether the job began it. */
  readonly isOut: boolean;
  /** Its number in IP. */
  readonly protocol: number;
  readonly job: string;
  readonly other: string;
  /** The other's, or the job's own where it did not begin; 0 is none. */
  readonly port: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

export interface FlowEvents {
  told(news: FlowNews): void;
  /** The kernel had more to tell than could be read. */
  lost(): void;
}

/** How often another one is started where they die. */
const MAX_STARTS = 3;

const LINE =
  /^(new|end|now|no) (\d{1,10}) (out|in) (\d{1,3}) ([0-9a-f.:]{2,45}) ([0-9a-f.:]{2,45}) (\d{1,5}) (\d{1,20}) (\d{1,20})$/;

/** Undefined for what is no news. */
export function parseFlowNews(line: string): FlowNews | undefined {
  const [, kind, id, way, protocol, job = '', other = '', port, sent, received] =
    LINE.exec(line) ?? [];
  if (kind === undefined) return undefined;
  return {
    kind: kind as FlowNews['kind'],
    id: Number(id),
    isOut: way === 'out',
    protocol: Number(protocol),
    ...{ job, other, port: Number(port) },
    ...{ sentBytes: Number(sent), receivedBytes: Number(received) },
  };
}

type Child = ChildProcessByStdio<Writable, Readable, null>;

export class FlowSource {
  readonly #binary: string;
  readonly #log: Log;
  #events: FlowEvents = { told: () => {}, lost: () => {} };
  #group = 0;
  #child: Child | undefined;
  #ranges = 'ranges';
  #starts = 0;
  #isStopping = false;
  /** Who asked, in their order. */
  #asked: (() => void)[] = [];

  constructor(binary: string, log: Log) {
    this.#binary = binary;
    this.#log = log;
  }

  /** Begins to tell. `group` is the one that the rules log to. */
  start(group: number, events: FlowEvents): void {
    if (this.#child !== undefined || this.#isStopping) return;
    this.#events = events;
    this.#group = group;
    this.#spawn();
  }

  /** Whose connections are told from now on. */
  setRanges(ranges: readonly string[]): void {
    this.#ranges = ['ranges', ...ranges].join(' ');
    this.#say(this.#ranges);
  }

  /** Resolves when all that stand have been told. */
  dump(): Promise<void> {
    return this.#ask('dump');
  }

  /** Resolves when all that has been so far was told. */
  mark(): Promise<void> {
    return this.#ask('mark');
  }

  async #ask(what: 'dump' | 'mark'): Promise<void> {
    if (this.#child === undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#asked.push(resolve);
    this.#say(what);
    await promise;
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    const child = this.#child;
    if (child === undefined) return;
    const over = once(child, 'exit');
    child.stdin.end();
    await over;
  }

  #spawn(): void {
    this.#starts += 1;
    const child = spawn(this.#binary, ['flows', String(this.#group)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: {},
    });
    this.#child = child;
    child.stdin.on('error', () => {});
    createInterface(child.stdout).on('line', (line) => this.#take(line));
    child.once('error', () => {});
    child.once('exit', (code, signal) => this.#ended(`${signal ?? code}`));
    this.#say(this.#ranges);
  }

  #say(line: string): void {
    this.#child?.stdin.write(`${line}\n`);
  }

  #take(line: string): void {
    if (line === 'lost') this.#events.lost();
    else if (line === 'done') this.#asked.shift()?.();
    else {
      const news = parseFlowNews(line);
      if (news === undefined) this.#log.error('news of a connection that cannot be read', { line });
      else this.#events.told(news);
    }
  }

  #ended(why: string): void {
    this.#child = undefined;
    for (const resolve of this.#asked.splice(0)) resolve();
    if (this.#isStopping) return;
    this.#events.lost();
    const again = this.#starts < MAX_STARTS;
    this.#log.warn('connections of jobs are not recorded; what recorded them ended', {
      why,
      again,
    });
    if (again) this.#spawn();
  }
}
