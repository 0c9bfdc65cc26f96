// Who vouches for a manifest: Ed25519 signatures, and the keys that are believed here.

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { JobletError, messageOf } from '../../shared/errors.ts';
import { syncDirectory } from '../store/sync-directory.ts';

/** Digits of a key's id: enough to find it, and no two keys have the same by chance. */
const KEY_ID_DIGITS = 32;
export const MAX_SIGNATURE_BYTES = 4096;

/** Keys as they travel to a thread: PEM texts. */
export interface Keys {
  /** Signs what is built or installed here. */
  readonly signing: string;
  /** Public keys whose signatures count, beside that of `signing`. */
  readonly trusted: readonly string[];
}

/** What became of a signature. */
export type Verdict =
  | { readonly is: 'trusted' | 'untrusted' | 'wrong'; readonly keyId: string }
  | { readonly is: 'missing' };

/** A signing key, made at first use. The file is its owner's alone. */
export function openSigningKey(file: string): string {
  if (!existsSync(file)) makeSigningKey(file);
  return readKey(file, (pem) => createPrivateKey(pem));
}

/** It is there whole or not at all, whatever is killed and whenever the power fails. */
function makeSigningKey(file: string): void {
  const { privateKey } = generateKeyPairSync('ed25519');
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  const begun = `${file}.${process.pid}`;
  writeFileSync(begun, pem, { mode: 0o600, flush: true });
  try {
    linkSync(begun, file);
    syncDirectory(path.dirname(file));
  } catch (error) {
    // Somebody else was quicker, and his counts.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(begun);
  }
}

/** A public key, from a file that holds it, or the private one that goes with it. */
export function readPublicKey(file: string): string {
  const pem = readKey(file, (text) => createPublicKey(text));
  return createPublicKey(pem).export({ format: 'pem', type: 'spki' }).toString();
}

function readKey(file: string, read: (pem: string) => KeyObject): string {
  let pem: string;
  try {
    pem = readFileSync(file, 'utf8');
    if (read(pem).asymmetricKeyType !== 'ed25519') throw new Error('it is not of Ed25519');
    return pem;
  } catch (cause) {
    const message = `the key ${file} cannot be used: ${messageOf(cause)}`;
    throw new JobletError('invalid', message, { about: file, cause });
  }
}

/** The public key that goes with a private one, as others are given it. */
export function publicKeyOf(signing: string): string {
  return createPublicKey(signing).export({ format: 'pem', type: 'spki' }).toString();
}

/** What a key is called. */
export function keyIdOf(pem: string): string {
  const der = createPublicKey(pem).export({ format: 'der', type: 'spki' });
  return createHash('sha256').update(der).digest('hex').slice(0, KEY_ID_DIGITS);
}

/** The text of a signature over some bytes. */
export function signBytes(bytes: Uint8Array, signing: string): string {
  const signature = sign(null, bytes, createPrivateKey(signing)).toString('base64');
  return `${JSON.stringify({ algorithm: 'ed25519', key: keyIdOf(signing), signature })}\n`;
}

/** What a signature is worth here. */
export function judgeSignature(
  bytes: Uint8Array,
  text: string | undefined,
  { signing, trusted }: Keys,
): Verdict {
  if (text === undefined) return { is: 'missing' };
  const { keyId, signature } = parseSignature(text);
  const known = [signing, ...trusted].find((pem) => keyIdOf(pem) === keyId);
  if (known === undefined) return { is: 'untrusted', keyId };
  const isRight = verify(null, bytes, createPublicKey(known), signature);
  return { is: isRight ? 'trusted' : 'wrong', keyId };
}

/** @throws JobletError invalid */
export function parseSignature(text: string): {
  readonly keyId: string;
  readonly signature: Buffer;
} {
  try {
    if (text.length > MAX_SIGNATURE_BYTES) throw new Error('it is too long');
    const found = JSON.parse(text) as Record<string, unknown> | null;
    const { algorithm, key, signature } = found ?? {};
    if (algorithm !== 'ed25519' || typeof key !== 'string' || typeof signature !== 'string') {
      throw new Error('it names no algorithm, key and signature');
    }
    if (!/^[0-9a-f]{32}$/.test(key)) throw new Error('its key has no id');
    return { keyId: key, signature: Buffer.from(signature, 'base64') };
  } catch (cause) {
    const message = `the signature cannot be read: ${messageOf(cause).slice(0, 200)}`;
    throw new JobletError('invalid', message, { cause });
  }
}

/** A sentence about a signature that does not count; undefined for one that does. */
export function signatureProblem(verdict: Verdict): string | undefined {
  switch (verdict.is) {
    case 'trusted':
      return undefined;
    case 'missing':
      return 'it has no signature';
    case 'wrong':
      return `its signature is wrong: it is not what key ${verdict.keyId} signed`;
    case 'untrusted':
      return `it is signed by key ${verdict.keyId}, which is not trusted here (runtime.trustedKeys)`;
  }
}
