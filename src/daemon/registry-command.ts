// `joblet registry`: makes and signs the index of a folder of packs, which then is a registry, wherever
// it is served from.

import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { JobletError, messageOf } from '../shared/errors.ts';
import { meansPlatform, platforms } from '../shared/platform.ts';
import { loadSettings } from './config.ts';
import { digestOfLater } from './runtimes/digest.ts';
import { readPackFacts } from './runtimes/pack-facts.ts';
import {
  formatIndex,
  INDEX_FILE,
  INDEX_SIGNATURE_FILE,
  parseIndex,
  type RegistryEntry,
} from './runtimes/registry-index.ts';
import {
  keyIdOf,
  openSigningKey,
  publicKeyOf,
  signatureProblem,
  signBytes,
} from './runtimes/signature.ts';

const USAGE = `joblet registry makes a registry of a folder of packs: an index with checksums, and its signature.

Usage:
  joblet registry make [--key FILE] [--url ADDRESS] DIRECTORY   write registry.json and sign it
  joblet registry sign [--key FILE] DIRECTORY                   sign a registry.json that is there

  --key FILE      private key (Ed25519, PEM), made if it is not there; else that of the configuration
  --url ADDRESS   where the packs will lie; else beside the index

DIRECTORY holds packs as rnx runtime pack makes them. Beside the index its public key is written, as
registry.pub: nodes that list it in runtime.trustedKeys install from there, if the packs are signed by
keys that they trust as well.

Example:
  joblet registry make --key registry.pem /srv/runtimes
`;

const PUBLIC_KEY_FILE = 'registry.pub';
const PACK = /\.(zip|tar\.zst|tar\.gz|tar)$/;

/** Runs `joblet registry ARGV`; answers the exit code. */
export async function registryCommand(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      key: { type: 'string' },
      url: { type: 'string' },
      config: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const [word = '', directory, ...more] = positionals;
  const isKnown = ['make', 'sign'].includes(word) && directory !== undefined && more.length === 0;
  if (values.help === true || !isKnown) {
    process[values.help === true ? 'stdout' : 'stderr'].write(USAGE);
    return values.help === true ? 0 : 2;
  }
  const signing = openSigningKey(
    values.key ?? loadSettings(values.config, process.env).runtimes.signingKey,
  );
  if (word === 'make') await makeIndex(directory, signing, values.url);
  signIndex(directory, signing);
  return 0;
}

/** Writes the index of what is there. */
async function makeIndex(
  directory: string,
  signing: string,
  url: string | undefined,
): Promise<void> {
  const packs = readdirSync(directory)
    .filter((name) => PACK.test(name))
    .toSorted();
  if (packs.length === 0) {
    throw new JobletError(
      'not-found',
      `there are no packs in ${directory}; make some with rnx runtime pack`,
    );
  }
  const entries = new Map<string, RegistryEntry>();
  for (const name of packs) {
    const entry = await describePack(path.join(directory, name), name, signing, url);
    const key = `${entry.name}@${entry.version}`;
    const other = entries.get(key);
    if (other !== undefined) {
      throw new JobletError('exists', `${name} and ${other.url} are both ${key}; keep one of them`);
    }
    entries.set(key, entry);
  }
  const updatedAt = new Date().toISOString();
  const text = formatIndex({ updatedAt, entries: [...entries.values()] });
  write(directory, INDEX_FILE, text);
  say(`${path.join(directory, INDEX_FILE)}: ${entries.size} runtimes`);
}

async function describePack(
  file: string,
  name: string,
  signing: string,
  url: string | undefined,
): Promise<RegistryEntry> {
  try {
    const { file: runtime, signature } = await readPackFacts(file, { signing, trusted: [] });
    const problem = signatureProblem(signature);
    if (signature.is === 'wrong') throw new JobletError('denied', problem ?? '');
    const note = signature.is === 'trusted' ? '' : `; note: ${problem}`;
    say(`${name}: ${runtime.name}@${runtime.version}${note}`);
    const { architectures } = runtime.requirements;
    return {
      name: runtime.name,
      version: runtime.version,
      description: runtime.description,
      url:
        url === undefined ? encodeURIComponent(name) : new URL(name, url.replace(/\/*$/, '/')).href,
      sha256: await digestOfLater(file),
      size: statSync(file).size,
      platforms: Object.values(platforms)
        .filter((one) => architectures.some((word) => meansPlatform(word, one)))
        .map((one) => one.name),
    };
  } catch (error) {
    if (!(error instanceof JobletError)) throw error;
    throw new JobletError(error.kind, `${file}: ${messageOf(error)}`);
  }
}

/** Signs the index that is there, which has to be one. */
function signIndex(directory: string, signing: string): void {
  const file = path.join(directory, INDEX_FILE);
  if (!existsSync(file)) {
    throw new JobletError('not-found', `there is no ${file}; make it with joblet registry make`);
  }
  const bytes = readFileSync(file);
  parseIndex(bytes.toString());
  write(directory, INDEX_SIGNATURE_FILE, signBytes(bytes, signing));
  write(directory, PUBLIC_KEY_FILE, publicKeyOf(signing));
  say(
    `signed by key ${keyIdOf(signing)}; its public key is ${path.join(directory, PUBLIC_KEY_FILE)}`,
  );
}

/** Whoever reads meanwhile has the old file or the new one. */
function write(directory: string, name: string, text: string): void {
  const part = path.join(directory, `.${name}.part`);
  writeFileSync(part, text, { mode: 0o644 });
  renameSync(part, path.join(directory, name));
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
