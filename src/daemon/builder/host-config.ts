// What the builder's program needs of the host's own configuration to reach mirrors and registries:
// apt's, pip's and npm's, written into a folder for it. No address of any stands in our sources.

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Base } from '../../shared/build-base.ts';
import { formatBase } from '../../shared/build-base.ts';
import { hostFolder, places } from '../../shared/build-task.ts';
import { JobletError } from '../../shared/errors.ts';
import { run } from '../linux/programs.ts';
import {
  type AptSource,
  formatSource,
  parseRelease,
  parseSources,
  sourcesFor,
} from './apt-sources.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const CA_FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/cert.pem',
] as const;

/** What of pip's configuration says where packages are and how to get there. */
const pipKeys = ['index-url', 'extra-index-url', 'trusted-host', 'proxy', 'timeout', 'retries'];
const npmKeys = ['registry', 'proxy', 'https-proxy', 'noproxy', 'strict-ssl'];

/** Writes all of it below `input`, for a base. */
export async function writeHostConfig(
  input: string,
  base: Base,
  configuredSources: readonly string[],
  env: Environment,
): Promise<void> {
  const folder = path.join(input, hostFolder);
  mkdirSync(folder, { recursive: true });
  if (base.kind === 'suite') await writeApt(folder, base, configuredSources);
  const homes = [env['HOME'] ?? '/root', '/root'];
  writeFileSync(path.join(folder, 'pip.conf'), formatPip(readPip(homes, env)), { mode: 0o600 });
  writeFileSync(path.join(folder, 'npmrc'), readNpm(homes, env), { mode: 0o600 });
  const authorities = [env['SSL_CERT_FILE'] ?? '', ...CA_FILES].find((file) => existsSync(file));
  if (authorities !== undefined)
    cpSync(authorities, path.join(folder, 'ca.crt'), { dereference: true });
}

/** Variables by which programs, ours among them, find their way through a proxy, and whom they trust. */
export function networkEnvironment(env: Environment): Record<string, string> {
  const proxies = ['http_proxy', 'https_proxy', 'no_proxy'].flatMap((name) => {
    const value = env[name] ?? env[name.toUpperCase()] ?? '';
    return value === '' ? [] : [[name, value] as const];
  });
  return {
    ...Object.fromEntries(proxies),
    NODE_USE_ENV_PROXY: '1',
    NODE_EXTRA_CA_CERTS: path.join(places.input, hostFolder, 'ca.crt'),
  };
}

async function writeApt(
  folder: string,
  base: Base & { kind: 'suite' },
  configuredSources: readonly string[],
): Promise<void> {
  const release = parseRelease(readIfThere('/etc/os-release'));
  const configured = configuredSources.flatMap((line) => parseSources(line));
  const sources = sourcesFor(base, configured, readHostSources(), release);
  if (sources.length === 0) {
    throw new JobletError(
      'unsupported',
      `no mirror of ${formatBase(base)} is known: this host has none in /etc/apt; name one in the configuration (runtime.aptSources)`,
    );
  }
  const lines = sources.map((source, index) =>
    formatSource(source, keyringOf(source, folder, index)),
  );
  writeFileSync(path.join(folder, 'sources.list'), `${[...new Set(lines)].join('\n')}\n`);
  for (const name of ['trusted.gpg.d', 'auth.conf.d']) {
    mkdirSync(path.join(folder, name), { mode: 0o700 });
    const host = path.join('/etc/apt', name);
    if (existsSync(host))
      cpSync(host, path.join(folder, name), { recursive: true, dereference: true });
  }
  // How apt reaches anything, and nothing of what it does when it has.
  const dump = await run('apt-config', 'dump');
  const lookingOut = dump.split('\n').filter((line) => line.startsWith('Acquire::'));
  writeFileSync(path.join(folder, 'apt.conf'), `${lookingOut.join('\n')}\n`);
}

function readHostSources(): AptSource[] {
  const folder = '/etc/apt/sources.list.d';
  const names = existsSync(folder) ? readdirSync(folder).toSorted() : [];
  const files = names
    .filter((name) => /\.(list|sources)$/.test(name))
    .map((name) => path.join(folder, name));
  return ['/etc/apt/sources.list', ...files].flatMap((file) => parseSources(readIfThere(file)));
}

