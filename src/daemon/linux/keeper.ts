// A connection to the keeper of one job, over its abstract unix socket: to stop it, to feed it, to move its
// timeout, to hear its bell when there is output. It works the same for jobs started by an earlier daemon.

import { createConnection, type Socket } from 'node:net';
import { JobletError } from '../../shared/errors.ts';
import { type End, nsToMs, parseEnd } from './end-record.ts';
import { FrameReader, formatDataFrame, formatFrame, parsePairs } from './frames.ts';
import type { KeeperAddress } from './keeper-address.ts';

/** Bytes of standard input in one frame: what a pipe takes at once. */
const INPUT_FRAME_BYTES = 64 * 1024;

/** Where in its first frame a keeper says its proof. */
const PROOF_AT = 6;

/** What says nothing of whether somebody listens: too many wait to be let in, or we have too much open. */
const NO_ROOM = ['EAGAIN', 'EMFILE', 'ENFILE', 'ENOBUFS'];

/** A keeper speaks as soon as somebody connects; what is silent for so long is none. */
const HELLO_MS = 30_000;

interface KeeperState {
  readonly phase: 'starting' | 'running' | 'ended';
  readonly keeperPid: number;
  readonly initPid: number;
  readonly startedAtMs: number;
  /** What is left of its timeout; 0 is none. */
  readonly timeoutLeftMs: number;
}

export class KeeperLink {
  /** What the keeper said first. */
  readonly state: KeeperState;
  /** Resolves when the command runs, with its time; with undefined when the keeper goes away before. */
  readonly started: Promise<number | undefined>;
  /** Resolves with the end, or with undefined when the keeper went away without one. */
  readonly ended: Promise<End | undefined>;
  readonly #socket: Socket;
  #onBell: (position: number) => void = () => {};
  #onInput: (taken: boolean) => void = () => {};
  /** Whoever waits for a timeout to be moved, in their order. */
  readonly #onDeadline: ((moved: boolean) => void)[] = [];

  private constructor(socket: Socket, state: KeeperState, reader: FrameReader, early: string[][]) {
    this.#socket = socket;
    // A daemon that is told to stop does not wait for its jobs.
    socket.unref();
    this.state = state;
    const started = Promise.withResolvers<number | undefined>();
    this.started = started.promise;
    const { promise, resolve } = Promise.withResolvers<End | undefined>();
    this.ended = promise;
    const takeState = ({ phase, startedAtMs }: KeeperState) => {
      if (phase !== 'starting') started.resolve(startedAtMs);
    };
    takeState(state);
    const take = (frame: readonly string[]) => {
      const [verb, first = '', ...rest] = frame;
      if (verb === 'state') takeState(parseState(frame));
      else if (verb === 'bell') this.#onBell(Number(first));
      else if (verb === 'stdin-taken') this.#onInput(true);
      else if (verb === 'stdin-gone') this.#onInput(false);
      else if (verb === 'deadline-set') this.#onDeadline.shift()?.(true);
      else if (verb === 'deadline-refused') this.#onDeadline.shift()?.(false);
      else if (verb === 'ended') resolve(parseEnd(parsePairs(rest)));
    };
    early.forEach(take);
    socket.on('data', (chunk: Buffer) => framesOf(chunk, reader, socket).forEach(take));
    socket.on('close', () => {
      started.resolve(undefined);
      resolve(undefined);
      this.#onInput(false);
      for (const moved of this.#onDeadline.splice(0)) moved(false);
    });
  }

  /**
   * Connects, or answers undefined when no keeper listens there (any more). Anybody on the host may
   * knock there: where there is no room just then, it is tried again.
   */
  static async connect(address: KeeperAddress): Promise<KeeperLink | undefined> {
    const untilMs = performance.now() + HELLO_MS;
    for (;;) {
      const link = await KeeperLink.#knock(address);
      if (link !== 'no room') return link;
      if (performance.now() > untilMs) return undefined;
    }
  }

  static #knock({
    socket: name,
    proof,
  }: KeeperAddress): Promise<KeeperLink | 'no room' | undefined> {
    return new Promise((resolve) => {
      // A leading NUL is how the kernel spells an abstract socket.
      const socket = createConnection(`\0${name}`);
      const reader = new FrameReader();
      const silence = setTimeout(() => socket.destroy(), HELLO_MS);
      socket.once('error', ({ code = '' }: NodeJS.ErrnoException) =>
        resolve(NO_ROOM.includes(code) ? 'no room' : undefined),
      );
      socket.once('close', () => {
        clearTimeout(silence);
        resolve(undefined);
      });
      const first = (chunk: Buffer) => {
        const [state, ...early] = framesOf(chunk, reader, socket);
        if (state === undefined) return;
        socket.off('data', first);
        clearTimeout(silence);
        if (state[PROOF_AT] !== proof) {
          socket.destroy();
          return;
        }
        resolve(new KeeperLink(socket, parseState(state), reader, early));
      };
      socket.on('data', first);
    });
  }

  /** SIGTERM now, SIGKILL after the grace; 0 kills at once. */
  stop(graceMs: number): void {
    this.#socket.write(formatFrame(['stop', String(graceMs)]));
  }

  /** Lets the job time out so many milliseconds from now; 0 is never. False when it is ending. */
  moveTimeout(ms: number): Promise<boolean> {
    if (this.#socket.destroyed) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#onDeadline.push(resolve);
      this.#socket.write(formatFrame(['deadline', String(ms)]));
    });
  }

  /** Asks for one call of `bell`, when there is output beyond what the last one named. */
  watch(bell: (position: number) => void): void {
    this.#onBell = bell;
    this.#socket.write(formatFrame(['watch']));
  }

  /** Resolves when the job's standard input has taken the bytes. */
  async input(data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length; at += INPUT_FRAME_BYTES) {
      const taken = new Promise<boolean>((resolve) => {
        this.#onInput = resolve;
      });
      this.#socket.write(formatDataFrame('stdin', data.subarray(at, at + INPUT_FRAME_BYTES)));
      if (!(await taken)) {
        throw new JobletError('wrong-state', 'the job does not read its standard input any more');
      }
    }
  }

  endInput(): void {
    this.#socket.write(formatFrame(['stdin-close']));
  }

  /** Says that the end has been recorded. */
  seen(): void {
    this.#socket.write(formatFrame(['seen']));
  }

  close(): void {
    this.#socket.destroy();
  }
}

/**
 * The frames in what arrived. Whoever sends what is none is let go: anybody on the host may listen
 * where a keeper did.
 */
function framesOf(chunk: Buffer, reader: FrameReader, socket: Socket): string[][] {
  const frames = reader.push(chunk);
  if (frames === undefined) socket.destroy();
  return frames ?? [];
}

function parseState(frame: readonly string[]): KeeperState {
  const [, , phase, keeperPid, initPid, startedNs = '0', , timeoutMs = '0'] = frame;
  return {
    phase: phase === 'running' || phase === 'ended' ? phase : 'starting',
    keeperPid: Number(keeperPid),
    initPid: Number(initPid),
    startedAtMs: nsToMs(startedNs),
    timeoutLeftMs: Number(timeoutMs),
  };
}
