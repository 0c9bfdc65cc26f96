// To be imported before all else: runs this whole test file, the daemons that it starts included, on a
// host that has NVIDIA GPUs as far as anybody can tell by looking: in a mount namespace of its own,
// where files say so. The devices behind them are ones that every host has, each of another kind, so
// that a job which reaches one can be seen to. Nothing of ours is told that they are not real.

import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const MARK = 'JOBLET_TEST_OWN_GPUS';
const RECORDED = path.join(import.meta.dirname, 'recorded/nvidia-smi.xml');
const VERSION = '580.159.04';
const DRIVERS = '/sys/bus/pci/drivers';
const DRIVER_LINKS = `${DRIVERS}/nvidia`;
const RECORDED_UUID = 'GPU-00000000-0000-4000-8000-000000000000';

export const HIDDEN_FOLDER = '/usr/src';

export interface FakeGpu {
  readonly uuid: string;
  /** Of the device that stands for it: its kind is told by what is read there. */
  readonly minor: number;
  readonly memoryMb: number;
}

/** By their numbers. Their devices are /dev/null, zero, full and urandom of every host. */
export const gpus: readonly FakeGpu[] = [3, 5, 7, 9].map((minor, at) => ({
  uuid: RECORDED_UUID.replace(/0$/, String(at + 1)),
  minor,
  memoryMb: at < 2 ? 81_559 : 40_960,
}));

/** What the next jobs find; a process is one of the daemon's host. */
export interface Answer {
  /** Instead of what it would say. */
  readonly text?: string;
  /** The number of one that is in parts (MIG). */
  readonly split?: number;
  readonly processes?: readonly {
    readonly gpu: number;
    readonly pid: number;
    readonly mb: number;
  }[];
}

const SMI = `#!/bin/sh
here=/usr/local/nvidia
case $1 in
-q)
  exec cat $here/answer.xml ;;
--query-gpu=uuid,compute_cap)
  sed -n 's:.*<uuid>\\(.*\\)</uuid>:\\1, 9.0:p' $here/answer.xml ;;
*) exit 2 ;;
esac
`;

let home = '';

/** Has nvidia-smi say this from now on. */
export function answerSmi({ processes = [], text, split }: Answer = {}): void {
  const recorded = readFileSync(RECORDED, 'utf8');
  const [before = '', rest = ''] = recorded.split(/(?=\t<gpu id)/, 2);
  const [gpu = ''] = rest.split('</gpu>', 1);
  const all = gpus.map(({ uuid, minor, memoryMb }, at) => {
    const own = processes.filter((process) => process.gpu === at);
    return `${gpu}</gpu>\n`
      .replaceAll(RECORDED_UUID, uuid)
      .replace(/<minor_number>\d+/, `<minor_number>${minor}`)
      .replace('<current_mig>Disabled', `<current_mig>${at === split ? 'Enabled' : 'Disabled'}`)
      .replace('<total>81559 MiB', `<total>${memoryMb} MiB`)
      .replace('<processes>', `<processes>\n${own.map(processText).join('')}`);
  });
  write('answer.xml', text ?? `${before}${all.join('')}</nvidia_smi_log>\n`);
}

function processText({ pid, mb }: { readonly pid: number; readonly mb: number }): string {
  return `<process_info>
<gpu_instance_id>N/A</gpu_instance_id>
<compute_instance_id>N/A</compute_instance_id>
<pid>${pid}</pid>
<type>C</type>
<process_name>python3</process_name>
<used_memory>${mb} MiB</used_memory>
</process_info>
`;
}

/** The driver takes a card once more. */
export function bindAgain(at: number): void {
  const link = path.join(DRIVER_LINKS, busOf(at));
  rmSync(link, { force: true });
  symlinkSync(`../../../../devices/${busOf(at)}`, link);
}

function write(name: string, text: string): void {
  writeFileSync(path.join(home, 'nvidia', name), text);
}

