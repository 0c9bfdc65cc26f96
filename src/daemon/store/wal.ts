// Reads SQLite's write-ahead log (sqlite.org/fileformat2.html#the_write_ahead_log) for one question
// that SQLite does not ask. It believes frames up to the first whose checksum is wrong and forgets
// what stands behind it. That is right for a tail which a power cut tore, and nobody was told that it
// is safe; it would be a silent loss where one bit in the middle has changed.

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
/** Of logs whose checksums are read as little-endian words: those of every host that we run on. */
const MAGIC = 0x377f0682;

export interface WalState {
  /** Bytes behind what SQLite will believe, of the same run of the log: a torn tail, or damage. */
  readonly ignoredBytes: number;
  /** Where something is not what was written, though what follows it is. */
  readonly damagedAt: number | undefined;
}

type Sums = readonly [number, number];

/** What a log holds. Pure. */
export function readWal(bytes: Buffer): WalState {
  if (bytes.length < HEADER_BYTES || isZero(bytes.subarray(0, HEADER_BYTES))) {
    return { ignoredBytes: 0, damagedAt: undefined };
  }
  const frameBytes = FRAME_HEADER_BYTES + pageBytes(bytes);
  const headSums = sumsOver(bytes, 0, HEADER_BYTES - 8, [0, 0]);
  const headKept = sumsAt(bytes, HEADER_BYTES - 8);
  if (bytes.readUInt32BE(0) !== MAGIC || !same(headSums, headKept)) {
    const goesOn = [headSums, headKept].some((seed) =>
      isFrame(bytes, HEADER_BYTES, frameBytes, seed),
    );
    return { ignoredBytes: bytes.length, damagedAt: goesOn ? 0 : undefined };
  }
  let at = HEADER_BYTES;
  let sums = headKept;
  const isOfThisRun = (frame: number) =>
    frame + frameBytes <= bytes.length && bytes.compare(bytes, 16, 24, frame + 8, frame + 16) === 0;
  for (; isOfThisRun(at) && isFrame(bytes, at, frameBytes, sums); at += frameBytes) {
    sums = sumsAt(bytes, at + 16);
  }
  // The next frame was summed on from this one. So where that one is sound, this one was whole once:
  // what a power cut tears is not followed by what continues it.
  const next = at + frameBytes;
  const seeds =
    next > bytes.length ? [] : [sumsAt(bytes, at + 16), sumsOfFrame(bytes, at, frameBytes, sums)];
  const goesOn = isOfThisRun(next) && seeds.some((seed) => isFrame(bytes, next, frameBytes, seed));
  let end = at;
  for (let frame = at; frame + frameBytes <= bytes.length; frame += frameBytes) {
    if (isOfThisRun(frame)) end = frame + frameBytes;
  }
  return { ignoredBytes: end - at, damagedAt: goesOn ? at : undefined };
}

/** What the header says, unless that is what no database has: then the size that ours have. */
function pageBytes(bytes: Buffer): number {
  const said = bytes.readUInt32BE(8);
  const isPowerOfTwo = (said & (said - 1)) === 0;
  return isPowerOfTwo && said >= 512 && said <= 65_536 ? said : 4096;
}

/** Whether a whole frame stands at `at` whose checksum continues `seed`. */
function isFrame(bytes: Buffer, at: number, frameBytes: number, seed: Sums): boolean {
  if (at + frameBytes > bytes.length || bytes.readUInt32BE(at) === 0) return false;
  return same(sumsOfFrame(bytes, at, frameBytes, seed), sumsAt(bytes, at + 16));
}

function sumsOfFrame(bytes: Buffer, at: number, frameBytes: number, seed: Sums): Sums {
  const head = sumsOver(bytes, at, 8, seed);
  return sumsOver(bytes, at + FRAME_HEADER_BYTES, frameBytes - FRAME_HEADER_BYTES, head);
}

function sumsOver(bytes: Buffer, from: number, length: number, [first, second]: Sums): Sums {
  let [a, b] = [first, second];
  for (let at = from; at < from + length; at += 8) {
    a = (a + bytes.readUInt32LE(at) + b) >>> 0;
    b = (b + bytes.readUInt32LE(at + 4) + a) >>> 0;
  }
  return [a, b];
}

function sumsAt(bytes: Buffer, at: number): Sums {
  return [bytes.readUInt32BE(at), bytes.readUInt32BE(at + 4)];
}

function same(one: Sums, other: Sums): boolean {
  return one[0] === other[0] && one[1] === other[1];
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}
