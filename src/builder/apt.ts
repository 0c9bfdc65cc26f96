// Packages of a suite: which ones a wish comes to, where they are had from, and a repository of those
// alone, so that what is installed is exactly what was locked.
//
// Two apts: one asks the mirrors, with the host's sources; one installs, and knows nothing but files.

import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { LockedDeb } from '../shared/build-lock.ts';
import { archivesFolder, debsFolder, hostFolder, places } from '../shared/build-task.ts';
import { BuildError, say } from './output.ts';
import { run } from './programs.ts';

const host = path.join(places.input, hostFolder);
const debs = path.join(places.out, debsFolder);
const mirrorConfig = path.join(places.work, 'mirror.conf');
const installConfig = path.join(places.work, 'install.conf');

/** Names of packages on one command line. */
const NAMES_AT_ONCE = 500;

const common = (folder: string) => [
  `Dir::Etc "${folder}/etc";`,
  `Dir::State "${folder}/state";`,
  `Dir::Cache "${folder}/cache";`,
  'Dir::Bin::Methods "/usr/lib/apt/methods";',
  'APT::Install-Recommends "false";',
  'APT::Install-Suggests "false";',
  // Everything in here runs as somebody that is nobody on the host.
  'APT::Sandbox::User "root";',
  'APT::Get::Assume-Yes "true";',
  'APT::Get::AutomaticRemove "false";',
  // For a tree apt itself is a package like others.
  'pkgCacheGen::ForceEssential ",";',
  'Acquire::Languages "none";',
  'Dpkg::Use-Pty "false";',
  `Dir::Log "${folder}/log";`,
  'DPkg::Options { "--force-unsafe-io"; "--force-confdef"; "--force-confold"; };',
];

const folders = ['etc/apt.conf.d', 'etc/preferences.d', 'etc/sources.list.d', 'etc/trusted.gpg.d'];

async function makeConfig(file: string, more: readonly string[]): Promise<void> {
  const folder = file.replace(/\.conf$/, '');
  const made = [...folders, 'state/lists/partial', 'cache/archives/partial', 'log'];
  for (const each of made) await mkdir(path.join(folder, each), { recursive: true });
  await writeFile(file, `${[...common(folder), ...more].join('\n')}\n`);
}

const apt = (config: string, program: string, ...args: readonly string[]) =>
  run(program, args, { env: { APT_CONFIG: config, DEBIAN_FRONTEND: 'noninteractive' } });
const ask = (config: string, program: string, ...args: readonly string[]) =>
  run(program, args, { env: { APT_CONFIG: config }, quiet: true });

/** Reads what the mirrors have. */
export async function updateMirrors(architecture: string): Promise<void> {
  const status = path.join(places.work, 'mirror.status');
  await writeFile(status, '');
  await makeConfig(mirrorConfig, [
    `APT::Architecture "${architecture}";`,
    `APT::Architectures { "${architecture}"; };`,
    `Dir::State::status "${status}";`,
    `Dir::Cache::archives "${debs}";`,
    `Dir::Etc::sourcelist "${host}/sources.list";`,
    `Dir::Etc::trustedparts "${host}/trusted.gpg.d";`,
    `Dir::Etc::netrcparts "${host}/auth.conf.d";`,
    `#include "${host}/apt.conf";`,
  ]);
  await mkdir(path.join(debs, 'partial'), { recursive: true });
  await apt(mirrorConfig, 'apt-get', 'update', '--error-on=any');
}

/** When what the mirrors have was published last, as RFC 3339. */
export async function suiteTime(): Promise<string> {
  const lists = path.join(mirrorConfig.replace(/\.conf$/, ''), 'state/lists');
  let newest = 0;
  for (const name of await readdir(lists)) {
    if (!/_(In)?Release$/.test(name)) continue;
    const text = await readFile(path.join(lists, name), 'utf8');
    const atMs = Date.parse(/^Date: (.*)$/m.exec(text)?.[1] ?? '');
    if (Number.isFinite(atMs)) newest = Math.max(newest, atMs);
  }
  return new Date(newest).toISOString();
}

/** A package, by what nobody else has. */
export type Offer = Omit<LockedDeb, 'essential'>;

/** Whether the mirrors have a package. */
export async function isKnown(name: string): Promise<boolean> {
  return ask(mirrorConfig, 'apt-cache', 'show', name).then(
    () => true,
    () => false,
  );
}

export type Named = Pick<LockedDeb, 'name' | 'version' | 'architecture'>;

/** The packages that `names` come to, with all they depend on. */
export async function listPackages(names: readonly string[]): Promise<Named[]> {
  const uris = await ask(mirrorConfig, 'apt-get', '-qq', '--print-uris', 'install', ...names);
  return uris
    .split('\n')
    .map((line) => / (\S+\.deb) \d+ /.exec(line)?.[1] ?? '')
    .filter((file) => file !== '')
    .map((file) => {
      const [name = '', version = '', architecture = ''] = file.replace(/\.deb$/, '').split('_');
      return { name, version: decodeURIComponent(version), architecture };
    });
}

/** The same with their digests. */
export async function resolvePackages(names: readonly string[]): Promise<Offer[]> {
  const wanted = await listPackages(names);
  const digests = await digestsOf(wanted);
  return wanted.map((each) => {
    const sha256 = digests.get(keyOf(each));
    if (sha256 === undefined) throw new BuildError(`the mirrors have no digest of ${fileOf(each)}`);
    return { ...each, sha256 };
  });
}

