// TestRuntime: the tests that come with a runtime, each run as a job in it.

import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { RunJobRequestSchema } from '../../gen/joblet/jobs_pb.ts';
import type {
  RuntimeTestResultSchema,
  TestRuntimeResponseSchema,
} from '../../gen/joblet/runtimes_pb.ts';
import { viewOutcome } from '../../shared/job-state.ts';
import type { RuntimeTest } from '../../shared/runtime-file.ts';
import type { Job } from '../jobs/job.ts';
import { type Logs, wholeLog } from '../jobs/logs.ts';
import { refOf, type UsableRuntime } from '../runtimes/catalogue.ts';
import type { Runtimes } from '../runtimes/runtimes.ts';
import { outputProblem } from '../runtimes/test-output.ts';
import type { Call } from './handlers.ts';
import { type JobParts, type SpecParts, startJob } from './jobs.ts';

export interface RuntimeTestParts extends SpecParts, Pick<JobParts, 'jobs'> {
  readonly runtimes: Pick<Runtimes, 'getUsable' | 'rootFor'>;
  readonly logs: Pick<Logs, 'read'>;
}

type Result = MessageInitShape<typeof RuntimeTestResultSchema> & { readonly exitCode: number };

/** What scripts of the first generation look for. */
const RESOLVED = 'Runtime resolution successful';

const TEST_MS = 5 * 60_000;
const TEST_WORK_BYTES = 256 * 1024 ** 2;
const MB = 1024 ** 2;
/** Output that is looked at, and of which so much is repeated when it is wrong. */
const MAX_OUTPUT_BYTES = 64 * 1024;
const SHOWN_CHARS = 300;

/** Runs the tests of a runtime one after the other. A runtime without tests is only looked up. */
export async function testRuntime(
  parts: RuntimeTestParts,
  name: string,
  call: Call,
): Promise<MessageInitShape<typeof TestRuntimeResponseSchema>> {
  const runtime = parts.runtimes.getUsable(name);
  const results: Result[] = [];
  for (const test of runtime.file.tests) {
    results.push(await runTest(parts, runtime, test, call));
  }
  const failed = results.filter(({ passed }) => passed !== true);
  return {
    success: failed.length === 0,
    output: RESOLVED,
    error: failed.map((result) => `${result.name}: ${result.problem}`).join('\n'),
    exitCode: failed[0]?.exitCode ?? 0,
    tests: results.map(({ exitCode, ...result }) => result),
  };
}

async function runTest(
  parts: RuntimeTestParts,
  runtime: UsableRuntime,
  test: RuntimeTest,
  call: Call,
): Promise<Result> {
  const [command = '', ...args] = test.command;
  const request = create(RunJobRequestSchema, {
    name: 'runtime-test',
    command,
    args,
    runtime: refOf(runtime),
    maxMemory: memoryMb(runtime, parts),
    timeoutMs: BigInt(TEST_MS),
    workBytes: BigInt(TEST_WORK_BYTES),
  });
  const { job: started } = await startJob(parts, request, call);
  const job = await endOf(parts, started, call);
  const problem = await problemOf(parts, job, test, call);
  return {
    name: test.name,
    passed: problem === '',
    problem,
    jobUuid: job.id,
    durationMs: BigInt(Math.max(0, job.endedAtMs - job.createdAtMs)),
    exitCode: (job.outcome && viewOutcome(job.outcome).exitCode) || Number(problem !== ''),
  };
}

/** What a test may use: as much as its runtime recommends, where this node has that. */
function memoryMb({ file }: UsableRuntime, { host, policy }: RuntimeTestParts): number {
  const { minMemoryBytes, recommendedMemoryBytes } = file.requirements;
  const most = Math.min(
    ...[host.memoryBytes, policy.maxMemoryLimitBytes, policy.maxTotalMemoryBytes].filter(Boolean),
  );
  const wanted = Math.max(
    minMemoryBytes,
    Math.min(Math.max(recommendedMemoryBytes, policy.defaultMemoryLimitBytes), most),
  );
  return Math.floor(wanted / MB);
}

/** Nobody waits for a test any more whose caller has gone. */
async function endOf({ jobs }: RuntimeTestParts, { id }: Job, call: Call): Promise<Job> {
  try {
    return await jobs.wait(id, call.signal);
  } catch (error) {
    if (call.signal.aborted) await jobs.stop(id, { force: true }, call.identity).catch(() => {});
    throw error;
  }
}

/** Why a test has failed; empty when it passed. */
async function problemOf(
  { logs }: RuntimeTestParts,
  job: Job,
  { output }: RuntimeTest,
  { signal }: Call,
): Promise<string> {
  const printed = { stdout: '', stderr: '' };
  const query = wholeLog(signal, false);
  let bytes = 0;
  for await (const { stream, data } of logs.read(job, query)) {
    bytes += data.length;
    if (stream !== 'gap') printed[stream] += Buffer.from(data).toString();
    if (bytes > MAX_OUTPUT_BYTES) break;
  }
  const view = job.outcome && viewOutcome(job.outcome);
  if (view?.status !== 'COMPLETED') {
    return `${view?.message ?? 'it has no end'}${said(printed.stderr || printed.stdout)}`;
  }
  const wrong = await outputProblem(output, printed.stdout);
  return wrong === '' ? '' : `${wrong}${said(printed.stdout)}`;
}

function said(text: string): string {
  const shown = text.trim().slice(-SHOWN_CHARS);
  return shown === '' ? '' : `: ${shown}`;
}
