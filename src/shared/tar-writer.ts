// Writes tar archives (POSIX.1-2001), which every tar reads. The same entries give the same bytes.

export interface TarEntry {
  readonly path: string;
  /** A `copy` is another name for a file that stands further up. */
  readonly type: 'file' | 'folder' | 'link' | 'copy';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of a file. */
  readonly size: number;
  /** In seconds. */
  readonly time: number;
  /** Of a link or a copy. */
  readonly target: string;
}

export const TAR_BLOCK_BYTES = 512;

const NAME_BYTES = 100;
/** The largest number in 11 octal digits. */
const MAX_OCTAL_SIZE = 0o77777777777;

const typeFlags = { file: '0', copy: '1', link: '2', folder: '5' } as const;

/** What stands before the bytes of an entry. */
export function tarHeader(entry: TarEntry): Buffer {
  const path = entry.type === 'folder' ? `${entry.path}/` : entry.path;
  const long: string[] = [];
  if (Buffer.byteLength(path) > NAME_BYTES) long.push(paxRecord('path', path));
  if (Buffer.byteLength(entry.target) > NAME_BYTES) {
    long.push(paxRecord('linkpath', entry.target));
  }
  if (entry.size > MAX_OCTAL_SIZE) long.push(paxRecord('size', String(entry.size)));
  const block = headerBlock({ ...entry, path }, typeFlags[entry.type]);
  if (long.length === 0) return block;
  const records = Buffer.from(long.join(''));
  const about = { ...entry, path: 'pax', target: '', mode: 0o644, size: records.length };
  return Buffer.concat([headerBlock(about, 'x'), records, tarPadding(records.length), block]);
}

/** What stands behind so many bytes of an entry. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((TAR_BLOCK_BYTES - (size % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES);
}

/** What stands at the end of an archive. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * TAR_BLOCK_BYTES);
}

function headerBlock(entry: Omit<TarEntry, 'type'>, typeFlag: string): Buffer {
  const block = Buffer.alloc(TAR_BLOCK_BYTES);
  const text = (at: number, bytes: number, value: string) => {
    Buffer.from(value).copy(block, at, 0, bytes);
  };
  const octal = (at: number, digits: number, value: number) => {
    text(at, digits, value.toString(8).padStart(digits, '0'));
  };
  text(0, NAME_BYTES, entry.path);
  octal(100, 7, entry.mode);
  octal(108, 7, entry.uid);
  octal(116, 7, entry.gid);
  octal(124, 11, entry.size > MAX_OCTAL_SIZE ? 0 : entry.size);
  octal(136, 11, entry.time);
  text(148, 8, ' '.repeat(8));
  text(156, 1, typeFlag);
  text(157, NAME_BYTES, entry.target);
  text(257, 8, 'ustar\u000000');
  octal(148, 6, checksumOf(block));
  block[154] = 0;
  return block;
}

/** The sum of a header, its own field counted as blanks. */
export function checksumOf(block: Uint8Array): number {
  return block.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 0x20 : byte), 0);
}

/** A record begins with its own length, which counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(rest);
  let length = bytes + 1;
  while (String(length).length + bytes !== length) length = String(length).length + bytes;
  return `${length}${rest}`;
}
