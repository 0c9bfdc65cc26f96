// Runs the tests of a tree that is not installed yet, each as a job that sees it as jobs will.

import { statSync } from 'node:fs';
import type { RuntimeFile } from '../../shared/runtime-file.ts';
import type { Identity } from '../jobs/job.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { type Logs, wholeLog } from '../jobs/logs.ts';
import type { UsableRuntime } from '../runtimes/catalogue.ts';
import { rootOf } from '../runtimes/root.ts';
import { outputProblem } from '../runtimes/test-output.ts';
import { jobSpecOf } from './job-spec.ts';

/** Output of a test that is compared, and what of it is shown. */
const MAX_OUTPUT_BYTES = 1024 ** 2;
const SHOWN_CHARS = 400;
const TEST_MS = 10 * 60_000;

export interface TreeTestParts {
  readonly config: { readonly memoryBytes: number; readonly processes: number };
  readonly jobs: Pick<Jobs, 'run' | 'wait' | 'stop'>;
  readonly logs: Pick<Logs, 'read'>;
}

export interface TestResult {
  readonly name: string;
  /** Empty when it passed. */
  readonly problem: string;
}

export async function* testTree(
  { config, jobs, logs }: TreeTestParts,
  directory: string,
  file: RuntimeFile,
  who: Identity,
  signal: AbortSignal,
): AsyncGenerator<TestResult> {
  const { dev, ino } = statSync(directory, { bigint: true });
  const { name, version, aliases } = file;
  const runtime: UsableRuntime = {
    name,
    version,
    aliases,
    directory,
    file,
    id: `${dev}:${ino}`,
    isCurrent: false,
    link: '',
    problem: '',
    warnings: [],
  };
  // Nobody holds the tree by its place: it is moved when it is installed.
  const root = { ...rootOf(runtime).root, tree: '' };
  for (const each of file.tests) {
    const { memoryBytes, processes } = config;
    const spec = {
      ...jobSpecOf(`test-${name}`, each.command),
      limits: { cpuPercent: 0, memoryBytes, ioBps: 0, cpuCores: '', processes, workBytes: 0 },
      timeoutMs: TEST_MS,
      build: { root, mounts: [], writable: [], installs: false },
    };
    const { id } = await jobs.run(spec, who);
    try {
      const output = await outputOf(logs, id, signal);
      const { outcome, status } = await jobs.wait(id, signal);
      yield { name: each.name, problem: await problemOf(status, outcome, output, each.output) };
    } finally {
      await jobs.stop(id, { force: true }, who).catch(() => {
        // It has ended.
      });
    }
  }
}

async function outputOf(
  logs: Pick<Logs, 'read'>,
  id: string,
  signal: AbortSignal,
): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  const query = wholeLog(signal, true);
  for await (const { data } of logs.read({ id }, query)) {
    bytes += data.length;
    if (bytes <= MAX_OUTPUT_BYTES) parts.push(data);
  }
  signal.throwIfAborted();
  return Buffer.concat(parts).toString();
}

async function problemOf(
  status: string,
  outcome: { readonly how: string } | undefined,
  output: string,
  pattern: string,
): Promise<string> {
  const said = output.trim().slice(-SHOWN_CHARS);
  if (status !== 'COMPLETED') return `it ended as ${outcome?.how ?? status}: ${said}`;
  const wrong = await outputProblem(pattern, output);
  return wrong === '' ? '' : `${wrong}: ${said}`;
}
