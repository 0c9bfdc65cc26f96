// What output costs: a job that prints a GB beside a pipe into a file, what followers see when, what they
// cost the job and the daemon, and how fast a GB of sealed logs is searched.

import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, watch, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { LogRequest } from '../../src/client/messages.ts';
import { deleteJob, getJobLogs, runJob, waitJob } from '../../src/client/methods.ts';
import { idleBytes, residentBytes } from '../../test/daemon-memory.ts';
import { type Daemon, startDaemon } from '../../test/harness.ts';
import { openWorkshop } from '../peers.ts';
import { spreadOf } from '../spread.ts';
import { type Row, ratio, type Trial } from '../trial.ts';

const MB = 1024 * 1024;
const TEXT_MB = 64;
const TIMES = 16;
const FOLLOWERS = 20;
const STAMPS = 200;
const MOST_ROUNDS = 25;
const WARM_UPS = 10;

const PIPE = 'the same program piped to cat > file, 1 GB';
const ALONE = 'joblet: request to exit, 1 GB';
const FOLLOWED = `joblet: the same with ${FOLLOWERS} followers`;
const TAIL = 'joblet: the last 10 lines of 1 GB of sealed logs';
const SEEN = 'joblet: from the writing of a line to its follower';

/** What is looked for, as RE2 and as `grep -E` have it: words and none, few lines and many. */
const PATTERNS: Readonly<Record<string, { readonly pattern: string; readonly grep?: string }>> = {
  'a word that is nowhere': { pattern: 'connection refused' },
  'the begin of a line': { pattern: '^ERR' },
  'digits before a word': { pattern: '[0-9]{3}ms' },
  'one of two, then a third': { pattern: '(foo|bar).*baz' },
  'a word in any case': { pattern: '(?i)warning', grep: '-i warning' },
  'no fixed word': { pattern: '[0-9]{6}=[a-z]+' },
  'few lines': { pattern: 'status=50[0-9] ms=19[0-9][0-9] ' },
};

export const trial: Trial = {
  title: 'output of jobs: printing, following, searching',
  async body({ rounds }) {
    const workshop = openWorkshop();
    const text = path.join(workshop.commands, 'text');
    writeFileSync(text, Array.from({ length: TEXT_MB }, (_, at) => textOf(at)).join(''));
    const place = mkdtempSync('/var/lib/joblet-bench-logs-');
    const script = `i=0; while [ $i -lt ${TIMES} ]; do cat ${text}; i=$((i + 1)); done`;
    const samples = new Map<string, number[]>();
    const note = (name: string, value: number) => {
      samples.set(name, [...(samples.get(name) ?? []), value]);
    };
    const timed = async (name: string, work: () => Promise<unknown>) => {
      const since = performance.now();
      await work();
      note(name, performance.now() - since);
    };
    const daemon = await startDaemon({
      filesystem: { allowedMounts: [...HOST_PATHS, workshop.commands] },
      logs: { quotaBytes: '8GB', sealAfter: '2s' },
      logging: { level: 'INFO' },
    });
    let grownBytes = 0;
    try {
      const idle = await idleBytes(daemon);
      const look = () => {
        grownBytes = Math.max(grownBytes, residentBytes(daemon) - idle);
      };
      const api = daemon.as('admin');
      // As with a daemon that has run for a while.
      for (let call = 0; call < WARM_UPS; call += 1) await printed(daemon, 'seq 200000', FOLLOWERS);
      for (let round = 0; round < Math.min(rounds, MOST_ROUNDS); round += 1) {
        const file = path.join(place, 'piped');
        const turns: readonly (() => Promise<void>)[] = [
          async () => {
            await timed(PIPE, () => sh(`(${script}) | cat > ${file}`));
            rmSync(file);
          },
          async () => {
            let uuid = '';
            await timed(ALONE, async () => {
              uuid = await printed(daemon, script);
            });
            look();
            await api.unary(deleteJob, { uuid });
          },
          async () => {
            let uuid = '';
            await timed(FOLLOWED, async () => {
              uuid = await printed(daemon, script, FOLLOWERS, look);
            });
            await api.unary(deleteJob, { uuid });
          },
        ];
        for (const at of turns.keys()) {
          // What the one before has left to the disk is not the next one's, and each has removed its GB: some disks
          // become slow for minutes when they have to take them all.
          await sh('sync');
          await turns[(at + round) % turns.length]?.();
        }
        for (const ms of await latencies(daemon, path.join(workshop.commands, 'stamp'))) {
          note(SEEN, ms);
        }
      }
      const uuid = await printed(daemon, script);
      await allSealed(daemon, uuid);
      const piped = path.join(place, 'text');
      await sh(`(${script}) > ${piped}; gzip -1 -k ${piped}; zstd -q -k ${piped} || true`);
      for (const [what, { pattern, grep = `-E '${pattern}'` }] of Object.entries(PATTERNS)) {
        await timed(`joblet: ${what}`, () => read(daemon, { uuid, filter: pattern }));
        await timed(`zgrep: ${what}`, () => sh(`zgrep -c ${grep} ${piped}.gz || true`));
        if (!existsSync(`${piped}.zst`)) continue;
        await timed(`zstdgrep: ${what}`, () => sh(`zstdgrep -c ${grep} ${piped}.zst || true`));
      }
      for (let round = 0; round < rounds; round += 1) {
        await timed(TAIL, () => read(daemon, { uuid, tailLines: 10 }));
      }
    } finally {
      await daemon.stop();
      rmSync(place, { recursive: true });
      workshop.remove();
    }
    const rows: Row[] = [...samples].map(([name, values]) => ({
      name,
      unit: 'ms',
      spread: spreadOf(values),
    }));
    const seen = (samples.get(SEEN) ?? []).toSorted((a, b) => a - b);
    return {
      rows,
      ratios: [
        ...ratio(rows, ALONE, PIPE, 'at most 1.5'),
        {
          name: 'the worst of these rounds',
          value: worst(samples.get(ALONE), samples.get(PIPE)),
          promise: 'at most 1.5',
        },
        ...ratio(rows, FOLLOWED, ALONE, 'at most 1.1'),
        {
          name: 'a line is seen, p95 ms',
          value: seen[Math.floor(seen.length * 0.95)] ?? 0,
          promise: 'at most 20',
        },
        { name: 'growth of the daemon, MB', value: grownBytes / MB, promise: 'at most 64' },
        ...Object.keys(PATTERNS).flatMap((what) => [
          ...ratio(rows, `joblet: ${what}`, `zgrep: ${what}`),
          ...ratio(rows, `joblet: ${what}`, `zstdgrep: ${what}`),
        ]),
      ],
      notes: [
        `The GB is a text of ${TEXT_MB} MB that cat prints ${TIMES} times, the same for all.`,
        'Followers leave when the job has ended, however far they are.',
        'zgrep counts lines in a file that gzip -1 made, zstdgrep in one of zstd.',
      ],
    };
  },
};

