// Signature Version 4 of S3: what proves that a request comes from whoever knows the secret key, and
// that nothing of it was changed on the way. The hash of the body is signed, too.

import { createHash, createHmac } from 'node:crypto';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of credentials that end by themselves; else empty. */
  readonly sessionToken: string;
}

export interface Signable {
  readonly method: string;
  /** With the port, where it is not the scheme's own. */
  readonly host: string;
  /** Encoded already (encodePath). */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly bodySha256: string;
}

const ALGORITHM = 'AWS4-HMAC-SHA256';
const SERVICE = 's3';

export const EMPTY_SHA256 = sha256('');

/** A path with every byte escaped that might mean something. */
export function encodePath(path: string): string {
  return path.split('/').map(encode).join('/');
}

/** In the order that is signed. */
export function encodeQuery(query: Readonly<Record<string, string>>): string {
  return Object.entries(query)
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

/** All headers that the request is sent with. */
export function sign(
  request: Signable,
  credentials: Credentials,
  region: string,
  atMs: number,
): Record<string, string> {
  const time = new Date(atMs).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const day = time.slice(0, 8);
  const headers: Record<string, string> = {
    ...request.headers,
    host: request.host,
    'x-amz-content-sha256': request.bodySha256,
    'x-amz-date': time,
    ...(credentials.sessionToken !== '' && { 'x-amz-security-token': credentials.sessionToken }),
  };
  const names = Object.keys(headers).toSorted();
  const signed = names.join(';');
  const canonical = [
    request.method,
    request.path,
    encodeQuery(request.query),
    ...names.map((name) => `${name}:${headers[name]?.trim()}`),
    '',
    signed,
    request.bodySha256,
  ].join('\n');
  const scope = `${day}/${region}/${SERVICE}/aws4_request`;
  const text = [ALGORITHM, time, scope, sha256(canonical)].join('\n');
  const key = [day, region, SERVICE, 'aws4_request'].reduce<string | Buffer>(
    (above, word) => hmac(above, word).digest(),
    `AWS4${credentials.secretAccessKey}`,
  );
  const signature = hmac(key, text).digest('hex');
  const authorization = `${ALGORITHM} Credential=${credentials.accessKeyId}/${scope},SignedHeaders=${signed},Signature=${signature}`;
  return { ...headers, authorization };
}

function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function hmac(key: string | Buffer, text: string) {
  return createHmac('sha256', key).update(text);
}
