// Packages of pip and npm, installed by the tree's own pip and npm. What they are told of the network
// is the host's configuration, which lies in the tree only meanwhile.

import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { BuildLock, LockedWheel } from '../shared/build-lock.ts';
import type { BuildSpec } from '../shared/build-spec.ts';
import { hostFolder, places } from '../shared/build-task.ts';
import { runInTree } from './chroot.ts';
import { BuildError, say } from './output.ts';
import { resolveIn } from './tree-path.ts';

/** A folder of the tree that is there while it is built. */
const MEANWHILE = '/.joblet-build';

/** Since when pip can say what it would install. */
const PIP_THAT_REPORTS = [22, 2] as const;

/** Brings the host's configuration and names of the network into the tree. */
export async function openNetwork(): Promise<void> {
  const folder = path.join(places.tree, MEANWHILE);
  await mkdir(folder, { mode: 0o700 });
  for (const name of ['pip.conf', 'npmrc', 'ca.crt']) {
    const source = path.join(places.input, hostFolder, name);
    if (existsSync(source)) await copyFile(source, path.join(folder, name));
  }
  await mkdir(path.join(places.tree, 'etc'), { recursive: true });
  for (const name of ['resolv.conf', 'hosts']) {
    const place = path.join(places.tree, 'etc', name);
    await rm(place, { force: true });
    await copyFile(path.join('/etc', name), place);
    await chmod(place, 0o644);
  }
}

export async function closeNetwork(): Promise<void> {
  await rm(path.join(places.tree, MEANWHILE), { recursive: true, force: true });
  for (const name of ['resolv.conf', 'hosts']) {
    await rm(path.join(places.tree, 'etc', name), { force: true });
  }
}

/** What programs that use the network find there. */
export const networkVariables = {
  PIP_CONFIG_FILE: `${MEANWHILE}/pip.conf`,
  PIP_DISABLE_PIP_VERSION_CHECK: '1',
  PIP_NO_CACHE_DIR: '1',
  PIP_NO_INPUT: '1',
  PIP_ROOT_USER_ACTION: 'ignore',
  // The tree is nobody's system.
  PIP_BREAK_SYSTEM_PACKAGES: '1',
  NPM_CONFIG_USERCONFIG: `${MEANWHILE}/npmrc`,
  NPM_CONFIG_CACHE: '/tmp/npm',
  NPM_CONFIG_UPDATE_NOTIFIER: 'false',
  NPM_CONFIG_AUDIT: 'false',
  NPM_CONFIG_FUND: 'false',
  SSL_CERT_FILE: `${MEANWHILE}/ca.crt`,
  REQUESTS_CA_BUNDLE: `${MEANWHILE}/ca.crt`,
  NODE_EXTRA_CA_CERTS: `${MEANWHILE}/ca.crt`,
} as const;

const env = networkVariables;

/** Installs what pip is asked for; answers exactly what that was. */
export async function installPip(
  { pip, pip_options: options }: Pick<BuildSpec, 'pip' | 'pip_options'>,
  locked: readonly LockedWheel[] | undefined,
): Promise<readonly LockedWheel[]> {
  if (pip.length === 0) return [];
  const version = await pipVersion();
  if (compare(version, PIP_THAT_REPORTS) < 0) {
    say(`pip ${version.join('.')} cannot say what it takes; its packages are not locked`, 'warn');
    await runInTree('python3', ['-m', 'pip', 'install', '--no-compile', ...options, ...pip], {
      env,
    });
    return [];
  }
  const wheels = locked ?? (await resolvePip(pip, options));
  if (wheels.length === 0) return [];
  const lines = wheels.map(
    ({ name, version: v, sha256 }) => `${name}==${v} --hash=sha256:${sha256}`,
  );
  const requirements = `${MEANWHILE}/requirements.txt`;
  await writeFile(path.join(places.tree, requirements), `${lines.join('\n')}\n`);
  const fixed = ['--no-deps', '--no-compile', '--require-hashes', '--requirement', requirements];
  await runInTree('python3', ['-m', 'pip', 'install', ...options, ...fixed], { env });
  return wheels;
}

async function pipVersion(): Promise<readonly number[]> {
  const text = await runInTree('python3', ['-m', 'pip', '--version'], { quiet: true, env }).catch(
    () => '',
  );
  const [, major, minor] = /^pip (\d+)\.(\d+)/.exec(text) ?? [];
  if (major !== undefined) return [Number(major), Number(minor)];
  throw new BuildError('the tree has no pip for its Python; add python3-pip to apt');
}

function compare(a: readonly number[], b: readonly number[]): number {
  return (a[0] ?? 0) - (b[0] ?? 0) || (a[1] ?? 0) - (b[1] ?? 0);
}

interface PipReport {
  readonly install: readonly {
    readonly metadata: { readonly name: string; readonly version: string };
    readonly download_info: {
      readonly archive_info?: {
        readonly hash?: string;
        readonly hashes?: Readonly<Record<string, string>>;
      };
    };
  }[];
}

/** What pip would install, as it finds it now. */
async function resolvePip(
  pip: readonly string[],
  options: readonly string[],
): Promise<readonly LockedWheel[]> {
  const file = `${MEANWHILE}/report.json`;
  const report = ['--dry-run', '--quiet', '--report', file];
  await runInTree('python3', ['-m', 'pip', 'install', ...report, ...options, ...pip], { env });
  const place = resolveIn(places.tree, file, true) ?? '';
  const { install } = JSON.parse(await readFile(place, 'utf8')) as PipReport;
  return install.map(({ metadata, download_info: { archive_info: archive } }) => {
    const { name, version } = metadata;
    const sha256 = archive?.hashes?.['sha256'] ?? archive?.hash?.replace(/^sha256=/, '');
    if (sha256 === undefined) throw new BuildError(`pip has no digest of ${name} ${version}`);
    return { name, version, sha256 };
  });
}

/** Installs what npm is asked for, for everybody; answers what that was. */
export async function installNpm(
  npm: readonly string[],
  lock: BuildLock | undefined,
): Promise<BuildLock['npm']> {
  if (npm.length === 0) return [];
  const wanted = lock === undefined ? npm : lock.npm.map((each) => `${each.name}@${each.version}`);
  // What these need in turn has ranges: nothing newer than the lock is taken.
  const before = lock === undefined ? [] : [`--before=${lock.time}`];
  await runInTree('npm', ['install', '--global', '--no-progress', ...before, ...wanted], { env });
  const text = await runInTree('npm', ['ls', '--global', '--json', '--depth=0'], {
    env,
    quiet: true,
  });
  const { dependencies = {} } = JSON.parse(text) as {
    dependencies?: Record<string, { version?: string }>;
  };
  const names = new Set(npm.map((word) => /^(@?[^@]+)/.exec(word)?.[1] ?? word));
  return Object.entries(dependencies)
    .filter(([name]) => names.has(name))
    .map(([name, { version = '' }]) => ({ name, version }));
}
