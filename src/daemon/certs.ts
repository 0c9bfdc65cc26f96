// Makes the certificates that identify this node and its clients: one authority of our own, ECDSA
// P-256 throughout. A client's name and role stand in its certificate's subject:
// CN=<name>, OU=<role>, O=Joblet.

import 'reflect-metadata';
import { randomBytes, type webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  type JsonGeneralNames,
  type JsonName,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { JobletError } from '../shared/errors.ts';

/** A certificate and its private key, as PEM text. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** What a certificate is to say. */
export type Subject =
  | {
      readonly kind: 'server';
      /** Host names and addresses beside the ones that every server has. */
      readonly names: readonly string[];
    }
  | {
      readonly kind: 'client';
      readonly name: string;
      /** The role; the weakest counts when there are several. */
      readonly units: readonly string[];
    };

export const AUTHORITY_DAYS = 1095;
export const CERTIFICATE_DAYS = 365;

const ORGANISATION = 'Joblet';

/** Names by which every server may be reached; clients that exist check for `joblet`. */
const SERVER_NAMES = ['joblet', 'localhost', 'joblet-server', '127.0.0.1', '::1'] as const;

/** Names that need no quoting in a subject, and that no reader of certificates takes apart. */
const NAME = /^[A-Za-z0-9:][A-Za-z0-9._@:-]{0,63}$/;

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

const DAY_MS = 86_400_000;

/** Clocks differ: a certificate is good from a little before it was made. */
const SKEW_MS = 5 * 60_000;

/** Makes an authority: it can sign certificates, and nothing below it can. */
export async function makeAuthority(nowMs: number, days = AUTHORITY_DAYS): Promise<KeyPair> {
  const keys = await makeKeys();
  const subject: JsonName = [{ CN: ['Joblet-CA'] }, { O: [ORGANISATION] }];
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: subject,
    keys,
    serialNumber: randomSerial(),
    ...validity(nowMs, days),
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: pem(certificate), key: await exportKey(keys.privateKey) };
}

/** Issues a certificate that is good for `days` from now. `invalid` for a name it cannot carry. */
export async function issue(
  authority: KeyPair,
  subject: Subject,
  nowMs: number,
  days = CERTIFICATE_DAYS,
): Promise<KeyPair> {
  const words = subject.kind === 'client' ? [subject.name, ...subject.units] : subject.names;
  for (const word of words) {
    if (NAME.test(word)) continue;
    throw new JobletError(
      'invalid',
      `a certificate cannot carry the name ${JSON.stringify(word)}: use letters, digits and ._@:- (64 at most)`,
    );
  }
  const issuer = new X509Certificate(authority.cert);
  const keys = await makeKeys();
  const certificate = await X509CertificateGenerator.create({
    subject: subjectName(subject),
    issuer: issuer.subjectName,
    serialNumber: randomSerial(),
    ...validity(nowMs, days),
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.key),
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer),
      ...purpose(subject),
    ],
  });
  return { cert: pem(certificate), key: await exportKey(keys.privateKey) };
}

function subjectName(subject: Subject): JsonName {
  switch (subject.kind) {
    case 'server':
      return [{ CN: ['joblet-server'] }, { O: [ORGANISATION] }];
    case 'client':
      return [
        { CN: [subject.name] },
        ...subject.units.map((unit) => ({ OU: [unit] })),
        { O: [ORGANISATION] },
      ];
  }
}

function purpose(subject: Subject): Extension[] {
  switch (subject.kind) {
    case 'server': {
      const names = [...new Set([...SERVER_NAMES, ...subject.names])];
      const general: JsonGeneralNames = names.map((value) => ({
        type: isAddress(value) ? 'ip' : 'dns',
        value,
      }));
      return [
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension(general),
      ];
    }
    case 'client':
      return [new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth])];
  }
}

function isAddress(name: string): boolean {
  return name.includes(':') || /^\d+(\.\d+){3}$/.test(name);
}

function validity(nowMs: number, days: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(nowMs - SKEW_MS), notAfter: new Date(nowMs + days * DAY_MS) };
}

/** 127 random bits; the first bit stays clear, as a serial number is positive. */
function randomSerial(): string {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x7f) | 0x40, 0);
  return bytes.toString('hex');
}

function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function exportKey(key: CryptoKey): Promise<string> {
  return `${PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

async function importKey(text: string): Promise<CryptoKey> {
  const [der] = PemConverter.decode(text);
  return crypto.subtle.importKey('pkcs8', der ?? new ArrayBuffer(0), algorithm, false, ['sign']);
}

function pem(certificate: X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}
