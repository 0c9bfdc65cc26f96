// The GPUs of this node: who may have one, what comes with it into a sandbox, and how they do.

import { JobletError, messageOf } from '../../shared/errors.ts';
import { askCards, type CardState } from '../linux/nvidia-smi.ts';
import type { Log } from '../log.ts';
import { describeWish, type GivenGpu, type GpuWish } from './gpu.ts';
import type { GpuPool } from './pool.ts';
import { type Equipment, type GpuPart, gpuPart } from './sandbox.ts';

/** What was found at the start. */
export interface Found {
  readonly isEnabled: boolean;
  readonly pool: GpuPool;
  /** Undefined where jobs can have no GPU. */
  readonly equipment: Equipment | undefined;
  /** Why they cannot; else empty. */
  readonly problem: string;
  /** The program that says how the GPUs do. */
  readonly smi: string | undefined;
  /** What each can do, as `9.0`, by its id. */
  readonly capabilities: ReadonlyMap<string, string>;
}

/** Longer nobody waits for nvidia-smi: a card that hangs must not hold up who looks at it. */
const ASK_MS = 5000;

/** An answer of this age is as good as a new one: one look at many jobs asks once. */
const FRESH_MS = 500;

/** A question to nvidia-smi. */
interface Asked {
  readonly cards: Promise<readonly CardState[]>;
  /** Until when its answer counts; it is not there yet while this is infinite. */
  untilMs: number;
}

export class Gpus {
  readonly #found: Found;
  readonly #log: Pick<Log, 'warn' | 'info'>;
  #asked: Asked | undefined;
  #isSilent = false;

  constructor(found: Found, log: Pick<Log, 'warn' | 'info'>) {
    this.#found = found;
    this.#log = log;
  }

  get pool(): GpuPool {
    return this.#found.pool;
  }

  get isEnabled(): boolean {
    return this.#found.isEnabled;
  }

  /** Why jobs can have none; else empty. */
  get problem(): string {
    return this.#found.problem;
  }

  /**
   * Whether a job can ever have what it asks for.
   * @throws JobletError wrong-state where jobs get no GPUs, exhausted where there are not so many
   */
  check(wish: GpuWish | undefined): void {
    if (wish === undefined) return;
    const { isEnabled, pool, problem } = this.#found;
    const about = 'gpu_count';
    if (!isEnabled) {
      const message =
        'jobs of this node get no GPUs; its operator turns them on (gpu.enabled: true) and restarts the daemon';
      throw new JobletError('wrong-state', message, { about });
    }
    if (problem !== '') {
      throw new JobletError('wrong-state', `jobs of this node can have no GPU: ${problem}`, {
        about,
      });
    }
    if (pool.has(wish)) return;
    const fit = pool.gpus.filter(({ memoryBytes }) => memoryBytes >= wish.memoryBytes).length;
    const such = wish.memoryBytes > 0 && fit < pool.gpus.length ? `, ${fit} of them so big` : '';
    throw new JobletError(
      'exhausted',
      `asks for ${describeWish(wish)}, and this node has ${pool.gpus.length}${such}; rnx gpu list shows them`,
      { about },
    );
  }

  /** What a job's GPUs bring into its sandbox; undefined when it has none. */
  partOf(id: string, seesHost: boolean): GpuPart | undefined {
    const given = this.pool.of(id);
    const { equipment } = this.#found;
    if (given.length === 0 || equipment === undefined) return undefined;
    return gpuPart(
      equipment,
      given.map(({ uuid }) => uuid),
      seesHost,
    );
  }

  /** How the GPUs of a job do; undefined where that cannot be found out now, which is said. */
  async usageOf(given: readonly GivenGpu[]): Promise<readonly GpuReading[] | undefined> {
    const states = await this.states();
    if (states === undefined) return undefined;
    return given.flatMap(({ index, uuid }) => {
      const state = states.find((each) => each.uuid === uuid);
      return state === undefined ? [] : [this.#reading(index, state)];
    });
  }

  /** How all GPUs do, those that no job can have as well. */
  async states(): Promise<readonly CardState[] | undefined> {
    const { smi } = this.#found;
    if (smi === undefined) return undefined;
    try {
      const cards = await this.#ask(smi);
      if (this.#isSilent) this.#log.info('nvidia-smi answers again');
      this.#isSilent = false;
      return cards;
    } catch (error) {
      // Said once, as it would be said with every sample.
      const why = messageOf(error);
      if (!this.#isSilent) this.#log.warn('how the GPUs do is not known', { why });
      this.#isSilent = true;
      return undefined;
    }
  }

  /** All GPUs with how they do, by their numbers. @throws JobletError where that cannot be found out */
  async list(): Promise<readonly GpuReading[]> {
    const { smi, problem } = this.#found;
    if (smi === undefined)
      throw new JobletError('wrong-state', `this node has no GPU to show: ${problem}`);
    return (await this.#ask(smi)).map((state, index) => this.#reading(index, state));
  }

  #reading(index: number, state: CardState): GpuReading {
    const computeCapability = this.#found.capabilities.get(state.uuid) ?? '';
    return { ...state, index, computeCapability };
  }

  #ask(smi: string): Promise<readonly CardState[]> {
    if (this.#asked !== undefined && performance.now() < this.#asked.untilMs) {
      return this.#asked.cards;
    }
    const asked: Asked = { cards: askCards(smi, ASK_MS), untilMs: Number.POSITIVE_INFINITY };
    const answered = () => {
      asked.untilMs = performance.now() + FRESH_MS;
    };
    asked.cards.then(answered, answered);
    this.#asked = asked;
    return asked.cards;
  }
}

/** A GPU at one moment. */
export interface GpuReading extends CardState {
  readonly index: number;
  /** What its generation can do, as `9.0`. */
  readonly computeCapability: string;
}
