// What it takes a node to say that a workflow of ten thousand jobs is well, and how long others wait
// meanwhile.

import { readFileSync } from 'node:fs';
import { getServerVersion, runWorkflow } from '../../src/client/methods.ts';
import { startDaemon } from '../../test/harness.ts';
import { spreadOf } from '../spread.ts';
import type { Trial } from '../trial.ts';

const JOBS = 10_000;
const TIMES = 5;
/** Of the times of /proc, in milliseconds. */
const TICK_MS = 10;

const WALL = `${JOBS} jobs validated: request to answer`;
const CPU = 'the same: processor time of the daemon, all threads';
const OTHER = 'another call meanwhile: request to answer';

export const trial: Trial = {
  title: `a workflow of ${JOBS} jobs is validated`,
  async body() {
    const daemon = await startDaemon({ logging: { level: 'WARN' } });
    const walls: number[] = [];
    const cpus: number[] = [];
    const others: number[] = [];
    try {
      const api = daemon.as('admin');
      const other = daemon.as('viewer');
      const request = { workflow: 'bench', yamlContent: chain(), validateOnly: true };
      for (let time = 0; time < TIMES; time += 1) {
        const before = cpuMs(daemon.pid);
        let isOver = false;
        const checked = msOf(() => api.unary(runWorkflow, request)).finally(() => {
          isOver = true;
        });
        while (!isOver) others.push(await msOf(() => other.unary(getServerVersion, {})));
        walls.push(await checked);
        cpus.push(cpuMs(daemon.pid) - before);
      }
    } finally {
      await daemon.stop();
    }
    const row = (name: string, values: readonly number[]) => ({
      name,
      unit: 'ms',
      spread: spreadOf(values),
    });
    const rows = [row(WALL, walls), row(CPU, cpus), row(OTHER, others)];
    const longest = Math.max(...walls);
    return {
      rows,
      ratios: [
        { name: 'the longest of them, seconds', value: longest / 1000, promise: 'less than 2' },
      ],
      notes: [
        'the other calls are made one behind the other; what they take of the processor is in the second row',
      ],
    };
  },
};

async function msOf(call: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await call();
  return performance.now() - start;
}

/** Processor time of a process so far. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** Each job waits for the one before it, and has what jobs usually have. */
function chain(): string {
  const jobs = Array.from({ length: JOBS }, (_, at) => {
    const requires = at === 0 ? '' : `\n    requires:\n      - job-${at - 1}: COMPLETED`;
    return `  job-${at}:
    command: echo
    args: ["hello ${at}", "\${STAGE}"]
    resources: {max_memory: 64}${requires}`;
  });
  return `name: big\nenvironment:\n  STAGE: demo\njobs:\n${jobs.join('\n')}\n`;
}
