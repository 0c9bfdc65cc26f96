// rnx job list, and rnx list as the first generation printed it.

import type { Connection } from '../client/connection.ts';
import type { JobSummary } from '../client/messages.ts';
import { queryJobs } from '../client/methods.ts';
import { JobletError } from '../shared/errors.ts';
import { isFinal, type JobStatus, jobStatuses } from '../shared/job-state.ts';
import { command, type Values } from './command.ts';
import type { Output } from './output.ts';
import { commandLine, jsonText, localTime, statusWord, table, visible } from './print.ts';
import type { Session } from './session.ts';

const DEADLINE_MS = 10_000;

/** Jobs asked for at once, and shown to people who do not say how many. */
const PAGE_JOBS = 1000;

/** Below this a table with whole ids does not fit. */
const NARROW_COLUMNS = 120;
const SHORT_ID = 8;

/** Columns of the command, where no terminal says how much room there is. */
const COMMAND_COLUMNS = 80;

const flags = {
  status: {
    kind: 'list',
    value: 'STATUS',
    choices: jobStatuses,
    help: 'only jobs in it; several by commas',
  },
  limit: {
    kind: 'integer',
    value: 'N',
    help: `the newest N (${PAGE_JOBS}; all with --json); 0 is all`,
  },
  name: { kind: 'text', value: 'NAME', help: 'only jobs of that name' },
  workflow: { kind: 'switch', help: 'workflows instead of jobs' },
} as const;

type Wanted = Values<typeof flags>;

const shared = {
  summary: 'Lists jobs, the newest first.',
  notes: [
    `Statuses: ${jobStatuses.slice(0, 4).join(', ')},`,
    `${jobStatuses.slice(4).join(', ')}.`,
  ],
  flags,
  words: [0, 0],
} as const;

export const jobList = command({
  ...shared,
  usage: 'rnx job list [flags]',
  examples: [
    'rnx job list',
    'rnx job list --status=RUNNING,SCHEDULED',
    'rnx job list --limit=20 --json',
  ],
  run: async (values, _words, session) => {
    if (values.workflow) return (await import('./workflow-status.ts')).showList(true, session);
    const jobs = await findJobs(values, session);
    await session.out.write(
      session.json ? jsonText(jobs.map(jobJson)) : jobTable(jobs, session.out),
    );
    return 0;
  },
});

/** The first generation's spelling, with the lines that scripts of its time parse. */
export const list = command({
  ...shared,
  usage: 'rnx list [flags]',
  examples: ['rnx list', 'rnx job list      the same as a table'],
  run: async (values, _words, session) => {
    if (values.workflow) return (await import('./workflow-status.ts')).showList(true, session);
    const jobs = await findJobs(values, session);
    await session.out.write(session.json ? jsonText(jobs.map(jobJson)) : jobLines(jobs));
    return 0;
  },
});

async function findJobs(wanted: Wanted, session: Session): Promise<readonly JobSummary[]> {
  const statuses = wanted.status.flatMap((text) => text.split(',')).map(parseStatus);
  const connection = await session.connect();
  // A program counts on what it gets; a person would not read further.
  const limit = wanted.limit ?? (session.json ? 0 : PAGE_JOBS);
  const most = limit === 0 ? Number.POSITIVE_INFINITY : limit;
  const query = { statuses, name: wanted.name };
  const { jobs, more } = await pages(connection, query, most, session.deadlineMs(DEADLINE_MS));
  if (more && wanted.limit === undefined) {
    await session.err.write(
      `These are the newest ${jobs.length}; there are more: --limit=N shows N, --limit=0 all\n`,
    );
  }
  return jobs;
}

function parseStatus(text: string): JobStatus {
  const status = jobStatuses.find((one) => one === text.trim().toUpperCase());
  if (status !== undefined) return status;
  throw new JobletError(
    'invalid',
    `--status: ${JSON.stringify(text)} is not a status; there are ${jobStatuses.join(', ')}`,
  );
}

