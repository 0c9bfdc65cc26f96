// The flow log: what each job on a network connected to, who came to it, and what was refused to it. Kept
// whole in memory while a job is attached, and in a file beside its log.

import { messageOf } from '../../shared/errors.ts';
import type { FlowNews } from '../linux/flow-source.ts';
import type { Log } from '../log.ts';
import { type Flow, MAX_FLOWS, protocolName } from './flow.ts';
import { appendFlows, type FlowLine, readFlows } from './flow-file.ts';
import type { Found } from './resolver.ts';

export interface FlowLogParts {
  /** Where the log of a job is; its flows lie beside it. */
  readonly directoryOf: (jobId: string) => string;
  /** Resolves when all connections that stand were told. */
  readonly dump: () => Promise<void>;
  /** Resolves when all that has been so far was told. */
  readonly mark: () => Promise<void>;
  /** What a job is called; empty when it is not. */
  readonly nameOf: (jobId: string) => string;
  readonly log: Pick<Log, 'warn'>;
}

/** A job that is, or just was, attached. */
export interface Attached {
  readonly jobId: string;
  readonly addresses: readonly string[];
  /** Asking these about names is no flow. */
  readonly gateways: readonly string[];
}

/** How many were left out so far. */
export interface Omitted {
  readonly omitted: number;
}

interface Recorded extends Attached {
  readonly flows: Map<number, Flow>;
  /** Those that have not ended, by what the kernel calls them. */
  readonly open: Map<string, number>;
  /** Places and names that were refused: each is told once. */
  readonly refused: Set<string>;
  /** What the job was told of names. */
  readonly names: Map<string, string>;
  omitted: number;
  /** How many of them the file knows of. */
  writtenOmitted: number;
  isOver: boolean;
  readonly readers: Set<Reader>;
  /** What the file does not have yet. */
  unwritten: FlowLine[];
}

interface Reader {
  readonly queue: Flow[];
  wake: () => void;
}

const DNS_PORT = 53;
/** Addresses whose names are remembered of a job, the last ones. */
const MAX_NAMES = 1000;
/** What comes together is written together. */
const WRITE_MS = 200;
/** By then the kernel has told of all that ended with a job, and its address is nobody else's yet. */
const LAST_NEWS_MS = 1500;

export class FlowLog {
  readonly #parts: FlowLogParts;
  readonly #jobs = new Map<string, Recorded>();
  readonly #byAddress = new Map<string, Recorded>();
  readonly #ending = new Map<string, NodeJS.Timeout>();
  #writing: NodeJS.Timeout | undefined;
  #hasWarned = false;

  constructor(parts: FlowLogParts) {
    this.#parts = parts;
  }

  /** A job is attached; its flows are recorded from now on. */
  begin(attached: Attached): void {
    this.#enter(attached, new Map(), new Map(), 0);
  }

  /** The same of one that an earlier daemon recorded. */
  resume(attached: Attached): void {
    const { flows, open, omitted } = readFlows(this.#parts.directoryOf(attached.jobId));
    this.#enter(attached, flows, open, omitted);
  }

  /** A job is over; what it had open is told of in a moment. */
  end(jobId: string): void {
    const job = this.#jobs.get(jobId);
    if (job === undefined || this.#ending.has(jobId)) return;
    this.#ending.set(jobId, setTimeout(() => this.#forget(job), LAST_NEWS_MS).unref());
    void this.#parts.mark().then(() => {
      job.isOver = true;
      if (job.open.size === 0) this.#forget(job);
    });
  }

  told(news: FlowNews): void {
    const job = this.#byAddress.get(news.job);
    if (job === undefined) return;
    if (news.kind === 'no') {
      this.#refuse(job, protocolName(news.protocol), news.other, news.port, '');
      return;
    }
    const key = `${news.id} ${news.isOut ? 'out' : 'in'}`;
    const number = job.open.get(key);
    if (number !== undefined) this.#count(job, key, number, news);
    else if (news.kind !== 'end') this.#open(job, key, news);
  }

