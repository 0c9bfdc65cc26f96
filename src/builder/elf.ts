// Reads what a program or a library says about what it needs: enough of ELF for that, and nothing
// that is believed without a look at the bounds.

export interface Elf {
  readonly bits: 32 | 64;
  /** The kernel's number of the machine: 62 is x86_64, 183 is aarch64. */
  readonly machine: number;
  /** The dynamic linker; empty for a library or a static program. */
  readonly interpreter: string;
  readonly needed: readonly string[];
  /** Folders to look in, as written: RUNPATH where there is one, else RPATH. */
  readonly searchPath: readonly string[];
  readonly soname: string;
}

const MAGIC = 0x7f454c46;
const LITTLE_ENDIAN = 1;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const MAX_HEADERS = 256;
const MAX_ENTRIES = 4096;
const MAX_TEXT_BYTES = 4096;

const tags = { needed: 1, strings: 5, soname: 14, rpath: 15, runpath: 29 } as const;

/** Offsets of fields, which differ by the width of addresses. */
const layouts = {
  1: {
    bits: 32,
    table: 28,
    entrySize: 42,
    entryCount: 44,
    type: 0,
    offset: 4,
    address: 8,
    size: 16,
  },
  2: {
    bits: 64,
    table: 32,
    entrySize: 54,
    entryCount: 56,
    type: 0,
    offset: 8,
    address: 16,
    size: 32,
  },
} as const;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

/** What an ELF file says, or undefined for any other file, and for one that contradicts itself. */
export function parseElf(bytes: Buffer): Elf | undefined {
  const layout = layouts[bytes[4] as 1 | 2];
  const isElf = bytes.length >= 64 && bytes.readUInt32BE(0) === MAGIC;
  if (!isElf || layout === undefined || bytes[5] !== LITTLE_ENDIAN) return undefined;
  const { bits } = layout;
  const segments = readSegments(bytes, layout);
  if (segments === undefined) return undefined;
  const interpreter = segments.find(({ type }) => type === PT_INTERP);
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  const entries = dynamic === undefined ? [] : readDynamic(bytes, dynamic, bits);
  const stringsAt = offsetOf(segments, entries.find(([tag]) => tag === tags.strings)?.[1]);
  const texts = (wanted: number) =>
    entries
      .filter(([tag]) => tag === wanted)
      .map(([, value]) => textAt(bytes, (stringsAt ?? bytes.length) + value));
  const [runpath] = texts(tags.runpath);
  const [rpath] = texts(tags.rpath);
  return {
    bits,
    machine: bytes.readUInt16LE(18),
    interpreter: interpreter === undefined ? '' : textAt(bytes, interpreter.offset),
    needed: texts(tags.needed).filter((name) => name !== ''),
    searchPath: (runpath ?? rpath ?? '').split(':').filter((folder) => folder !== ''),
    soname: texts(tags.soname)[0] ?? '',
  };
}

function readSegments(
  bytes: Buffer,
  layout: (typeof layouts)[1 | 2],
): readonly Segment[] | undefined {
  const { bits } = layout;
  const table = wordAt(bytes, layout.table, bits);
  const size = bytes.readUInt16LE(layout.entrySize);
  const count = bytes.readUInt16LE(layout.entryCount);
  if (table === undefined || count > MAX_HEADERS || size < layout.size + bits / 8) return undefined;
  const segments: Segment[] = [];
  for (let index = 0; index < count; index += 1) {
    const at = table + index * size;
    if (at + size > bytes.length) return undefined;
    const field = (offset: number) => wordAt(bytes, at + offset, bits);
    const [offset, address, length] = [
      field(layout.offset),
      field(layout.address),
      field(layout.size),
    ];
    if (offset === undefined || address === undefined || length === undefined) return undefined;
    segments.push({ type: bytes.readUInt32LE(at), offset, address, size: length });
  }
  return segments;
}

function readDynamic(
  bytes: Buffer,
  { offset, size }: Segment,
  bits: 32 | 64,
): readonly (readonly [tag: number, value: number])[] {
  const entries: [number, number][] = [];
  const step = bits / 4;
  const end = Math.min(offset + size, bytes.length, offset + MAX_ENTRIES * step);
  for (let at = offset; at + step <= end; at += step) {
    const tag = wordAt(bytes, at, bits);
    const value = wordAt(bytes, at + step / 2, bits);
    if (tag === 0) break;
    // Tags of processors and systems are beyond what is looked for.
    if (tag !== undefined && value !== undefined) entries.push([tag, value]);
  }
  return entries;
}

/** Where an address of the running program lies in the file. */
function offsetOf(segments: readonly Segment[], address: number | undefined): number | undefined {
  if (address === undefined) return undefined;
  const segment = segments.find(
    (each) =>
      each.type === PT_LOAD && address >= each.address && address < each.address + each.size,
  );
  return segment === undefined ? undefined : address - segment.address + segment.offset;
}

/** A number as wide as an address; undefined when it is not there or beyond any file. */
function wordAt(bytes: Buffer, at: number, bits: 32 | 64): number | undefined {
  if (at < 0 || at + bits / 8 > bytes.length) return undefined;
  if (bits === 32) return bytes.readUInt32LE(at);
  const value = bytes.readBigUInt64LE(at);
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : Number(value);
}

function textAt(bytes: Buffer, at: number): string {
  if (at < 0 || at >= bytes.length) return '';
  const part = bytes.subarray(at, at + MAX_TEXT_BYTES);
  const end = part.indexOf(0);
  return part.subarray(0, Math.max(end, 0)).toString('latin1');
}