async function pages(
  connection: Connection,
  query: { readonly statuses: readonly string[]; readonly name: string | undefined },
  most: number,
  deadlineMs: number | undefined,
): Promise<{ readonly jobs: readonly JobSummary[]; readonly more: boolean }> {
  const jobs: JobSummary[] = [];
  let pageToken = '';
  do {
    const limit = Math.min(PAGE_JOBS, most - jobs.length);
    const page = await connection.unary(queryJobs, { ...query, limit, pageToken }, { deadlineMs });
    jobs.push(...page.jobs);
    pageToken = page.nextPageToken;
  } while (pageToken !== '' && jobs.length < most);
  return { jobs, more: pageToken !== '' };
}

/** The table of `rnx job list`. */
export function jobTable(jobs: readonly JobSummary[], out: Output): string {
  if (jobs.length === 0) return 'No jobs found\n';
  const narrow = out.columns !== undefined && out.columns < NARROW_COLUMNS;
  const rows = jobs.map((job) => [
    // A beginning of an id is as good as the whole, and here it saves the line.
    narrow ? visible(job.uuid).slice(0, SHORT_ID) : visible(job.uuid),
    visible(job.name) || '-',
    shortNodeId(visible(job.nodeId)),
    visible(job.status),
    job.status === 'PENDING' ? turn(job) : localTime(job.startTime || job.scheduledTime),
    commandLine(job.command, job.args),
  ]);
  const columns = [
    { title: 'ID', width: narrow ? SHORT_ID : 36 },
    { title: 'NAME', width: 4 },
    { title: 'NODE ID', width: SHORT_ID },
    { title: 'STATUS', width: 12, paint: (status: string) => statusWord(status, out) },
    { title: 'START TIME', width: 19 },
    { title: 'COMMAND', width: 7 },
  ];
  return table(columns, rows, out.columns ?? 0, COMMAND_COLUMNS);
}

/** Where a job stands that waits for its turn. */
function turn({ jobsAhead }: JobSummary): string {
  return jobsAhead === 0 ? 'next' : `${jobsAhead} ahead`;
}

/** A UUID is known by its beginning; any other id is shown whole. */
function shortNodeId(nodeId: string): string {
  if (nodeId === '') return '-';
  return /^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(nodeId) ? nodeId.slice(0, SHORT_ID) : nodeId;
}

/** The lines of `rnx list`. */
export function jobLines(jobs: readonly JobSummary[]): string {
  if (jobs.length === 0) return 'No jobs found\n';
  return jobs
    .map(({ uuid, status, startTime, command, args }) => {
      const line = commandLine(command, args);
      return `${visible(uuid)} ${visible(status)} StartTime: ${visible(startTime)} Command: ${line}\n`;
    })
    .join('');
}

/** A job as programs get it: what has no value is left out, but for what every job has. */
export function jobJson(job: JobSummary): object {
  return {
    id: job.uuid,
    ...given({ name: job.name, node_id: job.nodeId }),
    status: job.status,
    start_time: job.startTime,
    ...given({ end_time: job.endTime }),
    command: job.command,
    ...(job.args.length > 0 ? { args: job.args } : {}),
    ...(job.publish.length > 0 ? { publish: job.publish } : {}),
    ...(job.gpuIndices.length > 0 ? { gpu_indices: job.gpuIndices } : {}),
    ...(isFinal(job.status as JobStatus) ? { exit_code: job.exitCode } : {}),
    ...given({
      max_cpu: job.maxCpu,
      max_memory: job.maxMemory,
      max_iobps: job.maxIoBps,
      cpu_cores: job.cpuCores,
      gpu_count: job.gpuCount,
      scheduled_time: job.scheduledTime,
      created_time: job.createdTime,
      runtime: job.runtime,
      reason: job.reason,
      message: job.message,
      signal: job.signal,
      priority: job.priority,
      waits_for: job.waitsFor,
      jobs_ahead: job.jobsAhead,
    }),
  };
}

/** Only what has a value. */
function given(fields: Readonly<Record<string, string | number>>): object {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== '' && value !== 0),
  );
}
