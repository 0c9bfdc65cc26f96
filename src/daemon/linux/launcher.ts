// The daemon's end of joblet-launch: starts it, hands it plans, hears of starts and ends.
// The daemon itself never forks a job: that would cost its main thread a millisecond each.

import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { JobletError } from '../../shared/errors.ts';
import type { Log } from '../log.ts';
import { type End, nsToMs, parseEnd } from './end-record.ts';
import { FrameReader, formatFrame, MAX_FRAME_BYTES, parsePairs } from './frames.ts';

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
  /** The launcher died: of the keepers it had forked, nobody says any more that one was killed. */
  died(): void;
}

/** What the daemon needs of a launcher; a test may put another in its place. */
export interface LaunchPort {
  launch(id: string, plan: LaunchPlan): Promise<Launched>;
  stop(): Promise<void>;
}

interface Running {
  readonly child: ChildProcess;
  readonly socket: Socket;
}

export class Launcher implements LaunchPort {
  readonly #binary: string;
  readonly #events: LauncherEvents;
  readonly #log: Log;
  readonly #pending = new Map<string, (launched: Launched) => void>();
  #running: Running | undefined;
  #stopping = false;

  constructor(binary: string, events: LauncherEvents, log: Log) {
    this.#binary = binary;
    this.#events = events;
    this.#log = log;
  }

  /** Resolves when the launcher has said that it is ready. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      const child = spawn(this.#binary, ['launcher'], {
        stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
        // Nothing of the daemon's environment reaches a job, not even by way of the launcher.
        env: {},
      });
      const socket = child.stdio[3] as Socket;
      const reader = new FrameReader();
      child.once('error', (cause) =>
        reject(
          new JobletError('unavailable', `${this.#binary} cannot be started; build it with ./dev`, {
            cause,
          }),
        ),
      );
      child.once('exit', (code, signal) => {
        reject(new JobletError('unavailable', `the launcher ended at once (${signal ?? code})`));
        this.#died(child, signal ?? String(code));
      });
      socket.on('error', (error) =>
        this.#log.warn('launcher socket failed', { error: error.message }),
      );
      socket.on('data', (chunk: Buffer) => {
        for (const frame of reader.push(chunk)) {
          if (frame[0] === 'ready') resolve();
          else this.#take(frame);
        }
      });
      this.#running = { child, socket };
    });
  }

  /** Hands over a plan; resolves when the command was exec'd, or could not be. */
  launch(id: string, plan: LaunchPlan): Promise<Launched> {
    const frame = formatFrame(['launch', ...plan]);
    if (frame.length > MAX_FRAME_BYTES) {
      return Promise.resolve({
        ok: false,
        step: 'plan',
        object: 'arguments and environment',
        errno: 'E2BIG',
      });
    }
    const running = this.#running;
    if (running === undefined) {
      return Promise.resolve({
        ok: false,
        step: 'launcher',
        object: 'joblet-launch',
        errno: 'EPIPE',
      });
    }
    return new Promise((resolve) => {
      this.#pending.set(id, resolve);
      running.socket.write(frame);
    });
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
        if (end === undefined) this.#log.error('an end that cannot be read', { job: id });
        else this.#events.ended(id, end);
        return;
      }
      case 'gone':
        if (!this.#settle(id, keeperDied)) this.#events.gone(id);
        return;
      default:
        this.#log.error('the launcher said something unknown', { verb: String(verb) });
    }
  }

  #settle(id: string, launched: Launched): boolean {
    const resolve = this.#pending.get(id);
    this.#pending.delete(id);
    resolve?.(launched);
    return resolve !== undefined;
  }

  #died(child: ChildProcess, how: string): void {
    if (this.#running?.child !== child) return;
    this.#running = undefined;
    if (this.#stopping) return;
    this.#log.error('the launcher died; starting another', { how });
    this.#events.died();
    // Keepers that it had forked still speak through the old socket, so what they say still counts;
    // a plan that no keeper took is answered here.
    const unanswered = [...this.#pending.keys()];
    this.start().then(
      () => {
        for (const id of unanswered) this.#settle(id, keeperDied);
      },
      (error: unknown) => {
        this.#log.error('the launcher cannot be started again', { error: String(error) });
        for (const id of unanswered) this.#settle(id, keeperDied);
      },
    );
  }
}

const keeperDied: Launched = { ok: false, step: 'keeper', object: 'joblet-launch', errno: 'EPIPE' };
