// Finds out at the start which GPUs jobs can have. Where GPUs are off, nothing is looked at.

import { messageOf } from '../../shared/errors.ts';
import type { Config } from '../config.ts';
import {
  type Card,
  findDriverFiles,
  findFolders,
  findSmi,
  isShownBy,
  readCards,
  readDriver,
} from '../linux/nvidia.ts';
import { type CardState, NvidiaSmi } from '../linux/nvidia-smi.ts';
import { XidLog } from '../linux/xid-log.ts';
import type { Log } from '../log.ts';
import { type Gpu, unfitness } from './gpu.ts';
import { type Found, Gpus } from './gpus.ts';
import { GpuPool } from './pool.ts';
import type { Equipment } from './sandbox.ts';

/** A driver that nobody uses has its cards to wake up first; the daemon's start waits for that. */
const FIRST_ASK_MS = 15_000;

export async function openGpus(config: Config, log: Log): Promise<Gpus> {
  const found = await findGpus(config);
  const { problem } = found.pool;
  if (problem !== '') log.warn('jobs can have no GPU', { why: problem });
  return new Gpus(found, log);
}

/** What there is for jobs, and why there is none. */
export async function findGpus(config: Pick<Config, 'gpu' | 'filesystem'>): Promise<Found> {
  const { enabled: isEnabled, strategy } = config.gpu;
  const none: Found = {
    isEnabled,
    pool: new GpuPool([], strategy),
    equipment: undefined,
    smi: undefined,
    numbers: new Map(),
    capabilities: new Map(),
    xids: undefined,
  };
  if (!isEnabled) return none;
  const lacks = (problem: string, smi?: NvidiaSmi): Found => ({
    ...none,
    pool: new GpuPool([], strategy, problem),
    smi,
  });
  const program = findSmi();
  if (program === undefined) return lacks('nvidia-smi is not there; install NVIDIA’s driver');
  const smi = new NvidiaSmi(program);
  let states: readonly CardState[];
  try {
    // This wakes the driver up, too: only then its cards are to be seen below /proc.
    states = await smi.cards(FIRST_ASK_MS);
  } catch (error) {
    return lacks(messageOf(error), smi);
  }
  const driver = readDriver();
  if (driver === undefined) return lacks('the driver nvidia is not loaded');
  const { uvmMajor } = driver;
  if (uvmMajor === undefined) {
    return lacks('the module nvidia-uvm is not loaded; run modprobe nvidia-uvm', smi);
  }
  const files = findDriverFiles(driver.version);
  if (files === undefined) {
    const problem = `there is no libcuda.so.1 of version ${driver.version}, that of the driver which is loaded`;
    return lacks(problem, smi);
  }
  const cards = readCards();
  const gpus = usable(cards, states);
  const equipment: Equipment = {
    driver: { ...driver, uvmMajor },
    files,
    cards,
    cuda: cudaOf(config),
  };
  const problem = gpus.length === 0 ? 'there is no GPU that is given whole' : '';
  return {
    isEnabled,
    pool: new GpuPool(gpus, strategy, problem),
    equipment,
    smi,
    numbers: new Map(states.map(({ uuid }, index) => [uuid, index])),
    capabilities: await smi.capabilities(FIRST_ASK_MS),
    xids: new XidLog(),
  };
}

/** Those that are given to jobs as a whole. */
function usable(cards: readonly Card[], states: readonly CardState[]): Gpu[] {
  return states.flatMap((state, index) => {
    const { uuid, memoryTotal: memoryBytes } = state;
    const card = cards.find((each) => each.uuid === uuid);
    if (card === undefined || unfitness(state) !== '') return [];
    return [{ index, uuid, memoryBytes, group: card.node }];
  });
}

function cudaOf({ gpu, filesystem }: Pick<Config, 'gpu' | 'filesystem'>): Equipment['cuda'] {
  return findFolders(gpu.cudaPaths).map((source) => ({
    source,
    isShown: isShownBy(source, filesystem.allowedMounts),
  }));
}