if (process.platform === 'linux' && process.getuid?.() === 0 && process.env[MARK] === undefined) {
  process.execve?.(
    '/usr/bin/unshare',
    ['unshare', '--mount', '--', process.execPath, ...process.execArgv, ...process.argv.slice(1)],
    { ...process.env, [MARK]: '1' },
  );
}
if (process.env[MARK] !== undefined) {
  home = mkdtempSync(path.join(tmpdir(), 'joblet-gpus-'));
  makeHost();
  // What is mounted goes with the namespace, and nothing is mounted in here.
  process.once('exit', () => rmSync(home, { recursive: true }));
}

function makeHost(): void {
  makeProc();
  makePrograms();
  answerSmi();
}

function busOf(at: number): string {
  return `0000:00:0${at + 6}.0`;
}

function makeProc(): void {
  const driver = path.join(home, 'driver');
  const of = path.join(driver, 'nvidia');
  for (const [at, { uuid, minor }] of gpus.entries()) {
    const folder = path.join(of, 'gpus', busOf(at));
    mkdirSync(folder, { recursive: true });
    const lines = [`Model: \t\t NVIDIA H100`, `GPU UUID: \t ${uuid}`, `Device Minor: \t ${minor}`];
    writeFileSync(path.join(folder, 'information'), `${lines.join('\n')}\nGPU Excluded:\t No\n`);
  }
  writeFileSync(
    path.join(of, 'version'),
    `NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  ${VERSION}  Release Build\n`,
  );
  writeFileSync(
    path.join(of, 'params'),
    'RmLogonRC: 1\nModifyDeviceFiles: 1\nDeviceFileMode: 438\n',
  );
  const devices = path.join(home, 'devices');
  const [characters = '', blocks = ''] = readFileSync('/proc/devices', 'utf8').split('\n\n');
  writeFileSync(devices, `${characters}\n  1 nvidia-frontend\n  1 nvidia-uvm\n\n${blocks}`);
  execFileSync('mount', ['--bind', driver, '/proc/driver']);
  execFileSync('mount', ['--bind', devices, '/proc/devices']);
  execFileSync('mount', ['-t', 'tmpfs', 'drivers', DRIVERS]);
  mkdirSync(DRIVER_LINKS);
  for (const at of gpus.keys()) bindAgain(at);
}

/** NVIDIA's folder in /usr/local, beside all that is there. */
function makePrograms(): void {
  const nvidia = path.join(home, 'nvidia');
  for (const folder of ['bin', 'lib64']) mkdirSync(path.join(nvidia, folder), { recursive: true });
  for (const name of ['libcuda', 'libnvidia-ml', 'libnvidia-ptxjitcompiler']) {
    const file = path.join(nvidia, 'lib64', `${name}.so.${VERSION}`);
    writeFileSync(file, `${name}\n`);
    symlinkSync(path.basename(file), path.join(nvidia, 'lib64', `${name}.so.1`));
  }
  // Of another version, left behind by an update.
  writeFileSync(path.join(nvidia, 'lib64/libnvidia-ml.so.535.54.03'), '');
  // Jobs are given the program itself, and not the script that stands before it on some hosts.
  copyFileSync('/usr/bin/true', path.join(nvidia, 'bin/nvidia-smi'));
  const local = path.join(home, 'local');
  for (const folder of ['nvidia', 'bin']) mkdirSync(path.join(local, folder), { recursive: true });
  writeFileSync(path.join(local, 'bin/nvidia-smi'), SMI, { mode: 0o755 });
  const layers = `lowerdir=${local}:/usr/local`;
  execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', layers, '/usr/local']);
  execFileSync('mount', ['--bind', nvidia, '/usr/local/nvidia']);
  // A folder of the same disk that whoever is shown /usr does not see.
  execFileSync('mount', ['--bind', '/usr/include', HIDDEN_FOLDER]);
}