/** The file with a source's key, as the builder's program sees it. */
function keyringOf({ signedBy }: AptSource, folder: string, index: number): string {
  const isText = signedBy.startsWith('-----BEGIN');
  // Below /usr it is where it is on the host.
  if (signedBy === '' || (!isText && signedBy.startsWith('/usr/'))) return signedBy;
  if (!isText && !existsSync(signedBy)) return signedBy;
  const extension = isText ? '.asc' : path.extname(signedBy);
  const name = `keyring-${index}${extension}`;
  // In stanzas a full stop stands for an empty line.
  const key = isText
    ? signedBy.replaceAll(/^ ?\.$/gm, '').replaceAll(/^ /gm, '')
    : readFileSync(signedBy);
  writeFileSync(path.join(folder, name), isText ? `${key}\n` : key);
  return path.join(places.input, hostFolder, name);
}

/** Files in the order in which a later one wins, then variables. */
function readPip(homes: readonly string[], env: Environment): Map<string, string> {
  const files = [
    '/etc/pip.conf',
    ...homes
      .toReversed()
      .flatMap((home) => [`${home}/.pip/pip.conf`, `${home}/.config/pip/pip.conf`]),
    env['PIP_CONFIG_FILE'] ?? '',
  ];
  const values = new Map<string, string>();
  for (const file of files) {
    for (const [key, value] of parsePip(readIfThere(file))) values.set(key, value);
  }
  for (const key of pipKeys) {
    const value = env[`PIP_${key.toUpperCase().replaceAll('-', '_')}`];
    if (value !== undefined && value !== '') values.set(key, value);
  }
  return values;
}

/** Keys of the sections that count for installing. A value may go on on lines that are further in. */
export function parsePip(text: string): [key: string, value: string][] {
  const found: [string, string][] = [];
  let isMeant = false;
  let last: [string, string] | undefined;
  for (const line of text.split('\n')) {
    const [, section] = /^\[([^\]]+)\]/.exec(line) ?? [];
    if (section !== undefined) {
      isMeant = section === 'global' || section === 'install';
      last = undefined;
      continue;
    }
    const [, name = '', value = ''] = /^([a-z][a-z_-]*)\s*[=:]\s*(.*)$/i.exec(line) ?? [];
    if (name !== '') {
      last = [name.toLowerCase().replaceAll('_', '-'), value.trim()];
      if (isMeant && pipKeys.includes(last[0])) found.push(last);
    } else if (last !== undefined && /^\s+[^\s#;]/.test(line)) {
      last[1] += ` ${line.trim()}`;
    }
  }
  return found;
}

function formatPip(values: ReadonlyMap<string, string>): string {
  const lines = [...values].map(
    ([key, value]) => `${key} = ${value.trim().replaceAll(/\s+/g, ' ')}`,
  );
  return `[global]\n${lines.join('\n')}\n`;
}

function readNpm(homes: readonly string[], env: Environment): string {
  const files = [
    '/etc/npmrc',
    '/usr/etc/npmrc',
    ...homes.toReversed().map((home) => `${home}/.npmrc`),
  ];
  const lines = files.flatMap((file) => readIfThere(file).split('\n')).filter(isNpmAddress);
  const fromEnvironment = npmKeys.flatMap((key) => {
    const variable = `npm_config_${key.replaceAll('-', '_')}`;
    const value = env[variable] ?? env[variable.toUpperCase()];
    return value === undefined || value === '' ? [] : [`${key}=${value}`];
  });
  return `${[...lines, ...fromEnvironment].join('\n')}\n`;
}

/** Where packages are, for all or for a scope, and what opens the door there. */
function isNpmAddress(line: string): boolean {
  const [key = ''] = line.split('=');
  const name = key.trim();
  return (
    npmKeys.includes(name) || /^@[^:]+:registry$/.test(name) || /^\/\/.+:_[A-Za-z]+$/.test(name)
  );
}

function readIfThere(file: string): string {
  try {
    return file === '' ? '' : readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
