// Which daemon to talk to and with whose certificate: the nodes file (rnx-config.yml) with its
// embedded PEM texts, or, as the first generation of clients had it, an address and three files.

import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { JobletError, messageOf } from '../shared/errors.ts';
import { type PlainYaml, parsePlainYaml } from './plain-yaml.ts';

/** A daemon and what it takes to call it. */
export interface Node {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** The node's own id; empty when the file does not say. */
  readonly nodeId: string;
  /** PEM texts. */
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
  /** Where the certificates come from, for messages. */
  readonly source: string;
}

/** A node as the file has it, before anybody asks whether it is complete. */
export interface NodeEntry {
  readonly name: string;
  readonly address: string;
  readonly nodeId: string;
  readonly isDefault: boolean;
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

export interface NodesFile {
  readonly path: string;
  readonly nodes: readonly NodeEntry[];
  /** The `default_node` of the file; empty is none. */
  readonly defaultNode: string;
}

/** What the command line says about the node to use; undefined where it says nothing. */
export interface NodeChoice {
  readonly config?: string | undefined;
  readonly node?: string | undefined;
  readonly server?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly ca?: string | undefined;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_PORT = 50051;
const DEFAULT_SERVER = `localhost:${DEFAULT_PORT}`;
const DEFAULT_CERT = 'certs/client-cert.pem';
const DEFAULT_KEY = 'certs/client-key.pem';
const DEFAULT_CA = 'certs/ca-cert.pem';

/** Where a nodes file is looked for when nobody names one; the first that exists is used. */
export function searchPaths(): string[] {
  const home = homeDirectory();
  return [
    'rnx-config.yml',
    path.join('config', 'rnx-config.yml'),
    ...(home === undefined ? [] : [path.join(home, '.rnx', 'rnx-config.yml')]),
    '/etc/joblet/rnx-config.yml',
    '/opt/joblet/config/rnx-config.yml',
  ];
}

/** In a container a user may have neither HOME nor a line in passwd. */
function homeDirectory(): string | undefined {
  try {
    return homedir();
  } catch {
    return undefined;
  }
}

/**
 * The node to call. Flags win over the environment, and naming an address or certificate file wins
 * over the nodes file.
 * @throws JobletError when there is none, or it is incomplete
 */
export async function resolveNode(
  choice: NodeChoice,
  env: Environment,
  search: readonly string[] = searchPaths(),
): Promise<Node> {
  const files = {
    server: choice.server ?? env['JOBLET_SERVER'],
    cert: choice.cert ?? env['JOBLET_CERT_PATH'],
    key: choice.key ?? env['JOBLET_KEY_PATH'],
    ca: choice.ca ?? env['JOBLET_CA_PATH'],
  };
  const named = choice.server ?? choice.cert ?? choice.key ?? choice.ca;
  const namesFile = choice.config ?? choice.node;
  if (named !== undefined && namesFile !== undefined) {
    throw new JobletError(
      'invalid',
      '--server, --cert, --key and --ca choose a daemon by address, --config and --node one from the nodes file; use either',
    );
  }
  const anyFile = Object.values(files).some((value) => value !== undefined);
  if (anyFile && namesFile === undefined) return nodeOfFiles(files);
  const file = nodesFilePath(choice, env, search);
  if (file === undefined) {
    if (existsSync(DEFAULT_CERT)) return nodeOfFiles(files);
    throw noNodesFile(search);
  }
  return nodeOf(chooseEntry(await readNodesFile(file), choice.node ?? env['RNX_NODE']), file);
}

/** The nodes file in use; undefined when there is none. */
export function nodesFilePath(
  choice: NodeChoice,
  env: Environment,
  search: readonly string[] = searchPaths(),
): string | undefined {
  const explicit = choice.config ?? env['RNX_CONFIG'];
  if (explicit !== undefined && explicit !== '') return explicit;
  return search.find((candidate) => existsSync(candidate));
}

function noNodesFile(search: readonly string[]): JobletError {
  return new JobletError(
    'not-found',
    `failed to load client configuration: no rnx-config.yml was found (looked for ${search.join(', ')}); ` +
      'make one with `joblet certs init`, copy it from the server, or see `rnx config-help`',
  );
}

/**
 * Reads a nodes file.
 * @throws JobletError not-found, denied or invalid, naming the file
 */
export async function readNodesFile(file: string): Promise<NodesFile> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const denied = (error as NodeJS.ErrnoException).code === 'EACCES';
    throw new JobletError(
      denied ? 'denied' : 'not-found',
      `failed to load client configuration from ${file}: ${messageOf(error)}; see \`rnx config-help\``,
      { cause: error },
    );
  }
  return toNodesFile(parsePlainYaml(text) ?? (await parseAnyYaml(text, file)), file);
}

async function parseAnyYaml(text: string, file: string): Promise<unknown> {
  const { parse } = await import('yaml');
  try {
    // Its warnings would quote the file, whatever characters are in it.
    return parse(text, { logLevel: 'error' });
  } catch (error) {
    throw refuse(file, messageOf(error).split('\n')[0] ?? '');
  }
}

