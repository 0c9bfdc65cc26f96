// Work directories of jobs that have ended, kept as images until their time is over or there are too
// many of them. What is kept can be told from the images and the rows of their jobs alone, so that any
// daemon finds it.

import { messageOf } from '../../shared/errors.ts';
import {
  bytesOfWorkImage,
  leaveWorkImage,
  listWorkImages,
  mountWorkImage,
  removeWorkImage,
  unmountLeft,
} from '../linux/work-image.ts';
import type { Log } from '../log.ts';
import { type Clock, Due } from './due.ts';
import type { Job } from './job.ts';

/** One that is being looked at. */
interface Mounted {
  readonly directory: Promise<string>;
  uses: number;
}

export class KeptWork {
  readonly #directory: string;
  readonly #maxBytes: number;
  readonly #log: Log;
  /** When each goes, the earliest first or not. */
  readonly #untilMs = new Map<string, number>();
  readonly #due: Due;
  readonly #mounted = new Map<string, Mounted>();
  /** Those that are being unmounted. */
  readonly #leaving = new Map<string, Promise<void>>();

  /** `directory` is that of the work images; `maxBytes` is what all that are kept may take of its disk. */
  constructor(directory: string, maxBytes: number, clock: Clock, log: Log) {
    this.#directory = directory;
    this.#maxBytes = maxBytes;
    this.#log = log;
    this.#due = new Due(clock, (id) => void this.remove(id));
  }

  /** Takes over what earlier daemons kept; `find` answers the job of an image, or undefined. */
  async recover(find: (id: string) => Job | undefined): Promise<void> {
    for (const id of await listWorkImages(this.#directory)) {
      const job = find(id);
      if (job === undefined) await this.remove(id);
      else if (job.endedAtMs > 0) {
        await unmountLeft(this.#directory, id);
        this.#note(job);
      }
    }
    await this.#makeRoom();
  }

  /** Keeps the work directory of a job that has ended, as long as it says. */
  async keep(job: Job): Promise<void> {
    await leaveWorkImage(this.#directory, job.id);
    this.#note(job);
    await this.#makeRoom();
  }

  has(id: string): boolean {
    return this.#untilMs.has(id);
  }

  /** Until when it is kept; 0 is not at all. */
  untilMs(id: string): number {
    return this.#untilMs.get(id) ?? 0;
  }

  /** Has it mounted while `use` runs, which gets its directory. */
  async *open<T>(id: string, use: (directory: string) => AsyncGenerator<T>): AsyncGenerator<T> {
    const mounted = this.#mounted.get(id) ?? { directory: this.#mount(id), uses: 0 };
    this.#mounted.set(id, mounted);
    mounted.uses += 1;
    try {
      yield* use(await mounted.directory);
    } finally {
      mounted.uses -= 1;
      if (mounted.uses === 0) {
        this.#mounted.delete(id);
        const leaving = leaveWorkImage(this.#directory, id).finally(() => this.#leaving.delete(id));
        this.#leaving.set(id, leaving);
        await leaving;
      }
    }
  }

  /** Removes what is kept of a job; does no harm when nothing is. */
  async remove(id: string): Promise<void> {
    this.#untilMs.delete(id);
    this.#due.remove(id);
    await removeWorkImage(this.#directory, id).catch((error: unknown) =>
      this.#log.warn('a kept work directory cannot be removed', {
        jobId: id,
        why: messageOf(error),
      }),
    );
  }

  stop(): void {
    this.#due.stop();
  }

  async #mount(id: string): Promise<string> {
    await this.#leaving.get(id);
    return mountWorkImage(this.#directory, id);
  }

  #note({ id, spec, endedAtMs }: Job): void {
    const untilMs = endedAtMs + spec.keepWorkMs;
    this.#untilMs.set(id, untilMs);
    this.#due.add(id, untilMs);
  }

  /** Those that would go first go when all of them take too much of the disk. */
  async #makeRoom(): Promise<void> {
    const sizes = await Promise.all(
      [...this.#untilMs.keys()].map((id) => bytesOfWorkImage(this.#directory, id)),
    );
    let bytes = sizes.reduce((sum, size) => sum + size, 0);
    const sooner = [...this.#untilMs].toSorted((a, b) => a[1] - b[1]).map(([id]) => id);
    for (const id of sooner) {
      if (bytes <= this.#maxBytes) return;
      bytes -= await bytesOfWorkImage(this.#directory, id);
      this.#log.info('a kept work directory goes early: all of them take too much room', {
        jobId: id,
      });
      await this.remove(id);
    }
  }
}
