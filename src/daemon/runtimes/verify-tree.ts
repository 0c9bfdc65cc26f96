// Looks through an installed tree: is it what its manifest says, and who signed that?

import { existsSync, lstatSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { JobletError, messageOf } from '../../shared/errors.ts';
import { digestOf } from './digest.ts';
import {
  type Entry,
  MANIFEST_FILE,
  MAX_MANIFEST_BYTES,
  type Manifest,
  parseManifest,
  SIGNATURE_FILE,
} from './manifest.ts';
import type { Witness } from './settle.ts';
import {
  judgeSignature,
  type Keys,
  MAX_SIGNATURE_BYTES,
  signatureProblem,
  type Verdict,
} from './signature.ts';
import { type Found, walkTree } from './walk.ts';

export interface Checking {
  readonly tree: string;
  /** What it is installed as. */
  readonly name: string;
  readonly version: string;
  readonly keys: Keys;
}

export interface Finding {
  /** Relative to the tree. */
  readonly path: string;
  readonly message: string;
}

export interface TreeVerdict {
  readonly entries: number;
  readonly bytes: number;
  readonly signature: Verdict;
  /** The first of what is wrong. */
  readonly findings: readonly Finding[];
  readonly findingCount: number;
  /** What does no harm. */
  readonly notes: readonly string[];
}

const MAX_FINDINGS = 1000;
/** Whoever has more than was installed has many findings already. */
const MAX_FOUND = 10_000_000;

const PERMISSIONS = 0o7777;

export function verifyTree(order: Checking, witness: Witness): TreeVerdict {
  const { tree, keys } = order;
  const findings: Finding[] = [];
  const bytes = readBounded(path.join(tree, MANIFEST_FILE), MAX_MANIFEST_BYTES);
  if (bytes === undefined) {
    const message =
      'is missing, so nothing says what belongs to this runtime; install its folder with `rnx runtime install FOLDER`';
    findings.push({ path: MANIFEST_FILE, message });
    return verdictOf(undefined, { is: 'missing' }, findings, []);
  }
  const signature = judge(tree, bytes, keys, findings);
  let manifest: Manifest;
  try {
    manifest = parseManifest(bytes);
  } catch (error) {
    findings.push({ path: MANIFEST_FILE, message: messageOf(error) });
    return verdictOf(undefined, signature, findings, []);
  }
  if (manifest.name !== order.name || manifest.version !== order.version) {
    const message = `is that of ${manifest.name}@${manifest.version}, and not of ${order.name}@${order.version}`;
    findings.push({ path: MANIFEST_FILE, message });
  }
  const notes = compare(tree, manifest, findings, witness);
  return verdictOf(manifest, signature, findings, notes);
}

function verdictOf(
  manifest: Manifest | undefined,
  signature: Verdict,
  findings: readonly Finding[],
  notes: readonly string[],
): TreeVerdict {
  const entries = manifest?.entries ?? [];
  return {
    entries: entries.length,
    bytes: entries.reduce((sum, entry) => sum + (entry.type === 'file' ? entry.size : 0), 0),
    signature,
    findings: findings.slice(0, MAX_FINDINGS),
    findingCount: findings.length,
    notes,
  };
}

function judge(tree: string, manifest: Buffer, keys: Keys, findings: Finding[]): Verdict {
  const file = path.join(tree, SIGNATURE_FILE);
  try {
    const text = readBounded(file, MAX_SIGNATURE_BYTES)?.toString();
    const verdict = judgeSignature(manifest, text, keys);
    const problem = signatureProblem(verdict);
    if (problem !== undefined) findings.push({ path: SIGNATURE_FILE, message: problem });
    return verdict;
  } catch (error) {
    if (!(error instanceof JobletError)) throw error;
    findings.push({ path: SIGNATURE_FILE, message: messageOf(error) });
    return { is: 'wrong', keyId: '' };
  }
}

/** The bytes of a file; undefined when it is not there, is none or is too big to be what it should. */
function readBounded(file: string, most: number): Buffer | undefined {
  if (!existsSync(file)) return undefined;
  const found = lstatSync(file);
  return found.isFile() && found.size <= most ? readFileSync(file) : undefined;
}

/** Compares what is there with what should be; answers what is worth knowing though it does no harm. */
function compare(
  tree: string,
  { entries }: Manifest,
  findings: Finding[],
  witness: Witness,
): string[] {
  const own = [MANIFEST_FILE, SIGNATURE_FILE];
  const there = walkTree(tree, MAX_FOUND).filter((found) => !own.includes(found.path));
  const wanted = new Map(entries.map((entry) => [entry.path, entry]));
  let rootOwned = 0;
  for (const [done, found] of there.entries()) {
    witness.goOn();
    witness.tell(done, there.length);
    const entry = wanted.get(found.path);
    wanted.delete(found.path);
    if (entry === undefined) {
      findings.push({ path: found.path, message: 'was added' });
      continue;
    }
    const problems = differences(tree, entry, found);
    if (!isOwner(entry, found)) {
      // What unpacks a zip file as root gives all of it to root.
      if (found.stats.uid === 0 && found.stats.gid === 0) rootOwned += 1;
      else problems.push(ownerProblem(entry, found));
    }
    for (const message of problems) findings.push({ path: found.path, message });
  }
  for (const missing of wanted.keys()) findings.push({ path: missing, message: 'is missing' });
  if (rootOwned === 0) return [];
  return [
    `${rootOwned} files belong to root and not to whom they were packed with: it was unpacked by a program that keeps no owners`,
  ];
}

function isOwner({ uid, gid }: Entry, { stats }: Found): boolean {
  return stats.uid === uid && stats.gid === gid;
}

function ownerProblem({ uid, gid }: Entry, { stats }: Found): string {
  return `belongs to ${stats.uid}:${stats.gid}, not to ${uid}:${gid}`;
}

/** What is different about something that is where it should be, without its owner. */
function differences(tree: string, entry: Entry, { stats }: Found): string[] {
  const place = path.join(tree, entry.path);
  const kind = stats.isFile()
    ? 'file'
    : stats.isDirectory()
      ? 'folder'
      : stats.isSymbolicLink()
        ? 'link'
        : 'special file';
  if (kind !== entry.type) return [`is a ${kind}, not a ${entry.type}`];
  if (entry.type === 'link') {
    const target = readlinkSync(place);
    return target === entry.target ? [] : [`links to ${target}, not to ${entry.target}`];
  }
  const problems: string[] = [];
  const mode = stats.mode & PERMISSIONS;
  if (mode !== entry.mode) {
    problems.push(`has permissions ${octal(mode)}, not ${octal(entry.mode)}`);
  }
  if (entry.type === 'folder') return problems;
  if (stats.size !== entry.size) problems.push(`has ${stats.size} bytes, not ${entry.size}`);
  else if (digestOf(place) !== entry.sha256) problems.push('has another content');
  return problems;
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
