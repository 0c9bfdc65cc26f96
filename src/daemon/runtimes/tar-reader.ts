// Reads tar archives that somebody else made: the formats of POSIX and of GNU tar, and of those only
// what a tree of files needs. Whatever else stands in one is refused.

import { isUtf8 } from 'node:buffer';
import { JobletError } from '../../shared/errors.ts';
import { checksumOf, TAR_BLOCK_BYTES, type TarEntry } from '../../shared/tar-writer.ts';

/** Where the entries of an archive go. */
export interface EntrySink {
  /** An entry begins; what follows up to the next one are its bytes. */
  begin(entry: TarEntry): void;
  write(bytes: Uint8Array): void;
}

/** Names that are too long for a header stand before it; none is longer than a path. */
const MAX_EXTRA_BYTES = 64 * 1024;

const types: Readonly<Record<string, TarEntry['type']>> = {
  '0': 'file',
  '\0': 'file',
  '1': 'copy',
  '2': 'link',
  '5': 'folder',
};

const special: Readonly<Record<string, string>> = {
  '3': 'a device',
  '4': 'a device',
  '6': 'a named pipe',
  S: 'a sparse file',
};

/** What stands before a header and goes before it. */
interface Extra {
  path?: string;
  target?: string;
  size?: number;
  uid?: number;
  gid?: number;
}

export class TarReader {
  readonly #sink: EntrySink;
  /** A block that has not come whole yet. */
  #partial: Buffer = Buffer.alloc(0);
  /** Bytes of the entry that are still to come, and of what fills its last block. */
  #left = 0;
  #padding = 0;
  #extra: Extra = {};
  /** What is being collected for the next header. */
  #collecting: { readonly kind: string; readonly parts: Buffer[] } | undefined;
  #emptyBlocks = 0;

  constructor(sink: EntrySink) {
    this.#sink = sink;
  }

  /**
   * Reads on.
   * @throws JobletError invalid for what is no archive, or holds what has no place in a tree
   */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.#isOver) {
      if (this.#left > 0) at += this.#takeData(chunk.subarray(at));
      else if (this.#padding > 0) {
        const skipped = Math.min(this.#padding, chunk.length - at);
        this.#padding -= skipped;
        at += skipped;
      } else at += this.#takeBlock(chunk.subarray(at));
    }
  }

  /** Says that nothing comes any more. */
  end(): void {
    // Some programs write one empty block, or none; but an entry is whole or it is not.
    const isWhole = this.#left === 0 && this.#padding === 0 && this.#partial.length === 0;
    if (!isWhole || Object.keys(this.#extra).length > 0) throw broken('ends in the middle');
  }

  /** What stands behind two empty blocks is nobody's. */
  get #isOver(): boolean {
    return this.#emptyBlocks >= 2;
  }

  #takeData(chunk: Buffer): number {
    const part = chunk.subarray(0, this.#left);
    this.#left -= part.length;
    if (this.#collecting === undefined) this.#sink.write(part);
    else {
      this.#collecting.parts.push(Buffer.from(part));
      if (this.#left === 0) this.#takeExtra();
    }
    return part.length;
  }

  #takeBlock(chunk: Buffer): number {
    const missing = TAR_BLOCK_BYTES - this.#partial.length;
    const part = chunk.subarray(0, missing);
    this.#partial = Buffer.concat([this.#partial, part]);
    if (this.#partial.length === TAR_BLOCK_BYTES) {
      const block = this.#partial;
      this.#partial = Buffer.alloc(0);
      this.#takeHeader(block);
    }
    return part.length;
  }

  #takeHeader(block: Buffer): void {
    if (block.every((byte) => byte === 0)) {
      this.#emptyBlocks += 1;
      return;
    }
    if (this.#emptyBlocks > 0) throw broken('goes on behind an empty block');
    if (numberAt(block, 148, 8) !== checksumOf(block)) {
      throw broken('has a header whose checksum is wrong');
    }
    const kind = String.fromCharCode(block[156] ?? 0);
    const size = numberAt(block, 124, 12);
    if (['x', 'g', 'L', 'K'].includes(kind)) {
      if (size > MAX_EXTRA_BYTES) throw broken('has a name that is too long');
      this.#expect(size);
      this.#collecting = { kind, parts: [] };
      if (size === 0) this.#takeExtra();
      return;
    }
    this.#begin(kind, block, size);
  }

  #begin(kind: string, block: Buffer, plainSize: number): void {
    const extra = this.#extra;
    this.#extra = {};
    const prefix = block.toString('latin1', 257, 263) === 'ustar\0' ? textAt(block, 345, 155) : '';
    const name = textAt(block, 0, 100);
    const path = extra.path ?? (prefix === '' ? name : `${prefix}/${name}`);
    const shown = JSON.stringify(path.slice(0, 200));
    const type = types[kind];
    if (type === undefined) {
      const what = special[kind] ?? `an entry of an unknown kind (${JSON.stringify(kind)})`;
      throw new JobletError(
        'invalid',
        `${shown} is ${what}; a pack holds files, folders and links`,
      );
    }
    const size = type === 'file' ? (extra.size ?? plainSize) : 0;
    if (type !== 'file' && plainSize !== 0) throw broken(`has bytes of ${shown}, which is no file`);
    this.#sink.begin({
      path,
      type,
      mode: numberAt(block, 100, 8),
      uid: extra.uid ?? numberAt(block, 108, 8),
      gid: extra.gid ?? numberAt(block, 116, 8),
      size,
      time: 0,
      target: type === 'file' || type === 'folder' ? '' : (extra.target ?? textAt(block, 157, 100)),
    });
    this.#expect(size);
  }

  #expect(size: number): void {
    this.#left = size;
    this.#padding = (TAR_BLOCK_BYTES - (size % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES;
  }

  #takeExtra(): void {
    const { kind, parts } = this.#collecting ?? { kind: '', parts: [] };
    this.#collecting = undefined;
    const bytes = Buffer.concat(parts);
    if (kind === 'L') this.#extra.path = textAt(bytes, 0, bytes.length);
    else if (kind === 'K') this.#extra.target = textAt(bytes, 0, bytes.length);
    else if (kind === 'x') Object.assign(this.#extra, parseRecords(bytes));
    else if (Object.keys(parseRecords(bytes)).length > 0) {
      throw broken('says of all its entries what only one can have');
    }
  }
}

