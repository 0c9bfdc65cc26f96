// `./dev vm -- COMMAND`: runs a command in a guest that has cgroup v2 and nothing else, whatever this
// host has. The guest is emulated, so it needs no virtualisation and is some ten times slower.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import path from 'node:path';
import { PassThrough, type Writable } from 'node:stream';
import { ROOT } from '../steps.ts';
import { sourceDisk, systemDisk } from './disks.ts';
import { writeInitramfs } from './initramfs.ts';
import { fetchKernel, type Kernel } from './kernel.ts';

/** What is run when no command is given. */
const DEFAULT_COMMAND = [
  'sh',
  '-c',
  'node src/daemon/main.ts doctor && node --test --test-name-pattern="to a disk is counted" test/metrics.test.ts && exec node --test --test-reporter=spec test/limits.test.ts test/project-quota.test.ts',
];

/** The guest did not run the command to its end. */
const NO_STATUS = 125;

const MEMORY_MB = 2048;
const PROCESSORS = 2;

/**
 * What every Node in the guest is told: not to optimise WebAssembly, as `NODE_FLAGS` says, but in a way
 * that this variable allows. What is a rare crash elsewhere is one in ten here.
 */
const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(
  'import{setFlagsFromString}from"node:v8";setFlagsFromString("--wasm-tiering-budget=2000000000")',
)}`;

/** Why there can be no guest here, or undefined. */
export function cannotEmulate(): string | undefined {
  if (process.arch !== 'x64') return 'the guest is made for x86_64 only';
  if (existsSync('/usr/bin/qemu-system-x86_64')) return undefined;
  return 'there is no qemu-system-x86_64; ./dev vm installs it';
}

/** `./dev vm`: runs a command in a guest to its end. The answer is its exit code. */
export async function vm(args: readonly string[]): Promise<number> {
  const given = args[0] === '--' ? args.slice(1) : args;
  const guest = await startGuest(given.length > 0 ? given : DEFAULT_COMMAND, {
    stdout: process.stdout,
    stderr: process.stderr,
  });
  const end = () => guest.cutPower();
  process.once('SIGINT', end).once('SIGTERM', end);
  const code = await guest.code;
  process.off('SIGINT', end).off('SIGTERM', end);
  return code;
}

export interface Guest {
  /** Exit code of the command; 125 when the guest did not run it to its end. */
  readonly code: Promise<number>;
  /** Ends it as a machine ends whose power fails: at once, and with whatever its disk has by then. */
  cutPower(): void;
}

/** What a guest is given beside its command. */
export interface Surroundings {
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** An image that is its third disk, and keeps what is written to it. */
  readonly disk?: string;
}

/** Starts a command in a guest with the repository at its usual path. */
export async function startGuest(
  command: readonly string[],
  surroundings: Surroundings,
): Promise<Guest> {
  const problem = cannotEmulate();
  if (problem !== undefined) throw new Error(problem);
  const home = path.join(ROOT, '.vm');
  mkdirSync(home, { recursive: true });
  const kernel = fetchKernel(home);
  const system = systemDisk(home, kernel);
  const directory = mkdtempSync(path.join(home, 'run-'));
  const remove = () => rmSync(directory, { recursive: true });
  try {
    const node = path.dirname(process.execPath);
    const settings = `PATH=${quote(node)}:$PATH NODE_OPTIONS=${quote(NODE_OPTIONS)}`;
    const script = `${settings} exec ${command.map(quote).join(' ')}\n`;
    const disks = [system, sourceDisk(directory, script)];
    const { code, cutPower } = await boot(directory, kernel, disks, surroundings);
    return { code: code.finally(remove), cutPower };
  } catch (error) {
    remove();
    throw error;
  }
}

/** What the guest writes comes out here; each is a serial port of its own in the guest. */
const PORTS = ['stdout', 'stderr', 'status'] as const;

async function boot(
  directory: string,
  kernel: Kernel,
  disks: readonly string[],
  { stdout, stderr, disk }: Surroundings,
): Promise<Guest> {
  const firstRoot = path.join(directory, 'initramfs');
  const console = path.join(directory, 'console');
  writeInitramfs(firstRoot, kernel);
  // On a busy machine the emulated timer is late, which is not to be taken for a broken one.
  const timer = 'no_timer_check';
  const parameters = `console=ttyS0 panic=-1 ${timer} cgroup_no_v1=all psi=1 repository=${ROOT}`;
  const drive = (file: string, more: string) => [
    '-drive',
    `file=${file},format=raw,if=virtio${more}`,
  ];
  const machine = [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-accel', 'tcg,thread=multi', '-cpu', 'max'],
    ...['-m', String(MEMORY_MB), '-smp', String(PROCESSORS)],
    ...['-kernel', kernel.image, '-initrd', firstRoot, '-append', parameters],
    ...['-serial', `file:${console}`],
    // What the guest writes goes to temporary files: guests may share a disk, and none changes it.
    ...disks.flatMap((file) => drive(file, ',snapshot=on')),
    ...(disk === undefined ? [] : drive(disk, '')),
    ...['-device', 'virtio-serial'],
    ...PORTS.flatMap((name, index) => [
      ...['-chardev', `socket,id=${name},path=${path.join(directory, name)}`],
      ...['-device', `virtserialport,chardev=${name},nr=${index + 1}`],
    ]),
  ];
  const sinks = { stdout, stderr, status: new PassThrough() };
  const relays = await Promise.all(
    PORTS.map((name) => relay(path.join(directory, name), sinks[name])),
  );
  const guest = spawn('qemu-system-x86_64', machine, { stdio: ['ignore', 'inherit', 'inherit'] });
  const read = async () => {
    await once(guest, 'close');
    await Promise.all(relays.map((server) => once(server.close(), 'close')));
    const status = String(sinks.status.read() ?? '').trim();
    if (/^\d+$/.test(status)) return Number(status);
    stderr.write(`${readFileSync(console, 'utf8')}\ndev: the guest ended without a status\n`);
    return NO_STATUS;
  };
  return { code: read(), cutPower: () => void guest.kill('SIGKILL') };
}

/** A socket that passes on what comes; `sink` stays open. It closes when its connections have ended. */
async function relay(socket: string, sink: Writable): Promise<Server> {
  const server = createServer((connection) => connection.pipe(sink, { end: false }));
  await once(server.listen(socket), 'listening');
  return server;
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