function refuse(file: string, what: string): JobletError {
  return new JobletError('invalid', `${file}: ${what}; see \`rnx config-help\` for a sample`);
}

/** Checks the shape of a nodes file; whether a node is complete is asked when it is used. */
export function toNodesFile(value: PlainYaml | unknown, file: string): NodesFile {
  const root = asMap(value);
  if (root === undefined) throw refuse(file, 'is not a map with a `nodes` section');
  const nodes = asMap(root['nodes']);
  if (nodes === undefined || Object.keys(nodes).length === 0) {
    throw refuse(file, 'has no node under `nodes`');
  }
  return {
    path: file,
    defaultNode: asText(root['default_node']),
    nodes: Object.entries(nodes).map(([name, node]) => {
      const entry = asMap(node);
      if (entry === undefined) throw refuse(file, `node '${name}' is not a map`);
      return {
        name,
        address: asText(entry['address']),
        nodeId: asText(entry['nodeId']),
        isDefault: entry['isDefault'] === true,
        cert: asText(entry['cert']),
        key: asText(entry['key']),
        ca: asText(entry['ca']),
      };
    }),
  };
}

function asMap(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/**
 * The node to use: the wanted one; else the one marked `isDefault`, `default_node`, the one called
 * `default`, or the only one.
 * @throws JobletError not-found, listing the nodes there are
 */
export function chooseEntry(file: NodesFile, wanted: string | undefined): NodeEntry {
  const byName = (name: string) => file.nodes.find((node) => node.name === name);
  const names = file.nodes.map((node) => node.name).join(', ');
  if (wanted !== undefined && wanted !== '') {
    const node = byName(wanted);
    if (node !== undefined) return node;
    // `default` is what existing scripts say when they mean whichever node is the default.
    if (wanted !== 'default') {
      throw new JobletError(
        'not-found',
        `node '${wanted}' is not in ${file.path}; it has ${names}`,
      );
    }
  }
  const chosen = defaultEntry(file);
  if (chosen !== undefined) return chosen;
  throw new JobletError(
    'not-found',
    `${file.path} has several nodes and none is the default; say --node with one of ${names}, or mark one with isDefault: true`,
  );
}

/** The node that is used when nobody names one; undefined when the file leaves it open. */
export function defaultEntry(file: NodesFile): NodeEntry | undefined {
  const only = file.nodes.length === 1 ? file.nodes[0] : undefined;
  return (
    file.nodes.find((node) => node.isDefault) ??
    file.nodes.find((node) => node.name === file.defaultNode) ??
    file.nodes.find((node) => node.name === 'default') ??
    only
  );
}

function nodeOf(entry: NodeEntry, file: string): Node {
  const source = `node '${entry.name}' in ${file}`;
  for (const field of ['address', 'cert', 'key', 'ca'] as const) {
    if (entry[field].trim() === '') throw refuse(file, `node '${entry.name}' has no ${field}`);
  }
  for (const field of ['cert', 'key', 'ca'] as const) {
    if (!entry[field].includes('-----BEGIN ')) {
      throw refuse(
        file,
        `the ${field} of node '${entry.name}' is not PEM text; the text itself belongs there, not a path`,
      );
    }
  }
  const { name, nodeId, cert, key, ca } = entry;
  return { name, nodeId, cert, key, ca, source, ...parseAddress(entry.address, source) };
}

function nodeOfFiles(files: NodeChoice): Node {
  const server = files.server ?? DEFAULT_SERVER;
  const cert = files.cert ?? DEFAULT_CERT;
  return {
    name: server,
    nodeId: '',
    cert: readPem(cert, '--cert', 'JOBLET_CERT_PATH'),
    key: readPem(files.key ?? DEFAULT_KEY, '--key', 'JOBLET_KEY_PATH'),
    ca: readPem(files.ca ?? DEFAULT_CA, '--ca', 'JOBLET_CA_PATH'),
    source: cert,
    ...parseAddress(server, '--server'),
  };
}

function readPem(file: string, flag: string, variable: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new JobletError(
      'not-found',
      `${flag}: ${messageOf(error)}; name the file with ${flag} or ${variable}, or use a nodes file (rnx config-help)`,
      { cause: error },
    );
  }
  if (text.includes('-----BEGIN ')) return text;
  throw new JobletError('invalid', `${flag}: ${file} is not a PEM file`);
}

/**
 * Host and port of `host`, `host:port` or `[v6 address]:port`.
 * @throws JobletError invalid, naming `where`
 */
export function parseAddress(address: string, where: string): { host: string; port: number } {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s/]+))(?::(\d{1,5}))?$/.exec(address.trim());
  const host = match?.[1] ?? match?.[2];
  const port = match?.[3] === undefined ? DEFAULT_PORT : Number(match[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new JobletError(
      'invalid',
      `${where}: ${JSON.stringify(address)} is not an address; write it like ${DEFAULT_SERVER}`,
    );
  }
  return { host, port };
}
