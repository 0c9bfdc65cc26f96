// What a broken connection means, in words that say what to do about it.

import { JobletError, messageOf } from '../shared/errors.ts';
import type { Node } from './nodes-file.ts';
import { Away, CallError } from './status.ts';

type Explain = (where: string, node: Node) => JobletError;

/** There was no connection: nobody may be there. */
export class Unreached extends Away {}

const unavailable =
  (text: string): Explain =>
  (where) =>
    new Unreached(`${where}: ${text}`);

const unauthenticated =
  (text: string): Explain =>
  (where, node) =>
    new CallError('UNAUTHENTICATED', `${where}: ${text} (certificates from ${node.source})`);

const refusedUs = unauthenticated(
  "the daemon refused our certificate; it has to come from the daemon's own CA, be in date and not be revoked",
);
const wrongCa = unauthenticated(
  "the daemon's certificate is not from our CA; copy the nodes file again from that server",
);
const hungUp: Explain = (where) =>
  new Away(`${where}: the connection was closed; the daemon may have been stopped, try again`);

/** By the code of Node's error. */
const explanations: Readonly<Record<string, Explain>> = {
  ECONNREFUSED: unavailable(
    'nobody listens there; start the daemon (`joblet serve`), or check the address',
  ),
  ENOTFOUND: unavailable('there is no such host; check the address'),
  EAI_AGAIN: unavailable('the host name cannot be looked up now; check the network'),
  EHOSTUNREACH: unavailable('the host cannot be reached; check the network'),
  ENETUNREACH: unavailable('the network cannot be reached'),
  ETIMEDOUT: unavailable('no answer; check the address and the firewall'),
  ECONNRESET: hungUp,
  EPIPE: hungUp,
  ERR_STREAM_PREMATURE_CLOSE: hungUp,
  ERR_HTTP2_STREAM_CANCEL: hungUp,
  ERR_HTTP2_STREAM_ERROR: hungUp,
  ERR_HTTP2_SESSION_ERROR: hungUp,
  ERR_HTTP2_GOAWAY_SESSION: hungUp,
  ERR_HTTP2_INVALID_SESSION: hungUp,
  ERR_HTTP2_ERROR: unavailable('what answers there does not speak gRPC; check the address'),
  ERR_SSL_PACKET_LENGTH_TOO_LONG: unavailable(
    'what answers there does not speak TLS; check the port',
  ),
  ERR_SSL_WRONG_VERSION_NUMBER: unavailable(
    'what answers there does not speak TLS 1.3; check the port',
  ),
  EPROTO: unavailable('what answers there does not speak TLS 1.3; check the port'),
  CERT_HAS_EXPIRED: unauthenticated(
    'certificate verify failed: certificate has expired: that of the daemon; have it made again with `joblet certs`',
  ),
  CERT_NOT_YET_VALID: unauthenticated(
    'certificate verify failed: certificate is not yet valid: that of the daemon; check both clocks',
  ),
  INVALID_PURPOSE: unauthenticated(
    'what answers there has a certificate of our CA that is not for a daemon; check the address',
  ),
  // Our own name for a connection that was closed before the other side said anything in HTTP/2: so
  // does a TLS server that looks at certificates only after the handshake.
  SILENT_REFUSAL: unauthenticated(
    'the daemon hung up right after the handshake, most likely because it refused our certificate; ' +
      "that has to come from the daemon's own CA, be in date and not be revoked",
  ),
  SELF_SIGNED_CERT_IN_CHAIN: wrongCa,
  DEPTH_ZERO_SELF_SIGNED_CERT: wrongCa,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: wrongCa,
  UNABLE_TO_GET_ISSUER_CERT: wrongCa,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: wrongCa,
  CERT_SIGNATURE_FAILURE: wrongCa,
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: refusedUs,
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: refusedUs,
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: refusedUs,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: refusedUs,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED: refusedUs,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: refusedUs,
  ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE: refusedUs,
  ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR: refusedUs,
};

/**
 * A failure of the connection as an error for people; errors of our own pass unchanged. `wasHeard` says
 * that the daemon had answered on it before.
 */
export function connectionError(error: unknown, node: Node, wasHeard = false): JobletError {
  const found = explained(error, node);
  // Whatever broke it, somebody is known to be there.
  return wasHeard && found instanceof Unreached ? new Away(found.message, found.cause) : found;
}

function explained(error: unknown, node: Node): JobletError {
  if (error instanceof JobletError) return error;
  if (error === undefined) return hungUp(`the call to ${node.host}:${node.port}`, node);
  const where = `cannot reach the daemon at ${node.host}:${node.port}`;
  const code = (error as { code?: string } | null)?.code ?? '';
  const explain = Object.hasOwn(explanations, code) ? explanations[code] : undefined;
  return explain?.(where, node) ?? new Unreached(`${where}: ${messageOf(error)}`, error);
}
