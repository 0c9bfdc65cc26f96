// Calls that most system tests make: run a shell line, wait for its end, read what it printed.

import type { Connection } from '../src/client/connection.ts';
import type { JobDetail, JobRequest, LogRequest } from '../src/client/messages.ts';
import { getJobLogs, getJobStatus, runJob, waitJob } from '../src/client/methods.ts';

/** What became of a job, with its whole output. */
export interface Finished {
  readonly job: JobDetail;
  readonly stdout: string;
  readonly stderr: string;
}

/** A request for a shell script. */
export function shell(script: string, more: JobRequest = {}): JobRequest {
  return { command: '/bin/sh', args: ['-c', script], ...more };
}

/** A request for a Python program, for what a shell cannot ask the kernel. */
export function python(program: string, more: JobRequest = {}): JobRequest {
  return { command: '/usr/bin/python3', args: ['-c', program], ...more };
}

/** Starts a job; answers its id. */
export async function start(api: Connection, request: JobRequest): Promise<string> {
  return (await api.unary(runJob, request)).jobUuid;
}

/** Runs a job to its end. */
export async function finish(api: Connection, request: JobRequest): Promise<Finished> {
  return ended(api, await start(api, request));
}

/** Waits for the end of a job. */
export async function ended(api: Connection, uuid: string): Promise<Finished> {
  const job = await api.unary(waitJob, { uuid });
  const [stdout, stderr] = await Promise.all([
    output(api, { uuid, streams: ['stdout'] }),
    output(api, { uuid, streams: ['stderr'] }),
  ]);
  return { job, stdout: stdout.toString(), stderr: stderr.toString() };
}

/** The output of a job: all that comes until it ends. */
export async function output(api: Connection, request: LogRequest): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const chunk of api.serverStream(getJobLogs, request)) pieces.push(chunk.payload);
  return Buffer.concat(pieces);
}

/** What a job is now. */
export function statusOf(api: Connection, uuid: string): Promise<JobDetail> {
  return api.unary(getJobStatus, { uuid });
}

/** Follows a job's output until `text` has come. Fails when the job ends without it. */
export async function printed(api: Connection, uuid: string, text: string): Promise<string> {
  let sofar = '';
  for await (const chunk of api.serverStream(getJobLogs, { uuid })) {
    sofar += Buffer.from(chunk.payload).toString();
    if (sofar.includes(text)) return sofar;
  }
  throw new Error(`the job ended without printing ${JSON.stringify(text)}: ${sofar}`);
}
