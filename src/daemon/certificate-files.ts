// A node's certificates as files in one directory, and what is done to them:
//
//   joblet-config.yml        the daemon's configuration, with its certificate and key in it
//   ca-cert.pem, ca-key.pem  the authority; only these commands need its key
//   rnx-config-NAME.yml      what a client needs, with certificate and key in it
//   rnx-config.yml           the same for the first admin
//   certs/                   the same again as single files
//   issued/SERIAL.pem        every certificate that was ever made; public
//   revoked                  serial numbers that count no more
//
// A file is replaced as a whole, so that a daemon that watches never reads half of one.

import { randomUUID, X509Certificate } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { Document, isMap, parseDocument, Scalar } from 'yaml';
import { JobletError } from '../shared/errors.ts';
import { checkName } from '../shared/names.ts';
import { CERTIFICATE_DAYS, issue, type KeyPair, makeAuthority } from './certs.ts';
import { readRevoked } from './credentials.ts';
import { type Role, roles } from './jobs/job.ts';

export interface InitOptions {
  /** What clients are told, as `host:port`. */
  readonly address: string;
  readonly port: number;
  /** More names and addresses that the server is to answer to. */
  readonly names: readonly string[];
}

export type CertificateState = 'valid' | 'expired' | 'revoked';

/** A certificate that was issued. */
export interface Issued {
  readonly name: string;
  readonly kind: 'client' | 'server';
  /** The roles in it; a server has none. */
  readonly units: readonly string[];
  readonly serial: string;
  readonly expiresAtMs: number;
  readonly state: CertificateState;
}

const CONFIG = 'joblet-config.yml';
const NODES = 'rnx-config.yml';
const AUTHORITY_CERT = 'ca-cert.pem';
const AUTHORITY_KEY = 'ca-key.pem';
const FIRST_ADMIN = 'admin';
const SERVER = 'server';

const PRIVATE = 0o600;
const PUBLIC = 0o644;

export class CertificateFiles {
  readonly #directory: string;
  readonly #nowMs: number;

  constructor(directory: string, nowMs: number) {
    this.#directory = directory;
    this.#nowMs = nowMs;
  }

