// Who is calling: what a connection's certificate says, decided once for each connection.

import type { PeerCertificate, TLSSocket } from 'node:tls';
import { JobletError } from '../../shared/errors.ts';
import { type Caller, roleOf } from './roles.ts';

/** A certificate that was let in. */
export interface Admission {
  readonly caller: Caller;
  /** Capital hexadecimal digits. */
  readonly serial: string;
  readonly notAfterMs: number;
}

/** The part of a TLS connection that the decision needs. */
export type PeerFacts = Pick<TLSSocket, 'authorized' | 'authorizationError'> & {
  readonly certificate: Partial<PeerCertificate>;
};

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/** OpenSSL's verdicts in words. */
const verdicts: ReadonlyMap<string, string> = new Map([
  ['CERT_HAS_EXPIRED', 'certificate has expired'],
  ['CERT_NOT_YET_VALID', 'certificate is not yet valid'],
  ['INVALID_PURPOSE', 'certificate is not for client use'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'certificate signed by unknown authority'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'certificate signed by unknown authority'],
  ['UNABLE_TO_GET_ISSUER_CERT', 'certificate signed by unknown authority'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'certificate signed by unknown authority'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'certificate signed by unknown authority'],
  ['CERT_SIGNATURE_FAILURE', 'certificate signature is wrong'],
]);

/** What a certificate is good for here. Throws `unauthenticated` when for nothing. */
export function admit(peer: PeerFacts, revoked: ReadonlySet<string>): Admission {
  const { certificate } = peer;
  if (certificate.serialNumber === undefined || certificate.subject === undefined) {
    throw new JobletError(
      'unauthenticated',
      'failed to extract client role: no TLS information found; connect with a client certificate',
    );
  }
  if (!peer.authorized) throw unfit(peer.authorizationError);
  // OpenSSL lets a certificate without any purpose pass for every purpose.
  if (!certificate.ext_key_usage?.includes(CLIENT_AUTH)) throw unfit('INVALID_PURPOSE');
  const serial = certificate.serialNumber.toUpperCase();
  const admission = {
    caller: callerOf(certificate.subject),
    serial,
    notAfterMs: Date.parse(certificate.valid_to ?? ''),
  };
  if (revoked.has(serial)) throw revocation(admission);
  return admission;
}

/** Why a certificate that was let in may call no more, or undefined when it may. */
export function withdrawal(
  admission: Admission,
  nowMs: number,
  revoked: ReadonlySet<string>,
): JobletError | undefined {
  if (revoked.has(admission.serial)) return revocation(admission);
  // Written so that an unreadable date counts as past.
  return nowMs < admission.notAfterMs ? undefined : unfit('CERT_HAS_EXPIRED');
}

function callerOf(subject: PeerCertificate['subject']): Caller {
  const units = listOf(subject.OU);
  return { name: listOf(subject.CN).join(' '), role: roleOf(units), units };
}

/** Node gives a string for one value, an array for several, and nothing for none. */
function listOf(value: unknown): string[] {
  if (value === undefined) return [];
  return (Array.isArray(value) ? value : [value]).map(String);
}

function revocation({ caller, serial }: Admission): JobletError {
  return new JobletError(
    'unauthenticated',
    `certificate verify failed: certificate revoked (${caller.name}, serial ${serial})`,
  );
}

function unfit(verdict: Error | string | null | undefined): JobletError {
  const code = verdict instanceof Error ? verdict.message : (verdict ?? 'unknown reason');
  return new JobletError(
    'unauthenticated',
    `certificate verify failed: ${verdicts.get(code) ?? code}`,
  );
}
