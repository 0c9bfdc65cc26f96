// Looks at the certificates before the first byte is sent: an expired one is named as such here,
// where the network would only say that somebody hung up.

import { X509Certificate } from 'node:crypto';
import { JobletError, messageOf } from '../shared/errors.ts';
import type { Node } from './nodes-file.ts';

/**
 * Refuses certificates that cannot work: unreadable, not valid yet, or expired.
 * @throws JobletError unauthenticated or invalid
 */
export function checkCertificates(node: Node, nowMs: number): void {
  check('client certificate', node.cert, node.source, nowMs);
  check('CA certificate', node.ca, node.source, nowMs);
}

function check(what: string, pem: string, source: string, nowMs: number): void {
  const { subject, validFromDate, validToDate } = parse(what, pem, source);
  const whose = `the ${what} of ${source} (${subject.replaceAll('\n', ', ')})`;
  if (nowMs > validToDate.getTime()) {
    throw new JobletError(
      'unauthenticated',
      `certificate verify failed: certificate has expired: ${whose} was valid until ${validToDate.toISOString()}; ` +
        'have a new one made with `joblet certs`',
    );
  }
  if (nowMs < validFromDate.getTime()) {
    throw new JobletError(
      'unauthenticated',
      `certificate verify failed: certificate is not yet valid: ${whose} is valid from ${validFromDate.toISOString()}; ` +
        "check this machine's clock",
    );
  }
}

function parse(what: string, pem: string, source: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw new JobletError(
      'invalid',
      `the ${what} of ${source} cannot be read: ${messageOf(error)}; copy it again from the server`,
      { cause: error },
    );
  }
}
