// rnx schedule: jobs and workflows that run again and again.

import type { Connection } from '../client/connection.ts';
import {
  createSchedule,
  deleteSchedule,
  getSchedule,
  listSchedules,
  pauseSchedule,
  resumeSchedule,
} from '../client/methods.ts';
import type { ScheduleRequest, ScheduleView } from '../client/schedule-messages.ts';
import { JobletError } from '../shared/errors.ts';
import { formatDuration } from '../shared/units.ts';
import { command, parseArgv } from './command.ts';
import { type RunValues, flags as runFlags, toRequest } from './job-run.ts';
import type { Output } from './output.ts';
import { jsonText, localTime, table, visible } from './print.ts';
import { sendUploads } from './send-uploads.ts';
import type { Session } from './session.ts';
import { collectUploads } from './uploads.ts';
import { prepare } from './workflow-run.ts';
import { parseParams, readSource } from './workflow-source.ts';

const DEADLINE_MS = 30_000;
const missing = 'which schedule? Say its name (rnx schedule list shows them)';

export const scheduleCreate = command({
  usage: 'rnx schedule create NAME --cron CRON [flags] -- job|workflow ...',
  summary: 'Runs a job or a workflow at every tick of a cron expression.',
  notes: [
    'CRON is "minute hour day month weekday", with seconds in front if there are six.',
    'Behind -- stands what to run: job, with flags and command as of rnx job run, or',
    'workflow with --param and FILE[:NAME]. A job is kept as a workflow of one job.',
  ],
  examples: [
    'rnx schedule create tidy --cron "30 2 * * *" -- job --max-memory=64 ./tidy.sh',
    'rnx schedule create ci --cron "0 9 * * 1" --overlap queue -- workflow ci.yaml',
  ],
  flags: {
    cron: { kind: 'text', value: 'CRON', help: 'when: "30 2 * * 1-5"' },
    tz: {
      kind: 'text',
      value: 'ZONE',
      help: 'its time zone, such as Europe/Berlin; yours if none',
    },
    overlap: {
      kind: 'text',
      value: 'POLICY',
      choices: ['forbid', 'queue', 'replace', 'allow'],
      help: 'a run is not over: forbid, queue, replace, allow',
    },
    'catch-up': {
      kind: 'text',
      value: 'POLICY',
      choices: ['none', 'one', 'all'],
      help: 'missed ticks that run after all: none, one, all',
    },
    jitter: { kind: 'ms', value: 'TIME', help: 'put each start off by up to so long' },
    keep: {
      kind: 'integer',
      value: 'N',
      help: 'runs to keep; older ones are deleted; 100 if none',
    },
  },
  words: [2, Number.POSITIVE_INFINITY],
  missing: 'what is to be run? rnx schedule create NAME --cron CRON -- job COMMAND [ARG...]',
  run: async (values, [name = '', kind = '', ...rest], session) => {
    if (values.cron === undefined) {
      throw new JobletError('invalid', '--cron is missing: say when, such as --cron "30 2 * * *"');
    }
    // As in `rnx job run`.
    const words = rest[0] === 'run' ? rest.slice(1) : rest;
    const connection = await session.connect();
    const request: ScheduleRequest = {
      name,
      cron: values.cron,
      timeZone: values.tz ?? Intl.DateTimeFormat().resolvedOptions().timeZone,
      overlap: values.overlap,
      catchUp: values['catch-up'],
      jitterMs: BigInt(values.jitter ?? 0),
      keep: values.keep ?? 0,
      ...(await toRun(kind, words, connection, session)),
    };
    const deadlineMs = session.deadlineMs(DEADLINE_MS);
    const made = await connection.unary(createSchedule, request, { deadlineMs });
    const { out, json } = session;
    await out.write(json ? jsonText(viewJson(made)) : `Schedule created:\n${viewText(made)}`);
    return 0;
  },
});

/** What stands behind `--`, with its files sent ahead when they are big. */
async function toRun(
  kind: string,
  words: readonly string[],
  connection: Connection,
  session: Session,
): Promise<Pick<ScheduleRequest, 'job' | 'workflow'>> {
  if (kind === 'job') {
    const { values, words: line, problem } = parseArgv(words, runFlags, 'first-word');
    if (problem !== undefined) throw problem;
    const wishes = values as RunValues;
    const files = collectUploads(wishes.upload, wishes['upload-dir']);
    const uploads = await sendUploads(connection, files, session.out, session);
    return { job: { ...toRequest(wishes, line, Date.now()), ...uploads } };
  }
  if (kind === 'workflow') {
    const flags = { param: { kind: 'list', value: 'NAME=VALUE' } } as const;
    const { values, words: files, problem } = parseArgv(words, flags, 'end');
    if (problem !== undefined) throw problem;
    const [file, more] = files;
    if (file === undefined || more !== undefined) {
      throw new JobletError('invalid', 'say one workflow file: -- workflow FILE[:NAME]');
    }
    const params = parseParams(values['param'] as readonly string[]);
    const { request, files: needed } = prepare(readSource(file), params, []);
    const { uploads, uploadId } = await sendUploads(connection, needed, session.out, session);
    return { workflow: { ...request, workflowFiles: uploads, uploadId } };
  }
  throw new JobletError(
    'invalid',
    `${JSON.stringify(kind)} cannot be scheduled; write -- job COMMAND or -- workflow FILE`,
  );
}