/** Records of the POSIX format: `LENGTH KEY=VALUE` and a line end, each. */
function parseRecords(bytes: Buffer): Extra {
  const extra: Extra = {};
  for (let at = 0; at < bytes.length; ) {
    const blank = bytes.indexOf(0x20, at);
    const digits = blank < 0 ? '' : bytes.toString('latin1', at, blank);
    const end = at + Number(digits);
    const isRecord = /^[1-9]\d{0,6}$/.test(digits) && end > blank + 1 && end <= bytes.length;
    if (!isRecord || bytes[end - 1] !== 0x0a) throw broken('has a record that cannot be read');
    const record = bytes.subarray(blank + 1, end - 1);
    const sign = record.indexOf(0x3d);
    const key = record.toString('latin1', 0, Math.max(0, sign));
    takeRecord(extra, key, record.subarray(sign + 1));
    at = end;
  }
  return extra;
}

function takeRecord(extra: Extra, key: string, value: Buffer): void {
  if (key.startsWith('GNU.sparse.')) throw broken('holds a sparse file');
  const isNumber = () => /^\d{1,15}$/.test(value.toString('latin1'));
  switch (key) {
    case 'path':
      extra.path = textAt(value, 0, value.length);
      break;
    case 'linkpath':
      extra.target = textAt(value, 0, value.length);
      break;
    case 'size':
    case 'uid':
    case 'gid':
      if (!isNumber()) throw broken(`has a record ${key} that is no number`);
      extra[key] = Number(value.toString('latin1'));
      break;
    default:
    // Times, names of owners and attributes: nothing that a tree of ours has.
  }
}

function textAt(bytes: Buffer, at: number, length: number): string {
  const field = bytes.subarray(at, at + length);
  const end = field.indexOf(0);
  const text = end < 0 ? field : field.subarray(0, end);
  if (!isUtf8(text)) throw broken('has a name that is no text in UTF-8');
  return text.toString();
}

/** Octal digits, or big numbers in the way of GNU tar. */
function numberAt(block: Buffer, at: number, length: number): number {
  const field = block.subarray(at, at + length);
  if (field[0] === 0x80) {
    const value = field.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0);
    if (Number.isSafeInteger(value)) return value;
    throw broken('has a number that is too big');
  }
  const text = field
    .toString('latin1')
    .replace(/^ +/, '')
    .replace(/[ \0].*$/s, '');
  const isEmpty = text === '' && field.every((byte) => byte === 0 || byte === 0x20);
  if (!isEmpty && !/^[0-7]{1,12}$/.test(text)) throw broken('has a number that cannot be read');
  return isEmpty ? 0 : Number.parseInt(text, 8);
}

function broken(what: string): JobletError {
  return new JobletError('invalid', `the pack is no tar archive that can be read: it ${what}`);
}
