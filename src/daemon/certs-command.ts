// `joblet certs`: makes, adds, rotates, revokes and lists certificates. A running daemon notices by
// itself.

import path from 'node:path';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { JobletError, messageOf } from '../shared/errors.ts';
import { CertificateFiles, type Issued } from './certificate-files.ts';
import { CERTIFICATE_DAYS } from './certs.ts';
import { type Role, roles } from './jobs/job.ts';

const USAGE = `joblet certs makes the certificates by which a node and its clients know each other.

Usage:
  joblet certs init [--address HOST[:PORT]] [--name NAME]...   authority, server, one client per role
  joblet certs add NAME --role ROLE [--days N]                 one more client
  joblet certs rotate server|NAME [--name NAME]... [--days N]  a new certificate in place of the old
  joblet certs revoke NAME|SERIAL                              counts no more, from now on
  joblet certs list [--json]

  --dir DIR   where they lie; default ${defaultDirectory()}
  --address   what clients are told; default localhost:50051
  --name      one more name or address that the server answers to
  ROLE        ${roles.join(', ')}

A running daemon takes new certificates and revocations over without a restart.

Example:
  joblet certs add ann --role developer && scp rnx-config-ann.yml ann@laptop:.rnx/rnx-config.yml
`;

const DEFAULT_PORT = 50_051;
const MAX_DAYS = 3650;

const options = {
  dir: { type: 'string' },
  address: { type: 'string' },
  name: { type: 'string', multiple: true },
  role: { type: 'string' },
  days: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies ParseArgsConfig['options'];

type Values = ReturnType<typeof parse>['values'];

type Verb = (files: CertificateFiles, words: string[], values: Values) => Promise<void> | void;

const verbs: Readonly<Record<string, Verb>> = { init, add, rotate, revoke, list };

/** Runs `joblet certs ARGV`; answers the exit code. */
export async function certsCommand(argv: string[]): Promise<number> {
  const { values, positionals } = parse(argv);
  const [word, ...words] = positionals;
  if (values.help === true || word === undefined) {
    process.stdout.write(USAGE);
    return values.help === true ? 0 : 2;
  }
  const verb = Object.hasOwn(verbs, word) ? verbs[word] : undefined;
  if (verb === undefined) throw misused(`certs knows no ${JSON.stringify(word)}`);
  const directory = path.resolve(values.dir ?? defaultDirectory());
  await verb(new CertificateFiles(directory, Date.now()), words, values);
  return 0;
}

async function init(files: CertificateFiles, words: string[], values: Values): Promise<void> {
  expect(words, []);
  const { host, port } = readAddress(values.address ?? 'localhost');
  const address = `${host}:${port}`;
  await files.init({ address, port, names: values.name ?? [] });
  const directory = path.resolve(values.dir ?? defaultDirectory());
  say(`Certificates were made in ${directory}:`);
  say(
    `  joblet-config.yml       the daemon's: joblet serve --config ${directory}/joblet-config.yml`,
  );
  say("  rnx-config.yml          an admin's; keep it as ~/.rnx/rnx-config.yml");
  say(`  rnx-config-ROLE.yml     one for each role: ${roles.join(', ')}`);
  say('  ca-key.pem              signs new ones; the daemon does not need it, so keep it safe');
}

async function add(files: CertificateFiles, words: string[], values: Values): Promise<void> {
  const [name = ''] = expect(words, ['NAME']);
  say(`Client ${name}: ${await files.add(name, readRole(values.role), readDays(values.days))}`);
}

async function rotate(files: CertificateFiles, words: string[], values: Values): Promise<void> {
  const [name = ''] = expect(words, ['server or NAME']);
  const file = await files.rotate(name, values.name ?? [], readDays(values.days));
  say(`New certificate of ${name}: ${file}`);
  if (name !== 'server') {
    say(`The old one counts until it expires; end it with: joblet certs revoke SERIAL (see list)`);
  }
}

function revoke(files: CertificateFiles, words: string[]): void {
  const [name = ''] = expect(words, ['NAME or SERIAL']);
  const revoked = files.revoke(name);
  if (revoked.length === 0) say(`${name} is revoked already`);
  for (const issued of revoked) say(`Revoked: ${issued.name} ${issued.serial}`);
}

function list(files: CertificateFiles, words: string[], values: Values): void {
  expect(words, []);
  const issued = files.list();
  if (values.json === true) {
    const rows = issued.map(({ expiresAtMs, units, ...rest }) => ({
      ...rest,
      roles: units,
      expires: new Date(expiresAtMs).toISOString(),
    }));
    say(JSON.stringify(rows, null, 2));
    return;
  }
  for (const row of toTable(issued)) say(row);
}

function toTable(issued: readonly Issued[]): string[] {
  const rows = [
    ['NAME', 'ROLE', 'STATE', 'EXPIRES', 'SERIAL'],
    ...issued.map(({ name, units, state, expiresAtMs, serial }) => [
      name,
      units.join(' ') || '-',
      state,
      new Date(expiresAtMs).toISOString().slice(0, 10),
      serial,
    ]),
  ];
  const widths = [0, 1, 2, 3].map((column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows.map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  '));
}

function parse(argv: string[]) {
  try {
    return parseArgs({ args: argv, options, allowPositionals: true });
  } catch (error) {
    // Its first sentence says what is wrong; the rest advises what nobody here wants.
    throw misused(messageOf(error).split('. ')[0] ?? '');
  }
}

/** The words of a command, when they are as many as it takes. */
function expect(words: string[], wanted: readonly string[]): string[] {
  if (words.length === wanted.length) return words;
  throw misused(
    wanted.length === 0
      ? `${JSON.stringify(words[0])} is one word too many`
      : `it takes ${wanted.join(' ')}, and got ${words.length} words`,
  );
}

function readRole(word: string | undefined): Role {
  const role = roles.find((known) => known === word);
  if (role !== undefined) return role;
  throw misused(`--role is one of ${roles.join(', ')}`);
}

function readDays(text: string | undefined): number {
  if (text === undefined) return CERTIFICATE_DAYS;
  const days = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (days < 1 || days > MAX_DAYS) throw misused(`--days is from 1 to ${MAX_DAYS}`);
  return days;
}

/** `host`, `host:port` or `[address]:port`; the host keeps its brackets. */
function readAddress(text: string): { readonly host: string; readonly port: number } {
  const match = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(text);
  const port = match?.[2] === undefined ? DEFAULT_PORT : Number(match[2]);
  const host = match?.[1];
  if (host === undefined || port < 1 || port > 65_535) {
    throw misused(`--address ${JSON.stringify(text)} is no HOST[:PORT]`);
  }
  return { host, port };
}

function defaultDirectory(): string {
  const file = process.env['JOBLET_CONFIG_PATH'];
  return file ? path.dirname(file) : '/opt/joblet/config';
}

function misused(what: string): JobletError {
  return new JobletError('invalid', `${what}; see \`joblet certs --help\``);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
