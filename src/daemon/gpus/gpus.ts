// The GPUs of this node: who may have one, what comes with it into a sandbox, and how they do.

import { JobletError, messageOf } from '../../shared/errors.ts';
import { haveSameNumbers } from '../linux/nvidia.ts';
import { type CardState, type GpuUsage, type NvidiaSmi, silentCard } from '../linux/nvidia-smi.ts';
import type { XidLog } from '../linux/xid-log.ts';
import type { Log } from '../log.ts';
import { describeWish, type GivenGpu, type GpuWish, unfitness } from './gpu.ts';
import type { GpuPool } from './pool.ts';
import { type Equipment, type GpuPart, gpuPart } from './sandbox.ts';

/** What was found at the start. */
export interface Found {
  readonly isEnabled: boolean;
  readonly pool: GpuPool;
  /** Undefined where jobs can have no GPU. */
  readonly equipment: Equipment | undefined;
  /** The program that says how the GPUs do. */
  readonly smi: Pick<NvidiaSmi, 'cards'> | undefined;
  /** Of each card by its UUID, those too that no job can have: its place in the first answer. */
  readonly numbers: ReadonlyMap<string, number>;
  /** What each can do, as `9.0`, by its id. */
  readonly capabilities: ReadonlyMap<string, string>;
  /** Undefined where there is no card that could have errors. */
  readonly xids: Pick<XidLog, 'countSince' | 'close'> | undefined;
}

/** Longer nobody waits for nvidia-smi: a card that hangs must not hold up who looks at it. */
const ASK_MS = 5000;

/** An answer of this age is as good as a new one: one look at many jobs asks once. */
const FRESH_MS = 500;

/** What is said of a card that has been there. */
const LOST = 'nvidia-smi does not name it any more; the log of the kernel says why (dmesg)';

