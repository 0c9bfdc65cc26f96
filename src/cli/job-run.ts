// rnx job run: a command becomes a job.

import type { Connection } from '../client/connection.ts';
import type { JobRequest, JobStarted } from '../client/messages.ts';
import { runJob } from '../client/methods.ts';
import { JobletError } from '../shared/errors.ts';
import { parseBytes } from '../shared/units.ts';
import { attend } from './attend.ts';
import { command, type Values } from './command.ts';
import { egressFlags, toEgress } from './egress.ts';
import { NO_JOB_EXIT_CODE } from './exit-code.ts';
import { jsonLine, jsonText, visible } from './print.ts';
import { type RunContext, startedJson, startedText } from './run-text.ts';
import { parseSchedule } from './schedule.ts';
import { sendUploads } from './send-uploads.ts';
import type { Session } from './session.ts';
import { collectUploads, type LocalFile } from './uploads.ts';

const DEADLINE_MS = 30_000;
const MB = 2 ** 20;

export const flags = {
  wait: { kind: 'switch', help: 'show its output, end with its exit code' },
  follow: { kind: 'switch', short: 'f', help: 'the same, with its id; Ctrl-C leaves it running' },
  interactive: { kind: 'switch', short: 'i', help: 'pass standard input on; implies --wait' },
  'max-cpu': { kind: 'integer', value: 'PERCENT', help: 'of one core: 50 is half a core, 200 two' },
  'max-memory': { kind: 'integer', value: 'MB', help: 'memory, swap included' },
  'max-iobps': { kind: 'integer', value: 'BYTES', help: 'disk I/O per second' },
  'max-processes': { kind: 'integer', value: 'N', help: 'processes and threads' },
  'cpu-cores': { kind: 'text', value: 'CORES', help: 'cores to run on: 0-3 or 0,2' },
  timeout: { kind: 'ms', value: 'TIME', help: 'end it after 90s, 5m, 1h30m' },
  grace: { kind: 'ms', value: 'TIME', help: 'time between SIGTERM and SIGKILL when it is ended' },
  env: { kind: 'list', short: 'e', value: 'NAME=VALUE', help: 'environment variable' },
  'secret-env': { kind: 'list', short: 's', value: 'NAME=VALUE', help: 'the same, never shown' },
  upload: { kind: 'list', value: 'PATH', help: 'put a file or folder into the work directory' },
  'upload-dir': { kind: 'list', value: 'PATH', help: 'put what is in a folder there' },
  workdir: { kind: 'text', value: 'PATH', help: 'where to start, below /work' },
  'work-size': { kind: 'bytes', value: 'SIZE', help: 'room in the work directory, such as 1GB' },
  'keep-work': { kind: 'ms', value: 'TIME', help: 'keep /work so long when the job has ended' },
  'log-overflow': { kind: 'text', value: 'HOW', help: 'on a full log disk: drop output, or block' },
  name: { kind: 'text', value: 'NAME', help: 'a name for lists' },
  schedule: { kind: 'text', value: 'WHEN', help: '1hour, 30min, "2026-12-24 18:00", RFC 3339' },
  priority: { kind: 'signed', value: 'N', help: 'place among those that wait, -10 to 10' },
  'idempotency-key': { kind: 'text', value: 'KEY', help: 'asked for again, it is the same job' },
  runtime: { kind: 'text', value: 'NAME', help: 'environment to run in, such as python-3.11' },
  network: { kind: 'text', value: 'NAME', help: 'network to attach to' },
  ...egressFlags,
  publish: { kind: 'list', value: '[ADDR:]PORT:PORT', help: 'port of the host that leads into it' },
  volume: { kind: 'list', value: 'NAME[:/PATH][:ro]', help: 'volume to use' },
  bandwidth: {
    kind: 'bandwidth',
    value: 'SPEED',
    help: 'to send, and to receive: 100mbit, 10MB/s',
  },
  gpu: { kind: 'integer', value: 'N', help: 'GPUs, with --gpu-memory=40GB or more each' },
  'gpu-memory': { kind: 'text', value: 'SIZE' },
  'no-init': { kind: 'switch', help: 'the command is process 1 itself' },
  allow: {
    kind: 'list',
    value: 'DOOR',
    choices: ['ptrace', 'userns'],
    help: 'open a door of the sandbox: ptrace, userns',
  },
  raw: { kind: 'switch', help: 'on a terminal too, its output byte for byte' },
  workflow: { kind: 'text', value: 'FILE[:NAME]' },
} as const;

export type RunValues = Values<typeof flags>;

export const jobRun = command({
  usage: 'rnx job run [flags] COMMAND [ARG...]',
  summary: 'Runs a command as an isolated, limited job.',
  notes: [
    'Flags stand before the command. One quoted word with spaces or shell characters',
    'is a shell line. With --wait Ctrl-C ends the job, and Ctrl-C again kills it.',
  ],
  examples: [
    'rnx job run --wait echo "Hello, Joblet!"',
    "rnx job run --max-cpu=50 --upload=data.csv 'sort data.csv | uniq -c'",
  ],
  flags,
  words: [0, Number.POSITIVE_INFINITY],
  rest: true,
  failureCode: (values) => (attended(values) ? NO_JOB_EXIT_CODE : 1),
  run,
});

/** Whether rnx stays with the job until it ends. */
function attended(values: RunValues): boolean {
  return values.wait || values.follow || values.interactive;
}

async function run(values: RunValues, words: readonly string[], session: Session): Promise<number> {
  if (values.workflow !== undefined) return runOfFile(values.workflow, values, words, session);
  return launch(toRequest(values, words, Date.now()), [], values, session);
}

