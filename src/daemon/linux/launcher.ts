// The daemon's end of joblet-launch: starts it, hands it plans, hears of starts and ends.
// The daemon itself never forks a job: that would cost its main thread a millisecond each.

import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { JobletError, messageOf } from '../../shared/errors.ts';
import type { Log } from '../log.ts';
import { type End, nsToMs, parseEnd } from './end-record.ts';
import { FrameReader, formatFrame, MAX_FRAME_BYTES, parseCount, parsePairs } from './frames.ts';
import type { InterfaceUsage } from './job-usage.ts';

/** A launch plan: options and operands, flat. */
export type LaunchPlan = readonly string[];

export type Launched =
  | {
      readonly ok: true;
      readonly keeperPid: number;
      readonly initPid: number;
      readonly startedAtMs: number;
    }
  | { readonly ok: false; readonly step: string; readonly object: string; readonly errno: string };

export interface LauncherEvents {
  /** The job ended and everything it held is gone. */
  ended(id: string, end: End): void;
  /** Its keeper was killed, and the job with it; its cgroups may be left. */
  gone(id: string): void;
  /** The launcher died, and another is ready: of the first one's keepers, each now speaks for itself. */
  replaced(): void;
  /** A job has given its attached namespace back: it waits again, or is gone. */
  detached(key: string, unused: boolean, traffic: Traffic): void;
}

/** What a job sent and received; zeros where nobody knows. */
export type Traffic = Pick<InterfaceUsage, 'rxBytes' | 'rxPackets' | 'txBytes' | 'txPackets'>;

/** An attached network namespace to be made: addresses as text, each with its prefix and gateway. */
export interface AttachWish {
  /** Up to 31 characters; what a plan names it by. */
  readonly key: string;
  /** The host's end. */
  readonly interface: string;
  readonly address: string;
  readonly prefix: number;
  readonly gateway: string;
  /** Empty where the host has no IPv6. */
  readonly address6: string;
  readonly prefix6: number;
  readonly gateway6: string;
  /** In each direction; 0 is no limit. */
  readonly bytesPerSecond: number;
  /** Devices of the host that what it sends and receives goes through; empty is none. */
  readonly sends: string;
  readonly receives: string;
}

export type Attached =
  | { readonly ok: true }
  | { readonly ok: false; readonly step: string; readonly errno: string };

/** What networks need of a launcher. */
export interface AttachPort {
  attach(wish: AttachWish): Promise<Attached>;
  /** Drops one that no job has. */
  detach(key: string): void;
  /** Lets the host forget the connections that were begun from two addresses, or those that go to them. */
  forgetFlows(ends: 'from' | 'to', address: string, address6: string): void;
}

/** What the daemon needs of a launcher; a test may put another in its place. */
export interface LaunchPort {
  /**
   * Resolves when the command was exec'd, or could not be; with undefined when the keeper or the
   * launcher was killed before it said either. What became of the job is then decided already: it has
   * a keeper that listens, or a log directory, or was never started.
   */
  launch(id: string, plan: LaunchPlan): Promise<Launched | undefined>;
  /** Has a sandbox made for a job like this, where its cgroups stand with its limits. */
  prepare(plan: LaunchPlan): void;
  /** Lets go of what is kept of the roots with this key. */
  forget(rootKey: string): void;
  stop(): Promise<void>;
}

interface Running {
  readonly child: ChildProcess;
  readonly socket: Socket;
  ready: boolean;
}

interface Pending {
  readonly resolve: (launched: Launched | undefined) => void;
  /** Who was given the plan; undefined when there was nobody. */
  readonly by: Running | undefined;
}

const LOST: Attached = { ok: false, step: 'launcher', errno: 'EPIPE' };

/** How often another launcher is tried at once, when the one before died and the next ones do as well. */
const MAX_STARTS = 3;

export interface LauncherPlaces {
  /** Where the launchers of this state take turns. */
  readonly lockFile: string;
  /** A directory that no other daemon may run its jobs in. */
  readonly claimed?: string;
}

