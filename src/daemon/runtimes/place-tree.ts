// The steps of an installation, in a thread of its own. Up to the last of them nobody sees anything;
// the last one is a rename. Whatever fails, and wherever, what was there before is there after.

import {
  chmodSync,
  chownSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { JobletError } from '../../shared/errors.ts';
import { TREE_TIME_S } from '../../shared/tree-time.ts';
import { exchangeDirectories, syncFileSystem } from '../linux/tree-switch.ts';
import { syncDirectory } from '../store/sync-directory.ts';
import { Contents } from './contents.ts';
import { copyTree } from './copy-tree.ts';
import { RUNTIME_FILE } from './layout.ts';
import {
  type Entry,
  formatManifest,
  MANIFEST_FILE,
  type Manifest,
  parseManifest,
  SIGNATURE_FILE,
} from './manifest.ts';
import { alreadyThere, type Places, retiredName } from './places.ts';
import { type Settled, settleTree, type TreeLimits, type Witness } from './settle.ts';
import { type Keys, signBytes } from './signature.ts';

export interface Placing {
  readonly places: Places;
  /** Names this installation. */
  readonly id: string;
  /** The tree to install, which is taken away whatever happens. */
  readonly staged: string;
  readonly name: string;
  readonly version: string;
  readonly specification: string;
  /** It came with a manifest that a trusted key signed, and has to be what that says. */
  readonly isSigned: boolean;
  /** Takes the place of one that is there. */
  readonly force: boolean;
  readonly limits: TreeLimits;
  readonly keys: Keys;
}

export interface Placed {
  readonly directory: string;
  readonly files: number;
  readonly bytes: number;
  /** What the disk has less of. */
  readonly newBytes: number;
  /** A tree was there before. */
  readonly replaced: boolean;
}

export function placeTree(order: Placing, witness: Witness): Placed {
  const { places, id, staged, name, version, limits } = order;
  const work = path.join(places.staging, id);
  const contents = new Contents(places.store);
  try {
    mkdirSync(work, { recursive: true, mode: 0o700 });
    const tree = path.join(work, 'tree');
    bringIn(staged, tree, limits, witness);
    requireRuntime(tree);
    const signed = order.isSigned ? readSigned(tree) : undefined;
    const owners = new Map(signed?.entries.map((entry) => [entry.path, entry]));
    const settled = settleTree(tree, contents, limits, witness, owners);
    describe(tree, order, settled, signed);
    // One flush for all of its files: one for each takes minutes.
    syncFileSystem(work);
    witness.goOn();
    const replaced = switchTo(tree, order);
    const { entries, bytes, newBytes } = settled;
    const files = entries.filter(({ type }) => type === 'file').length;
    return { directory: path.join(places.root, name, version), files, bytes, newBytes, replaced };
  } catch (error) {
    rmSync(work, { recursive: true, force: true });
    rmSync(staged, { recursive: true, force: true });
    contents.sweep();
    throw error;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Moves a tree to where it is prepared, over to our disk if need be. */
function bringIn(staged: string, tree: string, limits: TreeLimits, witness: Witness): void {
  try {
    renameSync(staged, tree);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    copyTree(staged, tree, limits, witness);
    rmSync(staged, { recursive: true });
  }
}

function requireRuntime(tree: string): void {
  const file = lstatSync(path.join(tree, RUNTIME_FILE), { throwIfNoEntry: false });
  if (file?.isFile() === true) return;
  throw new JobletError('invalid', `there is no file ${RUNTIME_FILE} in it, so it is no runtime`);
}

/** The manifest that came with a tree; whoever unpacked it has seen that it is one. */
function readSigned(tree: string): Manifest {
  return parseManifest(readFileSync(path.join(tree, MANIFEST_FILE)));
}

/** Writes what the tree consists of, and who says so; or sees that it is what somebody else said. */
function describe(
  tree: string,
  order: Placing,
  { entries }: Settled,
  signed: Manifest | undefined,
): void {
  const { name, version, specification, keys } = order;
  const manifest = Buffer.from(formatManifest({ name, version, specification, entries }));
  if (signed === undefined) {
    write(path.join(tree, MANIFEST_FILE), manifest);
    write(path.join(tree, SIGNATURE_FILE), signBytes(manifest, keys.signing));
  } else {
    requireSame(signed, entries);
    for (const file of [MANIFEST_FILE, SIGNATURE_FILE]) settleFile(path.join(tree, file));
  }
  chownSync(tree, 0, 0);
  chmodSync(tree, 0o755);
  lutimesSync(tree, TREE_TIME_S, TREE_TIME_S);
}

/** @throws JobletError invalid, naming the first thing that is not what was signed */
function requireSame({ entries }: Manifest, found: readonly Entry[]): void {
  const there = new Map(found.map((entry) => [entry.path, entry]));
  const differs = entries.find((entry) => !isDeepStrictEqual(there.get(entry.path), entry));
  const wanted = new Set(entries.map((entry) => entry.path));
  const other = differs ?? found.find((entry) => !wanted.has(entry.path));
  if (other === undefined) return;
  const message = `/${other.path} is not what was signed; get the pack again`;
  throw new JobletError('invalid', message);
}

function write(file: string, data: string | Buffer): void {
  // What came in its place may be a link to anything.
  rmSync(file, { recursive: true, force: true });
  writeFileSync(file, data, { flag: 'wx' });
  settleFile(file);
}

function settleFile(file: string): void {
  chownSync(file, 0, 0);
  chmodSync(file, 0o644);
  lutimesSync(file, TREE_TIME_S, TREE_TIME_S);
}

/** Puts the tree in its place. Answers whether another one was there, which then is retired. */
function switchTo(tree: string, { places, id, name, version, force }: Placing): boolean {
  const folder = path.join(places.root, name);
  const target = path.join(folder, version);
  if (lstatSync(folder, { throwIfNoEntry: false })?.isSymbolicLink() === true) {
    const message = `${folder} is a link that was made by hand; remove it, or choose another name`;
    throw new JobletError('wrong-state', message);
  }
  // Unpacked by hand without a folder for its version, it stands in the way of all of them.
  const isFlat = exists(path.join(folder, RUNTIME_FILE));
  if (isFlat || exists(target)) {
    if (!force) throw alreadyThere(name, version, isFlat);
    const retired = path.join(places.retired, retiredName(name, isFlat ? '' : version, id));
    // Prepared where the old one is to be, so that it is there from the moment of the change on.
    if (isFlat) {
      mkdirSync(retired, { mode: 0o755 });
      renameSync(tree, path.join(retired, version));
    } else renameSync(tree, retired);
    exchangeDirectories(retired, isFlat ? folder : target);
    for (const changed of [places.retired, folder, places.root]) syncDirectory(changed);
    return true;
  }
  const isNew = mkdirSync(folder, { recursive: true, mode: 0o755 }) !== undefined;
  try {
    renameSync(tree, target);
  } catch (error) {
    if (isNew) rmdirSync(folder);
    throw error;
  }
  for (const changed of [folder, places.root]) syncDirectory(changed);
  return false;
}

function exists(place: string): boolean {
  return lstatSync(place, { throwIfNoEntry: false }) !== undefined;
}
