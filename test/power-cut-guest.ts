// What runs in the guest of power-cut.test.ts, on a disk that outlives it.
//
//   load           keeps a daemon busy until the power fails; a line for each thing acknowledged
//   check LINES    starts a daemon on what is left, and holds it against those lines

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Connection } from '../src/client/connection.ts';
import type { JobRequest } from '../src/client/messages.ts';
import { createVolume, getJobLogs, inspectVolume, runJob, waitJob } from '../src/client/methods.ts';
import { startDaemon } from './harness.ts';
import { finish, shell, start, statusOf } from './job-calls.ts';
import type { Line } from './power-cut.test.ts';

const DIRECTORY = '/data/joblet';
/** Some of the jobs that never end take them for good, so that others wait. */
const PLACES = 7;
const EVERY_MS = 300;
const LONG_JOBS = 4;
const LINES = 3000;
const VOLUME = 'lines';
const VOLUMES = [VOLUME];

const kinds = {
  quick: 'exit 3',
  loud: `seq ${LINES}`,
  long: 'sleep 100000',
  later: 'exit 0',
} as const;
type Kind = keyof typeof kinds;

const NUMBERS = Array.from({ length: LINES }, (_, at) => `${at + 1}\n`).join('');
const outputOf = (kind: Kind, name: string) => `${name}\n${kind === 'loud' ? NUMBERS : ''}`;

function say(line: Line): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function kindOf(number: number): Kind {
  if (number % 4 === 0 && number <= LONG_JOBS * 4) return 'long';
  if (number % 4 === 1) return 'loud';
  return number % 8 === 2 ? 'later' : 'quick';
}

async function load(): Promise<void> {
  mkdirSync(DIRECTORY);
  const daemon = await startDaemon({ joblet: { maxConcurrentJobs: PLACES } }, DIRECTORY);
  const api = daemon.as('admin');
  const following = sayWhatIsSafe(api, await startWriter(api));
  let number = 0;
  const one = async () => {
    number += 1;
    const kind = kindOf(number);
    const name = `${kind}-${number}`;
    const inAnHour = new Date(Date.now() + 3_600_000).toISOString();
    const more: JobRequest = kind === 'later' ? { name, schedule: inAnHour } : { name };
    const { jobUuid, status } = await api.unary(
      runJob,
      shell(`echo ${name}; ${kinds[kind]}`, more),
    );
    say({ what: 'started', uuid: jobUuid, name, status, exitCode: 0 });
    if (kind !== 'quick' && kind !== 'loud') return;
    const job = await api.unary(waitJob, { uuid: jobUuid });
    say({ what: 'ended', uuid: jobUuid, name, status: job.status, exitCode: job.exitCode });
  };
  setInterval(() => void one(), EVERY_MS);
  await following;
}

/** Starts a job that writes line after line into a volume, and prints each when it is safe. */
async function startWriter(api: Connection): Promise<string> {
  await api.unary(createVolume, { name: VOLUME, size: '16MB' });
  const script = `cd /volumes/${VOLUME}; while :; do n=$((n+1)); echo $n >>file; sync file; echo $n; done`;
  return start(api, shell(script, { volumes: VOLUMES }));
}

/** Says how many lines are safe. */
async function sayWhatIsSafe(api: Connection, uuid: string): Promise<void> {
  for await (const { payload } of api.serverStream(getJobLogs, { uuid })) {
    const last = Buffer.from(payload).toString().trimEnd().split('\n').at(-1);
    say({ what: 'safe', uuid, name: VOLUME, status: '', exitCode: Number(last) });
  }
}

/** Every line that was safe is there, in its place. Answers how many there were. */
async function checkVolume(api: Connection, lines: readonly Line[]): Promise<number> {
  const safe = lines.findLast(({ what }) => what === 'safe')?.exitCode ?? 0;
  assert.equal((await api.unary(inspectVolume, { name: VOLUME })).problem, '');
  const read = await finish(
    api,
    shell(`head -n ${safe} /volumes/${VOLUME}/file`, { volumes: VOLUMES }),
  );
  const wanted = Array.from({ length: safe }, (_, at) => `${at + 1}\n`).join('');
  assert.equal(read.stdout, wanted);
  return safe;
}

async function check(lines: readonly Line[]): Promise<void> {
  const daemon = await startDaemon({ joblet: { maxConcurrentJobs: PLACES } }, DIRECTORY);
  const api = daemon.as('admin');
  const ended = new Map(
    lines.filter(({ what }) => what === 'ended').map((line) => [line.uuid, line] as const),
  );
  const counts: Record<string, number> = {};
  let lostBytes = 0;
  for (const line of lines.filter(({ what }) => what === 'started')) {
    const { uuid, name } = line;
    const kind = name.slice(0, name.indexOf('-')) as Kind;
    const job = await statusOf(api, uuid);
    const say = `${name}, ${line.status} before, is ${job.status} ${job.reason}`;
    const end = ended.get(uuid);
    const change = `${end?.status ?? line.status} -> ${job.status} ${job.reason}`;
    counts[change] = (counts[change] ?? 0) + 1;
    if (end !== undefined) {
      assert.deepEqual([job.status, job.exitCode], [end.status, end.exitCode], say);
      lostBytes += await checkLog(api, uuid, outputOf(kind, name), true);
    } else if (line.status === 'RUNNING') {
      const mayHaveEnded = kind !== 'long' && job.reason === 'EXITED';
      assert.ok(job.reason === 'NODE_RESTART' || mayHaveEnded, say);
      await checkLog(api, uuid, outputOf(kind, name), false);
    } else if (line.status === 'SCHEDULED') assert.equal(job.status, 'SCHEDULED', say);
  }
  const safeLines = await checkVolume(api, lines);
  await daemon.end();
  const db = new DatabaseSync(path.join(DIRECTORY, 'state/joblet.db'));
  assert.equal(db.prepare('PRAGMA integrity_check').get()?.['integrity_check'], 'ok');
  db.close();
  process.stdout.write(`${JSON.stringify({ counts, lostBytes, safeLines })}\n`);
}

/** The beginning of what was written, with all that is missing told. Answers how much that is. */
async function checkLog(
  api: Connection,
  uuid: string,
  wanted: string,
  isWhole: boolean,
): Promise<number> {
  let text = '';
  let missing = 0;
  for await (const chunk of api.serverStream(getJobLogs, { uuid })) {
    text += Buffer.from(chunk.payload).toString();
    if (chunk.gapReason === 'lost') missing += Number(chunk.droppedBytes);
  }
  assert.ok(wanted.startsWith(text), `job ${uuid} printed ${JSON.stringify(text.slice(0, 200))}`);
  if (isWhole) assert.equal(text.length + missing, wanted.length);
  return missing;
}

const [, , command, lines = '[]'] = process.argv;
if (command === 'load') await load();
else {
  await check(JSON.parse(lines) as Line[]);
  process.exit(0);
}