/** What a launcher says of such a directory that is another's. */
const EXIT_CLAIMED = 3;

export class Launcher implements LaunchPort, AttachPort {
  readonly #binary: string;
  readonly #places: LauncherPlaces;
  readonly #events: LauncherEvents;
  readonly #log: Log;
  readonly #pending = new Map<string, Pending>();
  readonly #attaching = new Map<string, (attached: Attached) => void>();
  #running: Running | undefined;
  /** Dead ones whose keepers may still speak. */
  readonly #dead: Running[] = [];
  #isReplacing = false;
  #stopping = false;

  constructor(binary: string, places: LauncherPlaces, events: LauncherEvents, log: Log) {
    this.#binary = binary;
    this.#places = places;
    this.#events = events;
    this.#log = log;
  }

  /**
   * Resolves when the launcher has said that it is ready. Whatever an earlier one was starting is
   * decided by then, also when that was a crashed daemon's.
   */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      const { lockFile, claimed } = this.#places;
      const child = spawn(this.#binary, ['launcher', lockFile, ...(claimed ? [claimed] : [])], {
        stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
        // Nothing of the daemon's environment reaches a job, not even by way of the launcher.
        env: {},
      });
      const running = { child, socket: child.stdio[3] as Socket, ready: false };
      const reader = new FrameReader();
      const over = (message: string, cause?: Error) => {
        reject(new JobletError('unavailable', message, { cause }));
        this.#ended(running, message);
      };
      child.once('error', (cause) =>
        over(`${this.#binary} cannot be started; build it with ./dev`, cause),
      );
      child.once('exit', (code, signal) =>
        over(
          code === EXIT_CLAIMED
            ? `another daemon runs its jobs in ${claimed}; give this one a cgroup.baseDir and a joblet.idRangeFirst of its own`
            : `the launcher ended (${signal ?? code})`,
        ),
      );
      running.socket.on('error', (error) =>
        this.#log.warn('launcher socket failed', { error: error.message }),
      );
      running.socket.on('data', (chunk: Buffer) => {
        const frames = reader.push(chunk);
        if (frames === undefined) {
          // It ends with its socket, and another one is started.
          this.#log.error('the launcher cannot be understood');
          running.socket.destroy();
        }
        for (const frame of frames ?? []) {
          if (frame[0] !== 'ready') this.#take(frame);
          else {
            running.ready = true;
            resolve();
          }
        }
      });
      this.#running = running;
    });
  }

  launch(id: string, plan: LaunchPlan): Promise<Launched | undefined> {
    const frame = formatFrame(['launch', ...plan]);
    if (frame.length > MAX_FRAME_BYTES) {
      return Promise.resolve({
        ok: false,
        step: 'plan',
        object: 'arguments and environment',
        errno: 'E2BIG',
      });
    }
    // What could not be started again is tried again with the next job.
    if (this.#running === undefined) void this.#replace();
    return new Promise((resolve) => {
      this.#pending.set(id, { resolve, by: this.#running });
      this.#running?.socket.write(frame);
    });
  }

  prepare(plan: LaunchPlan): void {
    this.#running?.socket.write(formatFrame(['prepare', ...plan]));
  }

  forget(rootKey: string): void {
    // One that is started anew has nothing to forget.
    this.#running?.socket.write(formatFrame(['forget', rootKey]));
  }

  attach(wish: AttachWish): Promise<Attached> {
    const { key, address, prefix, gateway, address6, prefix6, gateway6 } = wish;
    const running = this.#running;
    if (running === undefined) return Promise.resolve(LOST);
    return new Promise((resolve) => {
      this.#attaching.set(key, resolve);
      running.socket.write(
        formatFrame([
          'attach',
          ...[key, wish.interface, address, String(prefix), gateway],
          ...[address6, String(prefix6), gateway6, String(wish.bytesPerSecond)],
          ...[wish.sends, wish.receives],
        ]),
      );
    });
  }

  detach(key: string): void {
    this.#running?.socket.write(formatFrame(['detach', key]));
  }

  forgetFlows(ends: 'from' | 'to', address: string, address6: string): void {
    this.#running?.socket.write(formatFrame(['flows', ends, address, address6]));
  }

  /** Ends the launcher; its jobs live on. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const running = this.#running;
    if (running === undefined) return;
    await new Promise<void>((resolve) => {
      running.child.once('exit', () => resolve());
      running.socket.destroy();
    });
  }

  #take(frame: readonly string[]): void {
    const [verb, id = '', ...rest] = frame;
    switch (verb) {
      case 'started': {
        const [keeperPid, initPid, startedNs = '0'] = rest;
        this.#settle(id, {
          ok: true,
          keeperPid: Number(keeperPid),
          initPid: Number(initPid),
          startedAtMs: nsToMs(startedNs),
        });
        return;
      }
      case 'failed': {
        const [step = '', object = '', errno = ''] = rest;
        this.#settle(id, { ok: false, step, object, errno });
        return;
      }
      case 'ended': {
        const end = parseEnd(parsePairs(rest));
        if (end === undefined) this.#log.error('an end that cannot be read', { jobId: id });
        else this.#events.ended(id, end);
        return;
      }
      case 'attached':
        this.#answer(id, { ok: true });
        return;
      case 'unattached': {
        const [step = '', errno = ''] = rest;
        this.#answer(id, { ok: false, step, errno });
        return;
      }
      case 'detached':
        this.#events.detached(id, rest[0] === 'unused', parseTraffic(parsePairs(rest.slice(1))));
        return;
      case 'filler-gone':
        this.#loseAttaching();
        return;
      case 'gone':
        if (!this.#settle(id, undefined)) this.#events.gone(id);
        return;
      default:
        this.#log.error('the launcher said something unknown', { verb: String(verb) });
    }
  }

  #settle(id: string, launched: Launched | undefined): boolean {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.resolve(launched);
    return pending !== undefined;
  }

  #answer(key: string, attached: Attached): void {
    const resolve = this.#attaching.get(key);
    this.#attaching.delete(key);
    resolve?.(attached);
  }

  /** Nobody will answer for what was to be attached. */
  #loseAttaching(): void {
    for (const key of this.#attaching.keys()) this.#answer(key, LOST);
  }

  #ended(ended: Running, why: string): void {
    if (this.#running !== ended) return;
    this.#running = undefined;
    this.#loseAttaching();
    // One that was never ready has read no plan, and is missed by whoever started it.
    if (this.#stopping || !ended.ready) return;
    this.#log.error('the launcher died; starting another', { why });
    this.#dead.push(ended);
    void this.#replace();
  }

  /** Starts another launcher; once it is ready, whatever the one before had begun is decided. */
  async #replace(): Promise<void> {
    if (this.#isReplacing) return;
    this.#isReplacing = true;
    for (let starts = 1; starts <= MAX_STARTS && !this.#stopping; starts += 1) {
      try {
        await this.start();
        break;
      } catch (error) {
        this.#log.error('the launcher cannot be started', { error: messageOf(error) });
      }
    }
    this.#isReplacing = false;
    if (this.#stopping) return;
    // Until now the keepers of the dead could still speak through their sockets. One that finds it
    // closed says the end in the log, and to whoever connects.
    for (const { socket } of this.#dead.splice(0)) socket.destroy();
    this.#events.replaced();
    for (const [id, { by }] of this.#pending) {
      if (by === undefined || by !== this.#running) this.#settle(id, undefined);
    }
  }
}

function parseTraffic(pairs: ReadonlyMap<string, string>): Traffic {
  const number = (key: string) => parseCount(pairs.get(key) ?? '0') || 0;
  return {
    rxBytes: number('rx-bytes'),
    rxPackets: number('rx-packets'),
    txBytes: number('tx-bytes'),
    txPackets: number('tx-packets'),
  };
}
