// How the host does. Whoever looks has a look before that his rates are counted from: watchers do not
// share one, so that none of them disturbs another's. The reading itself is shared.

import {
  type CpuTicks,
  type HostProcess,
  type HostUsage,
  readHostUsage,
  TICKS_PER_SECOND,
} from '../linux/host-usage.ts';

/** Two looks, and what went on in between. */
export interface HostStep {
  readonly now: HostUsage;
  readonly before: HostUsage;
}

/** Looks that are less than this apart are one. */
const SHARED_MS = 200;

export class HostWatch {
  readonly #read: () => Promise<HostUsage>;
  #latest: Promise<HostUsage> | undefined;
  #latestMs = Number.NEGATIVE_INFINITY;
  #earlier: HostUsage | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(read: () => Promise<HostUsage> = readHostUsage) {
    this.#read = read;
  }

  /** Looks again and again, so that whoever asks but once hears of rates too. */
  start(intervalMs: number): void {
    const look = () =>
      void this.look().then(
        (usage) => {
          this.#earlier = usage;
        },
        // Out of descriptors, say: whoever asks hears of it, and the next look may go well.
        () => {},
      );
    look();
    this.#timer = setInterval(look, intervalMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** How it is now. */
  look(): Promise<HostUsage> {
    const nowMs = performance.now();
    if (this.#latest === undefined || nowMs - this.#latestMs > SHARED_MS) {
      this.#latest = this.#read();
      this.#latestMs = nowMs;
    }
    return this.#latest;
  }

  /** How it is now, with rates since the last look that was made by itself. */
  async once(): Promise<HostStep> {
    const before = this.#earlier;
    const now = await this.look();
    return { now, before: before ?? now };
  }

  /** How it is, every so often, from a first look on until the signal is aborted. */
  async *follow(intervalMs: number, signal: AbortSignal): AsyncGenerator<HostStep> {
    let last: HostStep | undefined;
    for await (const _ of looks(intervalMs, signal)) {
      last = last === undefined ? await this.once() : { now: await this.look(), before: last.now };
      yield last;
    }
  }
}

/** When it is time to look, from now on; what takes longer than the time between two lets some pass. */
export async function* looks(intervalMs: number, signal: AbortSignal): AsyncGenerator<void> {
  yield;
  let nextMs = performance.now() + intervalMs;
  while (await until(nextMs, signal)) {
    nextMs = Math.max(nextMs + intervalMs, performance.now());
    yield;
  }
}

/** False when the signal was aborted before that. */
function until(atMs: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const abort = () => resolve(false);
  const timer = setTimeout(resolve, atMs - performance.now(), true);
  signal.addEventListener('abort', abort, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  });
}

/** Shares of the time in percent. */
export interface CpuShares {
  readonly user: number;
  readonly system: number;
  readonly idle: number;
  readonly ioWait: number;
  readonly steal: number;
  /** All but idle and waiting for disks. */
  readonly busy: number;
}

/** What cores did between two looks; since the boot when these are one. */
export function cpuShares(now: CpuTicks, before: CpuTicks | undefined): CpuShares {
  const since = (key: keyof CpuTicks) => Math.max(0, now[key] - (before?.[key] ?? 0));
  const ticks = {
    user: since('user'),
    system: since('system'),
    idle: since('idle'),
    ioWait: since('ioWait'),
    steal: since('steal'),
  };
  const all = Object.values(ticks).reduce((sum, each) => sum + each, 0);
  if (all === 0) return before === undefined ? noShares : cpuShares(now, undefined);
  const share = (part: number) => (part / all) * 100;
  return {
    user: share(ticks.user),
    system: share(ticks.system),
    idle: share(ticks.idle),
    ioWait: share(ticks.ioWait),
    steal: share(ticks.steal),
    busy: share(ticks.user + ticks.system + ticks.steal),
  };
}

const noShares: CpuShares = { user: 0, system: 0, idle: 100, ioWait: 0, steal: 0, busy: 0 };

/** Seconds between two looks; 0 when they are one. */
export function secondsOf({ now, before }: HostStep): number {
  return (now.atMs - before.atMs) / 1000;
}

/** How fast a counter grew. */
export function rateOf(now: number, before: number | undefined, seconds: number): number {
  return before === undefined || seconds <= 0 ? 0 : Math.max(0, now - before) / seconds;
}

/** The use of one core by each process in percent, by its number. */
export function processShares(step: HostStep): Map<number, number> {
  const seconds = secondsOf(step);
  const earlier = new Map(step.before.processes.map((each) => [each.pid, each]));
  return new Map(
    step.now.processes.map((each) => {
      const same = sameProcess(each, earlier.get(each.pid));
      const used = rateOf(each.ticks, same?.ticks ?? 0, seconds) / TICKS_PER_SECOND;
      return [each.pid, used * 100];
    }),
  );
}

/** Numbers are given again; the time of the start tells processes apart. */
function sameProcess(now: HostProcess, before: HostProcess | undefined): HostProcess | undefined {
  return before?.startedTicks === now.startedTicks ? before : undefined;
}
