// The programs that Joblet is measured against, each run as its users run it: a process per job.
// All see the same small root with the same commands; what is not installed is left out and named.

import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { removeCgroups } from '../test/snapshot.ts';

/** The commands that jobs run: `true` of the host, and our own that prints what the clock shows. */
export type BenchCommand = 'true' | 'stamp';

export interface Peer {
  readonly name: string;
  /** One job as argv. Jobs that run at once have different slots. */
  readonly argv: (command: BenchCommand, slot: number) => readonly string[];
  /** It refuses hosts with a unified tree beside v1 controllers, so that tree is hidden from it. */
  readonly hideUnified: boolean;
}

/** Compiled programs and roots of one bench run, below a directory that `remove` takes away. */
export interface Workshop {
  readonly spawnTimer: string;
  /** A directory on the host that holds `stamp`, outside of everything a sandbox mounts over. */
  readonly commands: string;
  readonly peers: readonly Peer[];
  /** Peers that are not there, as sentences. */
  readonly notes: readonly string[];
  remove(): void;
}

const NATIVE = path.join(import.meta.dirname, 'native');

/** What a run without any sandbox costs: nothing can be faster than this. */
export const FLOOR = 'spawn floor (no sandbox)';

export function openWorkshop(): Workshop {
  const directory = mkdtempSync('/var/lib/joblet-bench-');
  // Peers keep their cgroups below one of our own, which goes when the bench does.
  const cgroup = path.basename(directory);
  const commands = path.join(directory, 'bin');
  mkdirSync(commands);
  const spawnTimer = compile('spawn-timer', directory);
  compile('stamp', commands);
  const rootfs = makeRootfs(path.join(directory, 'rootfs'), path.join(commands, 'stamp'));
  const all: readonly (Peer & { readonly program: string })[] = [
    {
      name: FLOOR,
      program: '/bin/true',
      hideUnified: false,
      argv: (command) => [command === 'true' ? '/bin/true' : path.join(commands, 'stamp')],
    },
    {
      name: 'bwrap',
      program: '/usr/bin/bwrap',
      hideUnified: false,
      argv: (command) => [...bwrapArgv(commands), `/${command === 'true' ? 'bin/true' : 'stamp'}`],
    },
    {
      name: 'crun',
      program: '/usr/bin/crun',
      hideUnified: true,
      argv: (command, slot) => crunArgv(directory, rootfs, command, slot),
    },
    {
      name: 'podman',
      program: '/usr/bin/podman',
      hideUnified: true,
      argv: (command) => [...podmanArgv(directory, rootfs), `/bin/${command}`],
    },
  ];
  return {
    spawnTimer,
    commands,
    peers: all.filter((peer) => existsSync(peer.program)),
    notes: all
      .filter((peer) => !existsSync(peer.program))
      .map((peer) => `${peer.name} is left out: ${peer.program} is not installed.`),
    remove: () => {
      removeCgroups(cgroup);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** What each peer's row does and does not include, for the page. */
export const fairness: readonly string[] = [
  'Peers run as one process per job, started by a small C program; their own exec is in their figures, as it is when a program uses them.',
  'Joblet: every namespace and the user namespace, seccomp, cgroup limits, a record on disk and a log kept. bwrap: all namespaces but no seccomp, no cgroup, no log. crun: cgroup, no seccomp, no user namespace. podman: crun with its own seccomp, cgroup, no user namespace, no log.',
];

function compile(name: string, into: string): string {
  const program = path.join(into, name);
  execFileSync('gcc', ['-O2', '-static', '-o', program, path.join(NATIVE, `${name}.c`)]);
  return program;
}

/** A root with the host's `true`, the libraries it needs, and `stamp`. */
function makeRootfs(rootfs: string, stamp: string): string {
  for (const folder of ['bin', 'proc', 'dev', 'sys', 'tmp', 'etc', 'run']) {
    mkdirSync(path.join(rootfs, folder), { recursive: true });
  }
  copyFileSync('/bin/true', path.join(rootfs, 'bin/true'));
  copyFileSync(stamp, path.join(rootfs, 'bin/stamp'));
  const needs = execFileSync('ldd', ['/bin/true'], { encoding: 'utf8' });
  for (const [library] of needs.matchAll(/\/\S+/g)) {
    const target = path.join(rootfs, library);
    mkdirSync(path.dirname(target), { recursive: true });
    copyFileSync(library, target);
  }
  return rootfs;
}

function bwrapArgv(commands: string): readonly string[] {
  return [
    'bwrap',
    '--unshare-all',
    ...['--ro-bind', '/usr', '/usr'],
    ...['--symlink', 'usr/bin', '/bin', '--symlink', 'usr/lib', '/lib'],
    ...['--symlink', 'usr/lib64', '/lib64'],
    ...['--ro-bind', path.join(commands, 'stamp'), '/stamp'],
    ...['--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp', '--tmpfs', '/work'],
  ];
}

function crunArgv(
  directory: string,
  rootfs: string,
  command: BenchCommand,
  slot: number,
): string[] {
  const id = `joblet-bench-${command}-${slot}`;
  const bundle = path.join(directory, 'bundles', id);
  if (!existsSync(bundle)) {
    mkdirSync(bundle, { recursive: true });
    execFileSync('crun', ['spec'], { cwd: bundle });
    const file = path.join(bundle, 'config.json');
    // The specification that crun itself proposes, with our root and command.
    const spec = JSON.parse(readFileSync(file, 'utf8')) as {
      process: { terminal: boolean; args: string[] };
      root: { path: string; readonly: boolean };
      linux: { cgroupsPath?: string };
    };
    spec.process.terminal = false;
    spec.process.args = [`/bin/${command}`];
    spec.root = { path: rootfs, readonly: true };
    spec.linux.cgroupsPath = `/${path.basename(directory)}/${id}`;
    writeFileSync(file, JSON.stringify(spec));
  }
  return ['crun', 'run', '--bundle', bundle, id];
}

function podmanArgv(directory: string, rootfs: string): readonly string[] {
  return [
    'podman',
    // A store of its own, so that nothing of the user's is touched.
    ...['--root', path.join(directory, 'podman'), '--runroot', path.join(directory, 'podman-run')],
    ...['--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs'],
    ...['run', '--rm', '--network', 'none', '--log-driver', 'none'],
    ...['--cgroup-parent', `/${path.basename(directory)}`],
    // Where root may not raise limits, podman's own defaults are refused.
    ...['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=4096:4096'],
    ...['--rootfs', rootfs],
  ];
}