/** Runs a workflow, or one job of its file with what the flags say besides. */
async function runOfFile(
  file: string,
  values: RunValues,
  words: readonly string[],
  session: Session,
): Promise<number> {
  const { fromWorkflow, laidOver } = await import('./job-run-workflow.ts');
  const wishes = { wait: attended(values), uploads: values.upload };
  const found = await fromWorkflow(file, wishes, session);
  if (typeof found === 'number') return found;
  const { command: own = '', args = [] } = found.request;
  const asked = toRequest(values, words.length > 0 ? words : [own, ...args], Date.now());
  return launch(laidOver(found.request, asked), found.files, values, session);
}

async function launch(
  request: JobRequest,
  more: readonly LocalFile[],
  values: RunValues,
  session: Session,
): Promise<number> {
  const files = [...more, ...collectUploads(values.upload, values['upload-dir'])];
  const connection = await session.connect();
  const { out, err, json } = session;
  // Standard output is the job's where somebody stays with it.
  const uploads = await sendUploads(connection, files, attended(values) ? err : out, session);
  const started = await connection.unary(
    runJob,
    { ...request, ...uploads },
    { deadlineMs: session.deadlineMs(DEADLINE_MS) },
  );
  const context: RunContext = {
    command: request.command ?? '',
    args: request.args ?? [],
    scheduleInput: values.schedule ?? '',
    files: files.length,
    variables: Object.keys(request.environment ?? {}).length,
    secrets: Object.keys(request.secretEnvironment ?? {}).length,
  };
  if (attended(values)) return stay(values, connection, started, context, session);
  await out.write(
    json ? jsonText(startedJson(started, context)) : startedText(started, context, out),
  );
  if (started.reason !== 'NOT_STARTED') return 0;
  if (!json) await err.write(`Error: ${visible(started.message)}\n`);
  return 1;
}

async function stay(
  values: RunValues,
  connection: Connection,
  started: JobStarted,
  context: RunContext,
  session: Session,
): Promise<number> {
  const { json } = session;
  return attend(connection, started, session, {
    output: json && !values.follow ? 'none' : 'show',
    interrupt: values.follow ? 'leave' : 'stop',
    input: values.interactive,
    raw: values.raw,
    greet: () => greet(values, started, context, session),
    summary: json ? (ended) => startedJson({ ...started, ...ended }, context) : undefined,
    announce: values.follow,
  });
}

/** Standard output is the job's; what we have to say ourselves goes beside it. */
async function greet(
  { follow }: RunValues,
  started: JobStarted,
  context: RunContext,
  { out, err, json }: Session,
): Promise<void> {
  if (follow && json) await out.write(jsonLine(startedJson(started, context)));
  else if (follow) await err.write(startedText(started, context, err));
  else if (!json && (started.status === 'SCHEDULED' || started.status === 'PENDING')) {
    const what = started.status === 'SCHEDULED' ? 'its time' : `its turn (${started.waitsFor})`;
    await err.write(
      `Job ${visible(`${started.jobUuid} waits for ${what}`)}; Ctrl-C takes it back\n`,
    );
  }
}

/**
 * What the flags ask for, without its files.
 * @throws JobletError invalid, naming the flag
 */
export function toRequest(values: RunValues, words: readonly string[], nowMs: number): JobRequest {
  const [first, ...args] = words;
  if (first === undefined || first === '') {
    throw new JobletError(
      'invalid',
      'must specify a command to run: rnx job run COMMAND [ARG...], or --workflow with a job definition; --help shows what goes before it',
    );
  }
  return {
    command: first,
    args,
    name: values.name,
    maxCpu: values['max-cpu'],
    maxMemory: values['max-memory'],
    maxIoBps: values['max-iobps'],
    maxProcesses: values['max-processes'],
    cpuCores: values['cpu-cores'],
    timeoutMs: BigInt(values.timeout ?? 0),
    graceMs: BigInt(values.grace ?? 0),
    environment: parseVariables('--env', values.env),
    secretEnvironment: parseVariables('--secret-env', values['secret-env']),
    workDir: values.workdir,
    workBytes: BigInt(values['work-size'] ?? 0),
    keepWorkMs: keepWorkMs(values['keep-work']),
    logOverflow: values['log-overflow'],
    schedule: values.schedule === undefined ? undefined : parseSchedule(values.schedule, nowMs),
    priority: values.priority,
    idempotencyKey: values['idempotency-key'],
    runtime: values.runtime,
    network: values.network,
    bandwidthBytesPerSecond: BigInt(values.bandwidth ?? 0),
    egress: toEgress(values),
    publish: values.publish,
    volumes: values.volume,
    noInit: values['no-init'],
    allow: values.allow.flatMap((doors) => doors.split(',')),
    stdin: values.interactive,
    gpuCount: values.gpu,
    gpuMemoryMb: gpuMemoryMb(values['gpu-memory']),
  };
}

function parseVariables(flag: string, texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf('=');
      // The value may be a secret: it is not repeated.
      if (at < 1) throw new JobletError('invalid', `${flag}: write it as NAME=VALUE`);
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

/** 0 asks for the default, so that nothing at all is -1. */
function keepWorkMs(asked: number | undefined): bigint {
  return asked === 0 ? -1n : BigInt(asked ?? 0);
}

/** Plain numbers are MB. */
function gpuMemoryMb(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return /^\d+$/.test(text) ? Number(text) : Math.ceil(parseBytes(text) / MB);
}
