// `joblet runtime`: the runtimes of this host without a daemon, for hosts that are being prepared and
// those that have no network.

import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { copyFile, rename } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { JobletError } from '../shared/errors.ts';
import { formatBytes } from '../shared/units.ts';
import { loadSettings } from './config.ts';
import { isDaemonThere } from './control.ts';
import { refOf } from './runtimes/catalogue.ts';
import { openRuntimes } from './runtimes/open.ts';
import { packFormats } from './runtimes/pack.ts';
import { makeWritable } from './store/directories.ts';

const USAGE = `joblet runtime deals with the runtimes of this host without a daemon.

Usage:
  joblet runtime list                                what there is
  joblet runtime verify [RUNTIME]                    whether it is what was installed and signed
  joblet runtime pack [--output FILE] RUNTIME        one file for other hosts: .tar.zst or .zip
  joblet runtime install [--force] PACK|FOLDER|NAME  from a pack, a folder or a configured registry

  --config FILE   the configuration, which names the folder of runtimes and the keys

While a daemon runs on this host, install with rnx runtime install.

Example:
  joblet runtime install python-3.11-ml-1.0.0.tar.zst && joblet runtime verify
`;

type Open = ReturnType<typeof openRuntimes>;

interface Flags {
  readonly force: boolean;
  readonly output: string | undefined;
}

type Command = (open: Open, word: string, flags: Flags) => Promise<number>;

const commands: Readonly<Record<string, Command>> = { list, verify, pack, install };
const needsWord: readonly string[] = ['pack', 'install'];

/** Runs `joblet runtime ARGV`. The exit code of verify: 0 is sound, 1 is not. */
export async function runtimeCommand(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      output: { type: 'string', short: 'o' },
      force: { type: 'boolean', short: 'f' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const [name = '', word = '', ...more] = positionals;
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  const isMissing = needsWord.includes(name) && word === '';
  if (values.help === true || command === undefined || isMissing || more.length > 0) {
    process[values.help === true ? 'stdout' : 'stderr'].write(USAGE);
    return values.help === true ? 0 : 2;
  }
  const { runtimes, filesystem, state, run } = loadSettings(values.config, process.env);
  if (name === 'install' && (await isDaemonThere(run.directory))) {
    const message = 'a daemon runs on this host; install by it: rnx runtime install';
    throw new JobletError('wrong-state', message);
  }
  for (const directory of [state.path, runtimes.directory]) makeWritable(directory);
  const open = openRuntimes(runtimes, filesystem.minFreeBytes, anyJob);
  const flags = { force: values.force === true, output: values.output };
  if (name !== 'install') return command(open, word, flags);
  const leave = await enterAlone(runtimes.directory);
  try {
    return await command(open, word, flags);
  } finally {
    leave();
  }
}

/** Jobs run on while no daemon does, so any tree may be in use; the next daemon knows better. */
const anyJob: Parameters<typeof openRuntimes>[2] = {
  usersOf: () => ['any'],
  whenFree: () => Promise.withResolvers<void>().promise,
};

/** One installation at a time; whatever becomes of the process, the next one can follow. */
async function enterAlone(directory: string): Promise<() => void> {
  const { dev, ino } = statSync(directory);
  const server = createServer().listen(`\0joblet/runtimes/${dev}:${ino}`);
  try {
    await once(server, 'listening');
  } catch (cause) {
    const message = `something else is being installed in ${directory}; wait for its end`;
    throw new JobletError('wrong-state', message, { cause });
  }
  return () => server.close();
}

async function list({ catalogue, trees }: Open): Promise<number> {
  const all = catalogue.list();
  const sizes = await trees.sizes(all);
  for (const runtime of all) {
    const { bytes = 0, uniqueBytes = 0 } = sizes.trees.get(runtime.directory) ?? {};
    const note = runtime.problem === '' ? '' : `  (unusable: ${runtime.problem})`;
    say(`${refOf(runtime)}  ${rough(bytes)}, ${rough(uniqueBytes)} of its own${note}`);
  }
  say(`${all.length} runtimes, ${rough(sizes.diskBytes)} on the disk`);
  return 0;
}

async function verify({ catalogue, trees }: Open, word: string): Promise<number> {
  let isSound = true;
  for (const runtime of word === '' ? catalogue.list() : [catalogue.get(word)]) {
    const { findings, findingCount, notes, signature } = await trees.verify(runtime);
    const key = signature.is === 'missing' ? '' : signature.keyId;
    isSound &&= findingCount === 0;
    say(
      findingCount === 0
        ? `${refOf(runtime)}: as it was signed by key ${key}`
        : `${refOf(runtime)}: NOT as it was signed`,
    );
    for (const { path: name, message } of findings) say(`  ${name}: ${message}`);
    if (findingCount > findings.length) say(`  and ${findingCount - findings.length} more`);
    for (const note of notes) say(`  note: ${note}`);
  }
  return isSound ? 0 : 1;
}

async function pack({ installs }: Open, word: string, { output }: Flags): Promise<number> {
  const format = packFormats.find((one) => output?.endsWith(`.${one}`)) ?? packFormats[0];
  const packed = await installs.pack(word, format);
  const target = output ?? path.basename(packed.file);
  try {
    // It may lie on another disk.
    await copyFile(packed.file, `${target}.part`);
    await rename(`${target}.part`, target);
  } finally {
    await packed.remove();
  }
  say(`${target}: ${rough(packed.bytes)}, sha256 ${packed.sha256}`);
  return 0;
}

async function install({ installs }: Open, word: string, flags: Flags): Promise<number> {
  const wish = { spec: '', force: flags.force };
  const found = existsSync(word) ? statSync(word) : undefined;
  const installed =
    found === undefined
      ? await installs.fromRegistry({ ...wish, spec: word }, '')
      : found.isDirectory()
        ? await installs.fromCopy(word, wish)
        : await installs.fromPack(word, wish);
  const { runtime, bytes, newBytes } = installed;
  say(`${runtime} is installed: ${rough(bytes)}, ${rough(newBytes)} of them new on the disk`);
  return 0;
}

function rough(bytes: number): string {
  const unit = bytes < 1024 ** 2 ? 1024 : 1024 ** 2;
  return formatBytes(Math.round(bytes / unit) * unit);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
