// Programs that try to get out of a job, for tests that run them as jobs of one kind or another. A
// probe prints what it should not have got as `LEAK: ...`, and how much it tried. They are in Python, which a
// job brings along where its root is not the host's.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { JobRequest } from '../src/client/messages.ts';
import type { Daemon } from './harness.ts';
import { finish } from './job-calls.ts';
import { inPortablePython, portablePython } from './portable-python.ts';
import { type File, upload } from './upload-parts.ts';

const PROBES = path.join(import.meta.dirname, 'probes/inside');

/** A work directory with more than this lies on disk. */
const IN_MEMORY_BYTES = 16 << 20;

/** The programs, and the least number of things each must have tried. */
export const probes = {
  'privileges.py': 45,
  'processes.py': 45,
  'filesystem.py': 100,
  'kernel_files.py': 50,
  'devices.py': 40,
  'outside.py': 45,
  'identity.py': 10,
  'nested.py': 60,
} as const;
export type Probe = keyof typeof probes;
/** Runs as root of a user namespace within a job, so it needs one that may have such. */
export const NESTED = 'nested.py';

/** How a probe is run, where it differs from a plain job. */
interface Run {
  readonly request?: JobRequest;
  /** Facts for this run, beside those of the host. */
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly args?: readonly string[];
  /** The least number of things it must have tried. */
  readonly least?: number;
  /** Sends so much along that the work directory lies on disk. */
  readonly onDisk?: boolean;
  /** Brings its Python along: the root of the job need not have one. */
  readonly portable?: boolean;
}

interface Bait {
  readonly listening: Server;
  readonly sharedMemory: string;
  readonly marker: string;
}

/** Probes of one daemon's jobs, and what lies about for them to find. */
export class Probing {
  /** What of the host a job must not find. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly #daemon: Daemon;
  readonly #bait: Bait;
  #python: readonly File[] | undefined;

  constructor(daemon: Daemon, facts: Readonly<Record<string, unknown>>, bait: Bait) {
    this.#daemon = daemon;
    this.facts = facts;
    this.#bait = bait;
  }

  /** Runs a probe as a job and answers its output, after looking through its findings. */
  async run(name: Probe, run: Run = {}): Promise<string> {
    const file = (each: string, content: Uint8Array) => ({ path: each, content, mode: 0o644 });
    const files = [
      ...['finding.py', name].map((each) => file(each, readFileSync(path.join(PROBES, each)))),
      file('facts.json', Buffer.from(JSON.stringify({ ...this.facts, ...run.facts }))),
    ];
    if (run.onDisk) files.push(file('big', Buffer.alloc(IN_MEMORY_BYTES + 1)));
    if (run.portable) files.push(...this.#bringPython());
    const sent: JobRequest =
      run.onDisk || run.portable
        ? { uploadId: await upload(this.#daemon.as('admin'), files) }
        : { uploads: files };
    const inHostsPython = { command: '/usr/bin/python3', args: ['-B', `/work/${name}`] };
    const { args, ...program } = run.portable ? inPortablePython(name) : inHostsPython;
    const { job, stdout, stderr } = await finish(this.#daemon.as('admin'), {
      ...program,
      args: [...args, ...(run.args ?? [])],
      ...sent,
      ...run.request,
    });
    assert.deepEqual(stdout.match(/^LEAK: .*$/gm) ?? [], [], stderr);
    assert.equal(job.exitCode, 0, `${stdout.slice(-2000)}\n${stderr}`);
    const tried = Number(/^checks (\d+)$/m.exec(stdout)?.[1] ?? 0);
    assert.ok(
      tried >= (run.least ?? probes[name]),
      `${name} tried ${tried} things only:\n${stdout}`,
    );
    return stdout;
  }

  #bringPython(): readonly File[] {
    this.#python ??= portablePython(
      ['finding.py', ...Object.keys(probes)].map((each) => path.join(PROBES, each)),
    );
    return this.#python;
  }

  stop(): void {
    this.#bait.listening.close();
    execFileSync('ipcrm', ['-m', this.#bait.sharedMemory]);
    rmSync(this.#bait.marker);
  }
}

/** Makes things on the host that a job must not find, and names those that are there anyway. */
export async function startProbing(daemon: Daemon): Promise<Probing> {
  const name = `joblet-bait-${randomUUID()}`;
  const listening = createServer();
  await new Promise<void>((resolve) => listening.listen(`\0${name}`, resolve));
  const sharedMemory =
    /\d+/.exec(execFileSync('ipcmk', ['-M', '4096'], { encoding: 'utf8' }))?.[0] ?? '';
  const marker = path.join(os.tmpdir(), name);
  writeFileSync(marker, name);
  const host = {
    hostname: os.hostname(),
    machineId: readIfThere('/etc/machine-id'),
    bootId: readIfThere('/proc/sys/kernel/random/boot_id'),
  };
  const namespaces = readdirSync('/proc/self/ns').filter((each) =>
    /^(mnt|net|pid|uts|ipc|cgroup|user)$/.test(each),
  );
  const facts = {
    host: Object.fromEntries(Object.entries(host).filter(([, word]) => word !== '')),
    namespaces: Object.fromEntries(
      namespaces.map((each) => [each, statSync(`/proc/self/ns/${each}`).ino]),
    ),
    // A short host name stands in many files by chance.
    needles: [
      daemon.directory,
      daemon.cgroupName,
      name,
      host.machineId,
      host.bootId,
      host.hostname,
    ].filter((word) => word.length > 8),
    users: ['nobody', 'root'],
    hostPids: [process.pid, daemon.pid],
    hostPorts: [daemon.port],
    hostSockets: [`@${name}`, ...abstractSockets()],
    hostPaths: [
      daemon.directory,
      marker,
      import.meta.dirname,
      '/root',
      '/home',
      '/boot',
      '/opt',
      '/srv',
      '/media',
      '/var/lib',
      '/var/log',
      '/etc/shadow',
      '/etc/ssh',
      '/lost+found',
      '/.dockerenv',
    ],
    sharedMemory: [Number(sharedMemory)],
  };
  return new Probing(daemon, facts, { listening, sharedMemory, marker });
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}

/** Names of the abstract sockets in the host's network, `@` for the leading zero byte. */
function abstractSockets(): string[] {
  const names = readFileSync('/proc/net/unix', 'utf8').matchAll(/ (@\S+)$/gm);
  return [...new Set([...names].map(([, name = '']) => name))].slice(0, 20);
}