export const scheduleList = command({
  usage: 'rnx schedule list',
  summary: 'Lists schedules by their names.',
  examples: ['rnx schedule list'],
  flags: {},
  words: [0, 0],
  run: async (_values, _words, session) => {
    const connection = await session.connect();
    const deadlineMs = session.deadlineMs(DEADLINE_MS);
    const { schedules } = await connection.unary(listSchedules, {}, { deadlineMs });
    const { out, json } = session;
    await out.write(json ? jsonText(schedules.map(viewJson)) : listText(schedules, out));
    return 0;
  },
});

export const scheduleShow = command({
  usage: 'rnx schedule show NAME',
  summary: 'Shows a schedule: its next ticks, and what became of the last ones.',
  examples: ['rnx schedule show tidy'],
  flags: {},
  words: [1, 1],
  missing,
  run: async (_values, [name = ''], session) => {
    const connection = await session.connect();
    const deadlineMs = session.deadlineMs(DEADLINE_MS);
    const found = await connection.unary(getSchedule, { name }, { deadlineMs });
    const { out, json } = session;
    await out.write(json ? jsonText(viewJson(found)) : viewText(found) + historyText(found));
    return 0;
  },
});

function change(method: typeof pauseSchedule, verb: string, summary: string, said: string) {
  return command({
    usage: `rnx schedule ${verb} NAME`,
    summary,
    examples: [`rnx schedule ${verb} tidy`],
    flags: {},
    words: [1, 1],
    missing,
    run: async (_values, [name = ''], session) => {
      const connection = await session.connect();
      const deadlineMs = session.deadlineMs(DEADLINE_MS);
      const changed = await connection.unary(method, { name }, { deadlineMs });
      const { out, json } = session;
      await out.write(json ? jsonText(viewJson(changed)) : `${said}\n${viewText(changed)}`);
      return 0;
    },
  });
}

export const schedulePause = change(
  pauseSchedule,
  'pause',
  'Lets a schedule start nothing more, until it is resumed.',
  'Schedule paused:',
);

export const scheduleResume = change(
  resumeSchedule,
  'resume',
  'Lets a schedule go on with its next tick.',
  'Schedule resumed:',
);

export const scheduleDelete = command({
  usage: 'rnx schedule delete NAME',
  summary: 'Deletes a schedule; what it has started goes on.',
  examples: ['rnx schedule delete tidy'],
  flags: {},
  words: [1, 1],
  missing,
  run: async (_values, [name = ''], session) => {
    const connection = await session.connect();
    const deadlineMs = session.deadlineMs(DEADLINE_MS);
    await connection.unary(deleteSchedule, { name }, { deadlineMs });
    const { out, json } = session;
    await out.write(
      json ? jsonText({ name, success: true }) : `Schedule '${visible(name)}' deleted\n`,
    );
    return 0;
  },
});

function listText(schedules: readonly ScheduleView[], out: Output): string {
  if (schedules.length === 0) return 'No schedules found\n';
  const rows = schedules.map((one) => [
    visible(one.name),
    visible(one.cron),
    visible(one.timeZone),
    one.paused ? 'paused' : localTime(one.nextTimes[0] ?? ''),
    visible(one.what),
  ]);
  const columns = [
    { title: 'NAME', width: 12 },
    { title: 'CRON', width: 12 },
    { title: 'TIME ZONE', width: 9 },
    { title: 'NEXT', width: 19 },
    { title: 'WHAT', width: 4 },
  ];
  return table(columns, rows, out.columns ?? 0, WHAT_COLUMNS);
}

const WHAT_COLUMNS = 60;

function viewText(one: ScheduleView): string {
  const lines = [
    `Name: ${visible(one.name)}`,
    `Runs: ${visible(one.what)}`,
    `Cron: ${visible(one.cron)} (${visible(one.timeZone)})`,
    `Overlap: ${visible(one.overlap)}`,
    `Catch-up: ${visible(one.catchUp)}`,
    ...(one.jitterMs === 0n ? [] : [`Jitter: up to ${formatDuration(Number(one.jitterMs))}`]),
    `Keeps: ${one.keep} runs`,
    `Owner: ${visible(one.owner)}`,
    one.paused ? 'Status: paused' : 'Next ticks (your time):',
    ...one.nextTimes.map((time) => `  ${localTime(time)}`),
  ];
  return `${lines.join('\n')}\n`;
}

function historyText({ history }: ScheduleView): string {
  if (history.length === 0) return '\nNothing was due yet\n';
  const rows = history.map((tick) => [
    localTime(tick.time),
    visible(tick.state),
    visible(tick.workflowStatus) || '-',
    tick.workflowStatus === '' ? '-' : visible(tick.workflowUuid),
    visible(tick.message) || '-',
  ]);
  const columns = [
    { title: 'TICK', width: 19 },
    { title: 'STATE', width: 8 },
    { title: 'RUN', width: 9 },
    { title: 'WORKFLOW', width: 36 },
    { title: 'WHY', width: 4 },
  ];
  return `\n${table(columns, rows, 0, Number.POSITIVE_INFINITY)}`;
}

function viewJson(one: ScheduleView): object {
  return {
    name: one.name,
    what: one.what,
    cron: one.cron,
    time_zone: one.timeZone,
    overlap: one.overlap,
    catch_up: one.catchUp,
    jitter_ms: Number(one.jitterMs),
    keep: one.keep,
    paused: one.paused,
    owner: one.owner,
    created_time: one.createdTime,
    next_times: one.nextTimes,
    ...(one.history.length === 0
      ? {}
      : {
          history: one.history.map((tick) => ({
            time: tick.time,
            state: tick.state,
            workflow_uuid: tick.workflowUuid,
            workflow_status: tick.workflowStatus,
            message: tick.message,
          })),
        }),
  };
}