  /**
   * Makes an authority, the server's certificate and one client for each role. Fills them into a
   * configuration that is there, or writes one. Throws `exists` when there are certificates already.
   */
  async init(options: InitOptions): Promise<void> {
    const config = this.#readConfig() ?? newConfig(options.port);
    if (existsSync(this.#at(AUTHORITY_KEY)) || config.hasIn(['security', 'serverCert'])) {
      throw new JobletError(
        'exists',
        `${this.#directory} has certificates already; use \`joblet certs add\` or \`rotate\`, or name another --dir`,
      );
    }
    for (const directory of ['', 'certs', 'issued']) {
      mkdirSync(this.#at(directory), { recursive: true, mode: 0o700 });
    }
    const authority = await makeAuthority(this.#nowMs);
    const server = await issue(
      authority,
      { kind: 'server', names: [hostOf(options.address), ...options.names] },
      this.#nowMs,
    );
    this.#write(AUTHORITY_KEY, authority.key, PRIVATE);
    this.#write(AUTHORITY_CERT, authority.cert, PUBLIC);
    this.#write('certs/ca-cert.pem', authority.cert, PUBLIC);
    this.#keepIssued(server);
    setPem(config, 'serverCert', server.cert);
    setPem(config, 'serverKey', server.key);
    setPem(config, 'caCert', authority.cert);
    const nodeId = String(config.getIn(['server', 'nodeId']) ?? '');
    for (const role of roles) {
      await this.#makeClient(role, [role], { address: options.address, nodeId }, CERTIFICATE_DAYS);
    }
    this.#write(CONFIG, config.toString({ lineWidth: 0 }), PRIVATE);
  }

  /** Makes a certificate for one more client. Throws `exists` when the name has one that counts. */
  async add(name: string, role: Role, days: number): Promise<string> {
    const problem = checkName(name);
    if (problem !== undefined)
      throw new JobletError('invalid', `${JSON.stringify(name)} ${problem}`);
    if (name === SERVER || this.#valid(name).length > 0) {
      throw new JobletError(
        'exists',
        `${name} has a certificate already; make it anew with \`joblet certs rotate ${name}\``,
      );
    }
    return this.#makeClient(name, [role], this.#node(), days);
  }

  /**
   * Makes a certificate anew, with the same names or the same role. The old one of a client counts
   * on until it expires or is revoked. Answers the file that holds the new one.
   */
  async rotate(name: string, moreNames: readonly string[], days: number): Promise<string> {
    if (name === SERVER) return this.#rotateServer(moreNames, days);
    const last = this.list().findLast((issued) => issued.kind === 'client' && issued.name === name);
    if (last === undefined) throw this.#unknown(name);
    return this.#makeClient(name, last.units, this.#node(), days);
  }

  /** Revokes all certificates of a name, or the one of a serial number. Answers what it revoked. */
  revoke(nameOrSerial: string): Issued[] {
    const serial = nameOrSerial.toUpperCase();
    const found = this.list().filter(
      (issued) => issued.name === nameOrSerial || issued.serial === serial,
    );
    if (found.length === 0) throw this.#unknown(nameOrSerial);
    if (found.some(({ kind }) => kind === 'server')) {
      throw new JobletError(
        'invalid',
        'clients do not ask whether the server is revoked; replace its certificate with `joblet certs rotate server`',
      );
    }
    const fresh = found.filter(({ state }) => state !== 'revoked');
    const today = new Date(this.#nowMs).toISOString();
    const lines = fresh.map(({ serial, name }) => `${serial} ${name} ${today}\n`);
    const file = this.#revokedFile();
    const before = existsSync(file) ? readFileSync(file, 'utf8') : '';
    const sound = before === '' || before.endsWith('\n') ? before : `${before}\n`;
    if (lines.length > 0) replaceFile(file, sound + lines.join(''), PUBLIC);
    return fresh;
  }

  /** Every certificate that was issued, by name, the oldest first. */
  list(): Issued[] {
    const directory = this.#at('issued');
    if (!existsSync(directory)) throw this.#nothing();
    const revoked = readRevoked(this.#revokedFile());
    return (
      readdirSync(directory)
        .filter((file) => file.endsWith('.pem'))
        .map((name) => {
          const file = path.join(directory, name);
          return { certificate: new X509Certificate(readFileSync(file)), ...statSync(file) };
        })
        // Certificates know whole seconds, files less than that.
        .sort((a, b) => startMs(a) - startMs(b) || a.mtimeMs - b.mtimeMs)
        .map(({ certificate }) => this.#describe(certificate, revoked))
        .sort((a, b) => a.name.localeCompare(b.name))
    );
  }

  #describe(certificate: X509Certificate, revoked: ReadonlySet<string>): Issued {
    const { CN, OU } = certificate.toLegacyObject().subject as Record<string, string | string[]>;
    const units = [OU ?? []].flat();
    const kind = units.length === 0 ? 'server' : 'client';
    const serial = certificate.serialNumber.toUpperCase();
    const expiresAtMs = certificate.validToDate.getTime();
    const state = revoked.has(serial)
      ? 'revoked'
      : expiresAtMs <= this.#nowMs
        ? 'expired'
        : 'valid';
    const name = kind === 'server' ? SERVER : [CN ?? ''].flat().join(' ');
    return { name, kind, units, serial, expiresAtMs, state };
  }

  #valid(name: string): Issued[] {
    return this.list().filter((issued) => issued.name === name && issued.state === 'valid');
  }

  async #makeClient(
    name: string,
    units: readonly string[],
    node: { readonly address: string; readonly nodeId: string },
    days: number,
  ): Promise<string> {
    const authority = this.#authority();
    const pair = await issue(authority, { kind: 'client', name, units }, this.#nowMs, days);
    this.#keepIssued(pair);
    const text = nodesFile(node, pair, authority.cert);
    const file = `rnx-config-${name}.yml`;
    this.#write(file, text, PRIVATE);
    this.#write(`certs/${name}-client-cert.pem`, pair.cert, PUBLIC);
    this.#write(`certs/${name}-client-key.pem`, pair.key, PRIVATE);
    if (name === FIRST_ADMIN) {
      this.#write(NODES, text, PRIVATE);
      this.#write('certs/client-cert.pem', pair.cert, PUBLIC);
      this.#write('certs/client-key.pem', pair.key, PRIVATE);
    }
    return this.#at(file);
  }

  async #rotateServer(moreNames: readonly string[], days: number): Promise<string> {
    const config = this.#readConfig();
    if (config === undefined) throw this.#nothing();
    const isEmbedded = config.hasIn(['security', 'serverCert']);
    const embedded = isEmbedded ? String(config.getIn(['security', 'serverCert'])) : undefined;
    const names = [...this.#serverNames(embedded), ...moreNames];
    const pair = await issue(this.#authority(), { kind: 'server', names }, this.#nowMs, days);
    this.#keepIssued(pair);
    if (!isEmbedded) {
      // Placed at once when both are written: a daemon that watches is to find a pair.
      const drafts = [
        draftFile(this.#at('certs/server-key.pem'), pair.key, PRIVATE),
        draftFile(this.#at('certs/server-cert.pem'), pair.cert, PUBLIC),
      ];
      for (const place of drafts) place();
      return this.#at('certs/server-cert.pem');
    }
    setPem(config, 'serverCert', pair.cert);
    setPem(config, 'serverKey', pair.key);
    this.#write(CONFIG, config.toString({ lineWidth: 0 }), PRIVATE);
    return this.#at(CONFIG);
  }

  /** What the server answers to: by its certificate, or where that is lost by the last that was issued. */
  #serverNames(embedded: string | undefined): string[] {
    const held =
      embedded === undefined
        ? this.#findCertificate('certs/server-cert.pem')
        : toCertificate(embedded);
    const last = this.list().findLast(({ kind }) => kind === 'server');
    const known = held ?? this.#findCertificate(`issued/${last?.serial}.pem`);
    if (known === undefined) throw this.#unknown(SERVER);
    return namesOf(known);
  }

  #findCertificate(name: string): X509Certificate | undefined {
    const file = this.#at(name);
    return existsSync(file) ? toCertificate(readFileSync(file, 'utf8')) : undefined;
  }

  #authority(): KeyPair {
    if (!existsSync(this.#at(AUTHORITY_KEY))) throw this.#nothing();
    const read = (file: string) => readFileSync(this.#at(file), 'utf8');
    return { cert: read(AUTHORITY_CERT), key: read(AUTHORITY_KEY) };
  }

  /** What clients were told last about the server. */
  #node(): { readonly address: string; readonly nodeId: string } {
    const file = this.#at(NODES);
    const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
    const node: unknown = parseDocument(text).getIn(['nodes', 'default']);
    const field = (name: string) => (isMap(node) ? String(node.get(name) ?? '') : '');
    return { address: field('address') || 'localhost:50051', nodeId: field('nodeId') };
  }

  #readConfig(): Document | undefined {
    const file = this.#at(CONFIG);
    if (!existsSync(file)) return undefined;
    const document = parseDocument(readFileSync(file, 'utf8'));
    const [error] = document.errors;
    if (error === undefined) return document as Document;
    throw new JobletError('invalid', `${file}: ${error.message.split('\n')[0]}`, { about: file });
  }

  #revokedFile(): string {
    const set = this.#readConfig()?.getIn(['security', 'revokedFile']);
    return typeof set === 'string' && set !== '' ? set : this.#at('revoked');
  }

  #keepIssued(pair: KeyPair): void {
    const { serialNumber } = new X509Certificate(pair.cert);
    this.#write(`issued/${serialNumber}.pem`, pair.cert, PUBLIC);
  }

  #write(name: string, text: string, mode: number): void {
    replaceFile(this.#at(name), text, mode);
  }

  #at(name: string): string {
    return path.join(this.#directory, name);
  }

  #unknown(name: string): JobletError {
    return new JobletError(
      'not-found',
      `no certificate of ${JSON.stringify(name)} was issued in ${this.#directory}; see \`joblet certs list\``,
    );
  }

  #nothing(): JobletError {
    return new JobletError(
      'not-found',
      `${this.#directory} has no authority; make one with \`joblet certs init\`, or name its directory with --dir`,
    );
  }
}

/** Writes a file as a whole: who reads it meanwhile finds the old one or the new one. */
function replaceFile(file: string, text: string, mode: number): void {
  draftFile(file, text, mode)();
}

/** Writes a file beside its place; what it answers puts it there. */
function draftFile(file: string, text: string, mode: number): () => void {
  const draft = `${file}.${randomUUID()}`;
  writeFileSync(draft, text, { mode, flag: 'wx', flush: true });
  // Whatever the umask is: clients read what is public.
  chmodSync(draft, mode);
  return () => renameSync(draft, file);
}

function newConfig(port: number): Document {
  const config = new Document({
    version: '3.0',
    server: { address: '0.0.0.0', port, nodeId: randomUUID() },
  });
  config.commentBefore =
    ' The configuration of the Joblet daemon. `joblet config check` shows every key with its meaning.';
  return config;
}

function setPem(config: Document, key: string, pem: string): void {
  config.setIn(['security', key], literal(pem));
}

function literal(text: string): Scalar<string> {
  const scalar = new Scalar(text);
  scalar.type = Scalar.BLOCK_LITERAL;
  return scalar;
}

/** A nodes file as clients read it, with certificate and key in it. */
function nodesFile(
  { address, nodeId }: { readonly address: string; readonly nodeId: string },
  pair: KeyPair,
  authorityCert: string,
): string {
  const quoted = new Scalar(address);
  quoted.type = Scalar.QUOTE_DOUBLE;
  const file = new Document({
    version: '3.0',
    nodes: {
      default: {
        address: quoted,
        ...(nodeId === '' ? {} : { nodeId }),
        cert: literal(pair.cert),
        key: literal(pair.key),
        ca: literal(authorityCert),
      },
    },
  });
  file.commentBefore = ' For rnx: keep it as ~/.rnx/rnx-config.yml, readable by nobody else.';
  return file.toString({ lineWidth: 0 });
}

function startMs({ certificate }: { readonly certificate: X509Certificate }): number {
  return certificate.validFromDate.getTime();
}

function hostOf(address: string): string {
  return address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}

/** Undefined for what is no certificate. */
function toCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

/** The names that a server certificate answers to. */
function namesOf(certificate: X509Certificate): string[] {
  const names = certificate.subjectAltName ?? '';
  return names
    .split(', ')
    .map((name) => name.replace(/^(DNS|IP Address):/, ''))
    .filter((name) => name !== '');
}
