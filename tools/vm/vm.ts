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
  'node src/daemon/main.ts doctor && exec node --test --test-reporter=spec test/limits.test.ts',
];

/** The guest did not run the command to its end. */
const NO_STATUS = 125;

const MEMORY_MB = 2048;
const PROCESSORS = 2;

/** Why there can be no guest here, or undefined. */
export function cannotEmulate(): string | undefined {
  if (process.arch !== 'x64') return 'the guest is made for x86_64 only';
  if (existsSync('/usr/bin/qemu-system-x86_64')) return undefined;
  return 'there is no qemu-system-x86_64; ./dev vm installs it';
}

/** Runs a command in a guest with the repository at its usual path. The answer is its exit code. */
export async function vm(args: readonly string[]): Promise<number> {
  const problem = cannotEmulate();
  if (problem !== undefined) throw new Error(problem);
  const given = args[0] === '--' ? args.slice(1) : args;
  const command = given.length > 0 ? given : DEFAULT_COMMAND;
  const home = path.join(ROOT, '.vm');
  mkdirSync(home, { recursive: true });
  const kernel = fetchKernel(home);
  const system = systemDisk(home, kernel);
  const directory = mkdtempSync(path.join(home, 'run-'));
  try {
    const node = path.dirname(process.execPath);
    const script = `PATH=${quote(node)}:$PATH exec ${command.map(quote).join(' ')}\n`;
    return await boot(directory, kernel, [system, sourceDisk(directory, script)]);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** What the guest writes comes out here; each is a serial port of its own in the guest. */
const PORTS = ['stdout', 'stderr', 'status'] as const;

async function boot(directory: string, kernel: Kernel, disks: readonly string[]): Promise<number> {
  const firstRoot = path.join(directory, 'initramfs');
  const console = path.join(directory, 'console');
  writeInitramfs(firstRoot, kernel);
  const parameters = `console=ttyS0 panic=-1 cgroup_no_v1=all psi=1 repository=${ROOT}`;
  const machine = [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-accel', 'tcg,thread=multi', '-cpu', 'max'],
    ...['-m', String(MEMORY_MB), '-smp', String(PROCESSORS)],
    ...['-kernel', kernel.image, '-initrd', firstRoot, '-append', parameters],
    ...['-serial', `file:${console}`],
    // What the guest writes goes to temporary files: guests may share a disk, and none changes it.
    ...disks.flatMap((file) => ['-drive', `file=${file},format=raw,if=virtio,snapshot=on`]),
    ...['-device', 'virtio-serial'],
    ...PORTS.flatMap((name, index) => [
      ...['-chardev', `socket,id=${name},path=${path.join(directory, name)}`],
      ...['-device', `virtserialport,chardev=${name},nr=${index + 1}`],
    ]),
  ];
  const sinks = { stdout: process.stdout, stderr: process.stderr, status: new PassThrough() };
  const relays = await Promise.all(
    PORTS.map((name) => relay(path.join(directory, name), sinks[name])),
  );
  const guest = spawn('qemu-system-x86_64', machine, { stdio: ['ignore', 'inherit', 'inherit'] });
  const end = () => guest.kill();
  process.once('SIGINT', end).once('SIGTERM', end);
  await once(guest, 'close');
  process.off('SIGINT', end).off('SIGTERM', end);
  await Promise.all(relays.map((server) => once(server.close(), 'close')));
  const status = String(sinks.status.read() ?? '').trim();
  if (/^\d+$/.test(status)) return Number(status);
  process.stderr.write(`${readFileSync(console, 'utf8')}\ndev: the guest ended without a status\n`);
  return NO_STATUS;
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