  /** The kernel told more than was read. */
  lost(): void {
    for (const job of this.#jobs.values()) if (job.open.size > 0) this.#omit(job);
  }

  /** What a job was told that a name stands for. */
  named(jobId: string, name: string, found: readonly Found[]): void {
    const names = this.#jobs.get(jobId)?.names;
    for (const { address } of found) {
      names?.delete(address);
      names?.set(address, name);
    }
    if (names === undefined) return;
    for (const address of names.keys()) {
      if (names.size <= MAX_NAMES) return;
      names.delete(address);
    }
  }

  /** A job asked for a name that it may not know of. */
  nameRefused(jobId: string, name: string): void {
    const job = this.#jobs.get(jobId);
    if (job !== undefined) this.#refuse(job, 'dns', '', 0, name);
  }

  /** The flows of a job so far, and, where they are followed, each again when it begins and ends. */
  async *read(
    jobId: string,
    { follow, signal }: { readonly follow: boolean; readonly signal: AbortSignal },
  ): AsyncGenerator<Flow | Omitted> {
    if (this.#jobs.has(jobId)) await this.#parts.dump();
    const job = this.#jobs.get(jobId);
    // What somebody has seen is not to be lost.
    if (job !== undefined) this.#writeOf(job);
    const { flows, omitted } = job ?? readFlows(this.#parts.directoryOf(jobId));
    const reader: Reader = { queue: [...flows.values()], wake: () => {} };
    const wake = () => reader.wake();
    if (follow) job?.readers.add(reader);
    signal.addEventListener('abort', wake);
    try {
      for (;;) {
        yield* reader.queue.splice(0);
        if (!follow || job === undefined || signal.aborted) break;
        if (reader.queue.length > 0) continue;
        if (!this.#jobs.has(jobId)) break;
        const { promise, resolve } = Promise.withResolvers<void>();
        reader.wake = resolve;
        await promise;
      }
      const left = job?.omitted ?? omitted;
      if (left > 0) yield { omitted: left };
    } finally {
      signal.removeEventListener('abort', wake);
      job?.readers.delete(reader);
    }
  }

  stop(): void {
    for (const timer of this.#ending.values()) clearTimeout(timer);
    this.#write();
    for (const job of this.#jobs.values()) for (const reader of job.readers) reader.wake();
    this.#jobs.clear();
  }

  #enter(
    attached: Attached,
    flows: Map<number, Flow>,
    open: Map<string, number>,
    omitted: number,
  ): void {
    const refused = [...flows.values()].filter(({ verdict }) => verdict === 'refused');
    const job: Recorded = {
      ...attached,
      ...{ flows, open, omitted, writtenOmitted: omitted, names: new Map() },
      ...{ isOver: false, readers: new Set() },
      refused: new Set(refused.map(placeOf)),
      unwritten: [],
    };
    this.#jobs.set(attached.jobId, job);
    for (const address of attached.addresses) this.#byAddress.set(address, job);
  }

  #open(job: Recorded, key: string, news: FlowNews): void {
    const { isOut, other, port, protocol } = news;
    if (isOut && port === DNS_PORT && job.gateways.includes(other)) return;
    if (job.flows.size >= MAX_FLOWS) {
      this.#omit(job);
      return;
    }
    const flow: Flow = {
      number: job.flows.size + 1,
      ...{ atMs: Date.now(), endedAtMs: 0, verdict: 'allowed', way: isOut ? 'out' : 'in' },
      ...{ protocol: protocolName(protocol), address: other, port },
      name: job.names.get(other) ?? this.#peerName(other),
      ...{ sentBytes: news.sentBytes, receivedBytes: news.receivedBytes },
    };
    job.open.set(key, flow.number);
    this.#put(job, flow, key);
  }

  #peerName(address: string): string {
    const peer = this.#byAddress.get(address);
    return peer === undefined ? '' : this.#parts.nameOf(peer.jobId);
  }

  #count(job: Recorded, key: string, number: number, news: FlowNews): void {
    const before = job.flows.get(number);
    if (before === undefined || news.kind === 'new') return;
    const { kind, sentBytes, receivedBytes } = news;
    const flow = { ...before, sentBytes, receivedBytes };
    if (kind === 'now') {
      job.flows.set(number, flow);
      return;
    }
    job.open.delete(key);
    this.#put(job, { ...flow, endedAtMs: Date.now() }, key);
    if (job.isOver && job.open.size === 0) this.#forget(job);
  }

  #refuse(job: Recorded, protocol: string, address: string, port: number, name: string): void {
    const atMs = Date.now();
    const flow: Flow = {
      number: job.flows.size + 1,
      ...{ atMs, endedAtMs: atMs, verdict: 'refused', way: 'out', protocol, address, port },
      name: name || (job.names.get(address) ?? ''),
      ...{ sentBytes: 0, receivedBytes: 0 },
    };
    const place = placeOf(flow);
    if (job.refused.has(place)) return;
    if (job.flows.size >= MAX_FLOWS) {
      this.#omit(job);
      return;
    }
    job.refused.add(place);
    this.#put(job, flow, '');
  }

  #omit(job: Recorded): void {
    job.omitted += 1;
    this.#writeSoon();
  }

  #put(job: Recorded, flow: Flow, key: string): void {
    job.flows.set(flow.number, flow);
    job.unwritten.push({ flow, key });
    for (const reader of job.readers) {
      // No more than there are of a job, each at its begin and its end.
      reader.queue.push(flow);
      reader.wake();
    }
    this.#writeSoon();
  }

  #forget(job: Recorded): void {
    clearTimeout(this.#ending.get(job.jobId));
    this.#ending.delete(job.jobId);
    // With the job they are over, whether or not the kernel said so while somebody listened.
    for (const [key, number] of job.open) {
      const flow = job.flows.get(number);
      if (flow !== undefined) this.#put(job, { ...flow, endedAtMs: Date.now() }, key);
    }
    this.#writeOf(job);
    this.#jobs.delete(job.jobId);
    for (const address of job.addresses) {
      if (this.#byAddress.get(address) === job) this.#byAddress.delete(address);
    }
    for (const reader of job.readers) reader.wake();
  }

  #writeSoon(): void {
    this.#writing ??= setTimeout(() => this.#write(), WRITE_MS).unref();
  }

  #write(): void {
    clearTimeout(this.#writing);
    this.#writing = undefined;
    for (const job of this.#jobs.values()) this.#writeOf(job);
  }

  #writeOf(job: Recorded): void {
    const { jobId, omitted, writtenOmitted, isOver } = job;
    const lines = job.unwritten.splice(0);
    // Now and then is enough while it runs: the file is not to grow with what is left out.
    if (omitted > (isOver ? writtenOmitted : 2 * writtenOmitted)) {
      job.writtenOmitted = omitted;
      lines.push({ omitted });
    }
    if (lines.length === 0) return;
    try {
      appendFlows(this.#parts.directoryOf(jobId), lines);
    } catch (error) {
      // They are shown as long as the daemon runs.
      if (this.#hasWarned) return;
      this.#hasWarned = true;
      this.#parts.log.warn('flows cannot be written', { job: jobId, why: messageOf(error) });
    }
  }
}

function placeOf({ protocol, address, port, name }: Flow): string {
  return `${protocol} ${address || name} ${port}`;
}