function keyOf({ name, version, architecture }: Named): string {
  return `${name}=${version}:${architecture}`;
}

/** SHA-256 of packages, as the signed index has them. */
async function digestsOf(wanted: readonly Named[]): Promise<Map<string, string>> {
  const digests = new Map<string, string>();
  for (let at = 0; at < wanted.length; at += NAMES_AT_ONCE) {
    const names = wanted
      .slice(at, at + NAMES_AT_ONCE)
      .map(({ name, version }) => `${name}=${version}`);
    const text = await ask(mirrorConfig, 'apt-cache', 'show', ...names);
    for (const stanza of text.split(/\n\n+/)) {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1] ?? '';
      const sha256 = field('SHA256');
      const [name, version] = [field('Package'), field('Version')];
      if (sha256 !== '')
        digests.set(keyOf({ name, version, architecture: field('Architecture') }), sha256);
    }
  }
  return digests;
}

/** The name of a package's file, as apt has it. */
export function fileOf({ name, version, architecture }: Named): string {
  return `${name}_${version.replaceAll(':', '%3a')}_${architecture}.deb`;
}

/** Takes from the cache what is there; answers what is not. */
export async function takeFromCache(wanted: readonly LockedDeb[]): Promise<LockedDeb[]> {
  await mkdir(path.join(debs, 'partial'), { recursive: true });
  const missing: LockedDeb[] = [];
  for (const each of wanted) {
    const cached = path.join(places.cache, `${each.sha256}.deb`);
    const target = path.join(debs, fileOf(each));
    if (existsSync(cached)) await copyFile(cached, target);
    // A cache may be damaged, and apt looks at the size alone.
    if (existsSync(target) && (await sha256Of(target)) === each.sha256) continue;
    await rm(target, { force: true });
    missing.push(each);
  }
  return missing;
}

/** Fetches packages from the mirrors. */
export async function fetchPackages(wanted: readonly LockedDeb[]): Promise<void> {
  if (wanted.length === 0) return;
  say(`fetching ${wanted.length} packages`);
  for (let at = 0; at < wanted.length; at += NAMES_AT_ONCE) {
    const names = wanted
      .slice(at, at + NAMES_AT_ONCE)
      .map(({ name, version, architecture }) =>
        architecture === 'all' ? `${name}=${version}` : `${name}:${architecture}=${version}`,
      );
    // Into the folder of the command, one by one, whatever they depend on.
    await run('apt-get', ['-qq', 'download', ...names], {
      cwd: debs,
      env: { APT_CONFIG: mirrorConfig },
    });
  }
  for (const each of wanted) {
    const found = await sha256Of(path.join(debs, fileOf(each))).catch(() => 'nothing');
    if (found !== each.sha256) {
      throw new BuildError(
        `${each.name} ${each.version} should have the digest ${each.sha256}, and the mirror has ${found}`,
      );
    }
  }
}

/** Lays the packages into the tree, as a repository of its own. */
export async function makeRepository(packages: readonly LockedDeb[]): Promise<void> {
  const archives = path.join(places.tree, archivesFolder);
  await mkdir(archives, { recursive: true });
  const index: string[] = [];
  for (const each of packages) {
    const file = path.join(debs, fileOf(each));
    const inTree = path.join(archives, fileOf(each));
    await copyFile(file, inTree);
    const control = await run('dpkg-deb', ['--field', file], { quiet: true });
    const { size } = await stat(file);
    index.push(
      `${control.trimEnd()}\nFilename: ./${fileOf(each)}\nSize: ${size}\nSHA256: ${each.sha256}\n`,
    );
  }
  await writeFile(path.join(archives, 'Packages'), `${index.join('\n')}\n`);
}

/** Lets the other apt know of the repository. */
export async function openRepository(architecture: string): Promise<void> {
  const archives = path.join(places.root, archivesFolder);
  await makeConfig(installConfig, [
    `APT::Architecture "${architecture}";`,
    `APT::Architectures { "${architecture}"; };`,
    `Dir::State::status "${places.root}/var/lib/dpkg/status";`,
    `Dir::Cache::archives "${archives}";`,
    `DPkg::Chroot-Directory "${places.root}";`,
    'APT::Get::AllowUnauthenticated "true";',
  ]);
  const list = path.join(installConfig.replace(/\.conf$/, ''), 'etc/sources.list');
  await writeFile(list, `deb [trusted=yes] file:${archives} ./\n`);
  await apt(installConfig, 'apt-get', '-qq', 'update');
}

/** Installs packages of the repository, in the order that apt finds. */
export async function installPackages(packages: readonly LockedDeb[]): Promise<void> {
  const names = packages.map(({ name, version }) => `${name}=${version}`);
  await apt(installConfig, 'apt-get', '-qq', '--allow-downgrades', 'install', ...names);
}

/** Leaves in `out` the packages that the cache does not have, named by their digests. */
export async function keepNewPackages(fetched: readonly LockedDeb[]): Promise<void> {
  for (const each of fetched) {
    await rename(path.join(debs, fileOf(each)), path.join(debs, `${each.sha256}.deb`));
  }
  for (const name of await readdir(debs)) {
    if (!/^[0-9a-f]{64}\.deb$/.test(name)) await rm(path.join(debs, name), { recursive: true });
  }
}

export async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
