// Java's list of authorities, which is made while its package is set up and holds the time of that for
// each of them. Here they all get one time, and an order.
//
// The format (JKS): a magic number, a version, a count, the entries, and a digest of all that.

import { createHash } from 'node:crypto';

const MAGIC = 0xfeedfeed;
const VERSION = 2;
const CERTIFICATE = 2;
const DIGEST_BYTES = 20;
const MAX_ENTRIES = 10_000;
/** Known to everybody: it guards against accidents only. */
const PASSWORD = 'changeit';
const WHITENER = 'Mighty Aphrodite';

/** The same keystore with all entries of one time, or undefined for what is no list of authorities. */
export function evenKeystore(bytes: Buffer, timeMs: number): Buffer | undefined {
  const end = bytes.length - DIGEST_BYTES;
  if (end < 12 || bytes.readUInt32BE(0) !== MAGIC || bytes.readUInt32BE(4) !== VERSION) {
    return undefined;
  }
  const count = bytes.readUInt32BE(8);
  if (count > MAX_ENTRIES) return undefined;
  const entries: { alias: string; bytes: Buffer }[] = [];
  let at = 12;
  // A text or a certificate: its length in 2 or 4 bytes, and so many bytes.
  const skip = (width: 2 | 4): boolean => {
    if (at + width > end) return false;
    at += width + bytes.readUIntBE(at, width);
    return at <= end;
  };
  for (let index = 0; index < count; index += 1) {
    const start = at;
    if (at + 4 > end || bytes.readUInt32BE(at) !== CERTIFICATE) return undefined;
    at += 4;
    if (!skip(2)) return undefined;
    const alias = bytes.subarray(start + 6, at).toString('latin1');
    const time = at;
    at += 8;
    if (at > end || !skip(2) || !skip(4)) return undefined;
    const entry = Buffer.from(bytes.subarray(start, at));
    entry.writeBigUInt64BE(BigInt(timeMs), time - start);
    entries.push({ alias, bytes: entry });
  }
  if (at !== end) return undefined;
  entries.sort((a, b) => (a.alias < b.alias ? -1 : 1));
  const body = Buffer.concat([bytes.subarray(0, 12), ...entries.map((entry) => entry.bytes)]);
  const password = Buffer.from(PASSWORD, 'utf16le').swap16();
  const digest = createHash('sha1').update(password).update(WHITENER).update(body).digest();
  return Buffer.concat([body, digest]);
}
