import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type JobStarted, RunJobResponse } from '../client/messages.ts';
import { decode } from '../client/wire.ts';
import { fakeOutput } from './output-fake.ts';
import { type RunContext, startedJson, startedText } from './run-text.ts';

const context: RunContext = {
  command: 'python3',
  args: ['script.py'],
  scheduleInput: '',
  files: 0,
  variables: 0,
  secrets: 0,
};

function started(given: Partial<JobStarted>): JobStarted {
  return {
    ...decode(RunJobResponse, Buffer.alloc(0)),
    jobUuid: 'f47ac10b',
    status: 'RUNNING',
    startTime: '2026-01-15T10:30:00Z',
    ...given,
  };
}

test('S4-10 a started job is told in lines that scripts parse', () => {
  const job = started({
    maxCpu: 50,
    maxMemory: 512,
    network: 'isolated',
    networkNote: 'loopback only',
  });
  assert.equal(
    startedText(job, context, fakeOutput({})),
    `Job started:
ID: f47ac10b
Command: python3 script.py
Status: RUNNING
StartTime: 2026-01-15T10:30:00Z
MaxCPU: 50
MaxMemory: 512
Network: isolated (loopback only)
`,
  );
});

test('a scheduled job shows what was typed and what it was taken for', () => {
  const job = started({
    status: 'SCHEDULED',
    startTime: '',
    scheduledTime: '2026-01-15T11:30:00Z',
  });
  const text = startedText(job, { ...context, scheduleInput: '1hour' }, fakeOutput({}));
  assert.match(text, /^Job scheduled:\nID: /);
  assert.match(text, /\nSchedule Input: 1hour\nScheduled Time: 2026-01-15T11:30:00Z\n/);
  assert.doesNotMatch(text, /StartTime/);
});

test('a job whose scheduled time has passed already says when it started', () => {
  const text = startedText(
    started({}),
    { ...context, scheduleInput: '2020-01-01 10:00' },
    fakeOutput({}),
  );
  assert.match(text, /\nStartTime: 2026-01-15T10:30:00Z\n/);
  assert.doesNotMatch(text, /Schedule/);
});

test('files and variables are counted', () => {
  const text = startedText(
    started({ name: 'n' }),
    { ...context, files: 3, variables: 2, secrets: 1 },
    fakeOutput({}),
  );
  assert.match(text, /\nName: n\n/);
  assert.match(
    text,
    /\nFiles: 3 uploaded successfully\nEnvironment: 2 variables set\nSecret Environment: 1 variables set\n$/,
  );
});

test('a job that could not be started is not called started', () => {
  const job = started({ status: 'FAILED', reason: 'NOT_STARTED' });
  assert.match(startedText(job, context, fakeOutput({})), /^Job could not be started:\n/);
});

test('for programs it has the keys of the published format', () => {
  assert.deepEqual(startedJson(started({}), context), {
    job_uuid: 'f47ac10b',
    id: 'f47ac10b',
    command: 'python3',
    args: ['script.py'],
    status: 'RUNNING',
    start_time: '2026-01-15T10:30:00Z',
  });
  const scheduled = startedJson(
    started({ status: 'SCHEDULED', startTime: '', scheduledTime: 't' }),
    { ...context, scheduleInput: '1h', files: 1, variables: 2, secrets: 3 },
  );
  assert.deepEqual(scheduled, {
    job_uuid: 'f47ac10b',
    id: 'f47ac10b',
    command: 'python3',
    args: ['script.py'],
    status: 'SCHEDULED',
    schedule_input: '1h',
    scheduled_time: 't',
    files_uploaded: 1,
    env_vars: 2,
    secret_env_vars: 3,
  });
  assert.deepEqual(startedJson(started({ status: 'COMPLETED', reason: 'EXITED' }), context), {
    job_uuid: 'f47ac10b',
    id: 'f47ac10b',
    command: 'python3',
    args: ['script.py'],
    status: 'COMPLETED',
    exit_code: 0,
    start_time: '2026-01-15T10:30:00Z',
    reason: 'EXITED',
  });
});