/** Under its old number a card may be another one, which another job has. */
const RENUMBERED = 'the driver has given its devices new numbers; restart the daemon';

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

  /** Why jobs can have none; else empty. */
  get problem(): string {
    return this.#found.isEnabled ? this.pool.problem : 'gpu.enabled is false';
  }

  /**
   * Whether a job can ever have what it asks for.
   * @throws JobletError wrong-state where jobs get no GPUs, exhausted where there are not so many
   */
  check(wish: GpuWish | undefined): void {
    if (wish === undefined) return;
    const { isEnabled, pool } = this.#found;
    const about = 'gpu_count';
    if (!isEnabled) {
      const message =
        'jobs of this node get no GPUs; its operator turns them on (gpu.enabled: true) and restarts the daemon';
      throw new JobletError('wrong-state', message, { about });
    }
    if (pool.problem !== '') {
      const message = `jobs of this node can have no GPU: ${pool.problem}`;
      throw new JobletError('wrong-state', message, { about });
    }
    if (pool.has(wish)) return;
    const fit = pool.gpus.filter(({ memoryBytes }) => memoryBytes >= wish.memoryBytes).length;
    const such = wish.memoryBytes > 0 && fit < pool.gpus.length ? `, ${fit} of them so big` : '';
    const message = `asks for ${describeWish(wish)}, and this node has ${pool.gpus.length}${such}; rnx gpu list shows them`;
    const problems = [{ field: about, message }];
    throw new JobletError('exhausted', `${about}: ${message}`, { about, problems });
  }

  /** What a job's GPUs bring into its sandbox; undefined when it has none, or one of them is not there. */
  partOf(id: string, seesHost: boolean): GpuPart | undefined {
    const { equipment } = this.#found;
    if (equipment === undefined) return undefined;
    const given = this.pool.of(id);
    const own = equipment.cards.filter(({ uuid }) => given.some((gpu) => gpu.uuid === uuid));
    if (own.length === 0 || own.length !== given.length) return undefined;
    if (!haveSameNumbers(equipment.driver, own)) {
      this.#log.warn('jobs can have no GPU', { why: RENUMBERED });
      this.pool.close(RENUMBERED);
      return undefined;
    }
    return gpuPart(equipment, own, seesHost);
  }

  /**
   * How the GPUs of a job do that was started at a time; undefined where that cannot be found out now,
   * which is said. `pidsOf` answers the job's processes, and is asked once it is known who uses the GPUs.
   */
  async usageOf(
    given: readonly GivenGpu[],
    startedAtMs: number,
    pidsOf: () => readonly string[],
  ): Promise<readonly GpuUsage[] | undefined> {
    const states = await this.#states();
    if (states === undefined) return undefined;
    const pids = new Set(pidsOf().map(Number));
    return given.flatMap(({ index, uuid }) => {
      const state = states.find((each) => each.uuid === uuid);
      return state === undefined ? [] : [this.#usage(index, state, startedAtMs, pids)];
    });
  }

  /**
   * All GPUs with how they do, by their numbers; none where there is nobody to ask.
   * @throws JobletError unavailable: that cannot be found out now
   */
  async list(): Promise<readonly ListedGpu[]> {
    const { smi, pool, numbers } = this.#found;
    if (smi === undefined) return [];
    const states = await this.#ask(smi);
    const later = states.filter(({ uuid }) => !numbers.has(uuid)).map(({ uuid }) => uuid);
    const silent = pool.gpus.filter(({ uuid }) => !states.some((state) => state.uuid === uuid));
    const all = [...states, ...silent.map(({ uuid }) => silentCard(uuid))].map((state) => {
      const { uuid, processes } = state;
      const index = numbers.get(uuid) ?? numbers.size + later.indexOf(uuid);
      const pids = new Set(processes.map(({ pid }) => pid));
      return {
        usage: this.#usage(index, state, 0, pids),
        jobId: pool.holderOf(uuid) ?? '',
        problem: states.includes(state) ? this.#problemOf(state) : LOST,
      };
    });
    return all.toSorted((one, other) => one.usage.index - other.usage.index);
  }

  close(): void {
    this.#found.xids?.close();
  }

  /** Why jobs cannot have a GPU; else empty. */
  #problemOf(state: CardState): string {
    const isKnown = this.pool.gpus.some((gpu) => gpu.uuid === state.uuid);
    const own = isKnown ? '' : 'it was not there when the daemon was started; restart it';
    return unfitness(state) || this.problem || own;
  }

  /** How all cards do. */
  async #states(): Promise<readonly CardState[] | undefined> {
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

  #usage(
    index: number,
    { isSplit: _, processes, ...state }: CardState,
    sinceMs: number,
    pids: ReadonlySet<number>,
  ): GpuUsage {
    const { capabilities, equipment, xids } = this.#found;
    const bus = equipment?.cards.find(({ uuid }) => uuid === state.uuid)?.bus ?? '';
    const own = processes.filter(({ pid }) => pids.has(pid));
    return {
      index,
      ...state,
      computeCapability: capabilities.get(state.uuid) ?? '',
      xidErrors: xids?.countSince(bus, sinceMs) ?? 0,
      processesCount: own.length,
      processesMemory: own.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0),
    };
  }

  #ask(smi: Pick<NvidiaSmi, 'cards'>): Promise<readonly CardState[]> {
    if (this.#asked !== undefined && performance.now() < this.#asked.untilMs) {
      return this.#asked.cards;
    }
    const asked: Asked = { cards: smi.cards(ASK_MS), untilMs: Number.POSITIVE_INFINITY };
    const answered = (cards?: readonly CardState[]) => {
      asked.untilMs = performance.now() + FRESH_MS;
      if (cards !== undefined) this.pool.see(cards.map(({ uuid }) => uuid));
    };
    asked.cards.then(answered, () => answered());
    this.#asked = asked;
    return asked.cards;
  }
}

/** A GPU of the node, with who has it. */
export interface ListedGpu {
  /** Errors and processes are all that are known. */
  readonly usage: GpuUsage;
  /** The job that has it; empty is none. */
  readonly jobId: string;
  /** Why no job can have it; else empty. */
  readonly problem: string;
}
