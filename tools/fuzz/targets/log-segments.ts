// A job's log on disk, as a crash or a broken disk may have left it: whatever stands in its segments,
// it is read to an end, and a reader that resumes somewhere gets what a reader of the whole gets there.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Bells } from '../../../src/daemon/jobs/bells.ts';
import { type LogEntry, Logs } from '../../../src/daemon/jobs/logs.ts';
import { eachEntry, joinEntries } from '../../../src/daemon/rpc/log-chunks.ts';
import { formatHeader, type StreamName } from '../../../src/shared/log-record.ts';
import { collect, streamOf, target } from '../target.ts';

const ID = 'job';
const directory = mkdtempSync(path.join(tmpdir(), 'joblet-fuzz-logs-'));
const logDirectory = path.join(directory, ID);
mkdirSync(logDirectory);
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));

const nobody = new Bells(() => ({ socket: 'joblet/nobody', proof: '' }));
const logs = new Logs(directory, nobody, {
  isOver: () => true,
  keptBytes: () => 12,
  droppedBytes: () => 5,
  removalOf: () => undefined,
});

function record(stream: StreamName, position: number, payload: string): Buffer {
  const body = Buffer.from(payload);
  return Buffer.concat([
    formatHeader({ stream, timeNs: 1_000n, position, length: body.length }),
    body,
  ]);
}

const end =
  'how=exited\0code=3\0oom-kills=0\0memory-peak=4096\0cpu-usec=12\0started-ns=1000000\0ended-ns=2000000\0log-bytes=9\0dropped-bytes=0\0';

const seeds = [
  [record('stdout', 0, 'one\n'), record('stderr', 4, 'two\nx'), record('end', 9, end)],
  [record('stdout', 0, 'a\nb\nc'), record('gap', 5, 'bytes=100\0reason=quota\0')],
  [record('gap', 0, 'bytes=x\0'), record('end', 0, 'how=not-started\0step=exec\0code=1e9\0')],
].map((parts) => Buffer.concat([Buffer.from([0]), ...parts]));

/** Two segments of one input: the second begins at the first record behind a byte of it. */
function writeSegments(input: Buffer): void {
  for (const name of readdirSync(logDirectory)) rmSync(path.join(logDirectory, name));
  const cut = Math.min((input[0] ?? 0) * 16, input.length - 1);
  const bytes = input.subarray(1);
  const write = (position: number, part: Buffer) =>
    writeFileSync(path.join(logDirectory, `${String(position).padStart(20, '0')}.log`), part);
  write(0, bytes.subarray(0, cut === 0 ? bytes.length : cut));
  if (cut > 0) write(cut, bytes.subarray(cut));
}

async function entries(position: number, tailLines: number): Promise<LogEntry[]> {
  const bounds = { sinceNs: 0n, untilNs: 0n };
  const query = { position, tailLines, ...bounds, follow: false, streams: new Set<StreamName>() };
  const { signal } = new AbortController();
  return collect(logs.read({ id: ID }, { ...query, signal }));
}

export default target({
  seeds,
  words: ['JL', 'bytes=', 'reason=', 'how=exited\0', 'code=', 'log-bytes=', 'started-ns=', '\n'],
  async run(input) {
    if (input.length === 0) return;
    writeSegments(input);
    const whole = await entries(0, 0);
    const kept = whole.reduce((sum, { data }) => sum + data.length, 0);
    assert.ok(kept <= input.length);
    for (const { position, droppedBytes } of whole) {
      assert.ok(Number.isSafeInteger(position) && position >= 0);
      assert.ok(Number.isSafeInteger(droppedBytes) && droppedBytes >= 0);
    }
    const at = whole.at(-1)?.position ?? 0;
    for (const entry of await entries(at, 0)) assert.ok(entry.position >= at);
    assert.ok((await entries(0, 2)).length <= whole.length);
    for (const chunks of [eachEntry, joinEntries]) {
      let bytes = 0;
      for await (const { payload } of chunks(streamOf(whole))) bytes += payload?.length ?? 0;
      assert.equal(bytes, kept);
    }
    const found = await logs.findEnd(ID);
    assert.ok(Number.isSafeInteger(found.bytes) && found.bytes >= 0);
    for (const value of Object.values(found.end ?? {})) {
      assert.ok(typeof value !== 'number' || (Number.isSafeInteger(value) && value >= 0));
    }
  },
});