/** The highest ratio that two things had in one round. */
function worst(values: readonly number[] = [], base: readonly number[] = []): number {
  return Math.max(...values.map((value, round) => value / (base[round] ?? value)));
}

const HOST_PATHS = ['/usr', '/bin', '/sbin', '/lib', '/lib64', '/etc/ld.so.cache'];

/** A MB of lines such as a server writes. */
function textOf(seed: number): string {
  const lines: string[] = [];
  let bytes = 0;
  for (let number = seed * 10_000; bytes < MB; number += 1) {
    const mixed = Math.imul(number, 0x9e3779b1) >>> 0;
    const time = new Date(1_700_000_000_000 + number * 37).toISOString();
    const line = `${time} INFO request path=/api/items/${mixed % 9973} status=${
      [200, 200, 200, 201, 404, 503][mixed % 6]
    } ms=${mixed % 2003} id=${mixed.toString(16)} user=${(mixed % 977).toString(36)}\n`;
    lines.push(line);
    bytes += line.length;
  }
  return lines.join('');
}

async function sh(script: string): Promise<void> {
  await promisify(execFile)('/bin/sh', ['-c', script]);
}

/** Runs a job to its end; followers read meanwhile. */
async function printed(
  daemon: Daemon,
  script: string,
  followers = 0,
  look: () => void = () => {},
): Promise<string> {
  const api = daemon.as('admin');
  const request = { command: 'sh', args: ['-c', script], maxCpu: 0, maxMemory: 512 };
  const { jobUuid: uuid } = await api.unary(runJob, request);
  const leaving = new AbortController();
  const reading = Array.from({ length: followers }, () =>
    read(daemon, { uuid }, leaving.signal, look).catch(() => {}),
  );
  const { status, message } = await api.unary(waitJob, { uuid });
  if (status !== 'COMPLETED') throw new Error(`job ${uuid} is ${status}: ${message}`);
  leaving.abort();
  await Promise.all(reading);
  return uuid;
}

async function read(
  daemon: Daemon,
  request: LogRequest,
  signal?: AbortSignal,
  look: () => void = () => {},
): Promise<number> {
  let bytes = 0;
  let looked = 0;
  const options = signal === undefined ? {} : { signal };
  for await (const { payload } of daemon.as('admin').serverStream(getJobLogs, request, options)) {
    bytes += payload.length;
    if (bytes - looked < 16 * MB) continue;
    looked = bytes;
    look();
  }
  return bytes;
}

/** How long after each line was written its follower had it. */
async function latencies(daemon: Daemon, stamp: string): Promise<number[]> {
  const api = daemon.as('admin');
  const script = `i=0; while [ $i -lt ${STAMPS} ]; do ${stamp}; i=$((i + 1)); sleep 0.01; done`;
  const { jobUuid: uuid } = await api.unary(runJob, { command: 'sh', args: ['-c', script] });
  const ms: number[] = [];
  for await (const { payload } of api.serverStream(getJobLogs, { uuid })) {
    const now = process.hrtime.bigint();
    for (const line of Buffer.from(payload).toString().trim().split('\n')) {
      ms.push(Number(now - BigInt(line)) / 1e6);
    }
  }
  return ms;
}

/** Resolves when nothing of a log is left to be sealed. */
async function allSealed(daemon: Daemon, uuid: string): Promise<void> {
  const directory = path.join(daemon.directory, 'logs', uuid);
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = () => {
    if (readdirSync(directory).filter((name) => !name.endsWith('.zst')).length <= 1) resolve();
  };
  const watcher = watch(directory, look);
  look();
  await promise;
  watcher.close();
}
