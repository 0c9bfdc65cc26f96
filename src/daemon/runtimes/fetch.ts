// Gets files from where a registry lies: a directory of this host, or HTTPS. A download that breaks off
// goes on where it stopped, if the server can do that, and else begins again.

import { X509Certificate } from 'node:crypto';
import { createReadStream, createWriteStream, readFileSync, statSync, truncateSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { finished, pipeline } from 'node:stream/promises';
import tls from 'node:tls';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { JobletError, messageOf } from '../../shared/errors.ts';
import { formatBytes } from '../../shared/units.ts';

export interface FetchOptions {
  /** A certificate authority beside those that are known, PEM; empty is none. */
  readonly ca: string;
  readonly signal?: AbortSignal | undefined;
}

export interface Download extends FetchOptions {
  /** A file that does not exist yet. */
  readonly target: string;
  readonly maxBytes: number;
  readonly progress: (bytes: number) => void;
}

const MAX_REDIRECTS = 5;
/** A server that says nothing for so long has gone. */
const SILENCE_MS = 30_000;
/** What has come and is not written yet. */
const MAX_PENDING_BYTES = 4 * 1024 * 1024;
/** Attempts in a row that brought nothing. */
const MAX_VAIN_ATTEMPTS = 3;

/** The text of a certificate authority; empty where no file is named. @throws JobletError invalid */
export function readAuthority(file: string): string {
  try {
    return file === '' ? '' : new X509Certificate(readFileSync(file)).toString();
  } catch (cause) {
    const message = `the certificate authority ${file} cannot be used (runtime.registryCa): ${messageOf(cause)}`;
    throw new JobletError('invalid', message, { about: file, cause });
  }
}

/**
 * The address of a registry: an absolute path, `file:` or `https:`. What does not end with `.json` is
 * the folder of its index.
 * @throws JobletError invalid
 */
export function registryAddress(text: string): URL {
  const isPath = path.isAbsolute(text);
  const url = isPath ? pathToFileURL(text) : URL.parse(text);
  if (url === null || !['file:', 'https:'].includes(url.protocol)) {
    throw new JobletError(
      'invalid',
      `${JSON.stringify(text.slice(0, 200))} is no address of a registry; give an absolute path, file:///... or https://...`,
      { about: 'registry_url' },
    );
  }
  if (!url.pathname.endsWith('.json') && !url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

/** The bytes of a small file; undefined when it is not there. */
export async function fetchSmall(
  url: URL,
  maxBytes: number,
  options: FetchOptions,
): Promise<Buffer | undefined> {
  if (url.protocol === 'file:') return readSmall(fileURLToPath(url), maxBytes);
  const response = await get(url, {}, options);
  if (response.statusCode === 404) {
    response.resume();
    return undefined;
  }
  requireStatus(response, url, [200]);
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      bytes += part.length;
      if (bytes > maxBytes) throw tooBig(url, maxBytes);
      parts.push(part);
    }
  } catch (error) {
    throw broken(url, error);
  }
  return Buffer.concat(parts);
}

function readSmall(file: string, maxBytes: number): Buffer | undefined {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found?.isFile() !== true) return undefined;
  if (found.size > maxBytes) throw tooBig(pathToFileURL(file), maxBytes);
  return readFileSync(file);
}

/** Gets a file that may be big. */
export async function download(url: URL, order: Download): Promise<void> {
  if (url.protocol === 'file:') {
    await copyLocal(fileURLToPath(url), order);
    return;
  }
  const file = { etag: '' };
  for (let vain = 0; ; ) {
    const before = sizeOf(order.target);
    try {
      await downloadOn(url, order, before, file);
      return;
    } catch (caught) {
      const error = broken(url, caught);
      if (order.signal?.aborted === true || error.kind !== 'unavailable') throw error;
      vain = sizeOf(order.target) > before ? 0 : vain + 1;
      if (vain >= MAX_VAIN_ATTEMPTS) throw error;
    }
  }
}

async function copyLocal(file: string, order: Download): Promise<void> {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found?.isFile() !== true) throw missing(pathToFileURL(file));
  if (found.size > order.maxBytes) throw tooBig(pathToFileURL(file), order.maxBytes);
  const source = createReadStream(file);
  source.on('data', () => order.progress(source.bytesRead));
  await pipeline(source, createWriteStream(order.target, { mode: 0o600 }), {
    ...(order.signal && { signal: order.signal }),
  });
}

/** One attempt, from where the one before has stopped. */
async function downloadOn(
  url: URL,
  order: Download,
  have: number,
  file: { etag: string },
): Promise<void> {
  const { target, maxBytes, progress } = order;
  const canResume = have > 0 && file.etag !== '';
  const headers = canResume ? { range: `bytes=${have}-`, 'if-range': file.etag } : {};
  const response = await get(url, headers, order);
  requireStatus(response, url, [200, 206]);
  // A weak name says nothing of the bytes.
  const { etag = '' } = response.headers;
  file.etag = etag.startsWith('W/') ? '' : etag;
  const [, start] = /^bytes (\d+)-/.exec(response.headers['content-range'] ?? '') ?? [];
  const isRest = response.statusCode === 206 && Number(start) === have;
  if (response.statusCode === 206 && !isRest) {
    response.destroy();
    throw new JobletError('invalid', `${shown(url)} came in another part than was asked for`);
  }
  // Anything but the rest is the whole file.
  if (!isRest && have > 0) truncateSync(target, 0);
  let bytes = isRest ? have : 0;
  const output = await open(target, 'a', 0o600);
  try {
    await writeParts(response, output, (length) => {
      bytes += length;
      if (bytes > maxBytes) throw tooBig(url, maxBytes);
      progress(bytes);
    });
  } finally {
    await output.close();
  }
}

/** Writes what comes; all of that is there also when it breaks off. */
async function writeParts(
  response: IncomingMessage,
  output: FileHandle,
  take: (length: number) => void,
): Promise<void> {
  let pendingBytes = 0;
  let writes = Promise.resolve();
  const write = async (part: Buffer) => {
    await output.writeFile(part);
    pendingBytes -= part.length;
    response.resume();
  };
  response.on('data', (part: Buffer) => {
    try {
      take(part.length);
    } catch (error) {
      response.destroy(error as Error);
      return;
    }
    pendingBytes += part.length;
    if (pendingBytes > MAX_PENDING_BYTES) response.pause();
    writes = writes.then(() => write(part));
    writes.catch((error: Error) => response.destroy(error));
  });
  try {
    await finished(response);
  } finally {
    await writes;
  }
}

async function get(
  url: URL,
  headers: Readonly<Record<string, string>>,
  { ca, signal }: FetchOptions,
): Promise<IncomingMessage> {
  let at = url;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects += 1) {
    const response = await request(at, headers, ca, signal);
    const { statusCode = 0, headers: said } = response;
    if (![301, 302, 303, 307, 308].includes(statusCode) || said.location === undefined) {
      return response;
    }
    response.resume();
    const next = URL.parse(said.location, at);
    if (next?.protocol !== 'https:') {
      throw new JobletError('invalid', `${at.href} leads to an address that is not https:`);
    }
    at = next;
  }
  throw new JobletError('unavailable', `${url.href} leads from one address to the next`);
}

function request(
  url: URL,
  headers: Readonly<Record<string, string>>,
  ca: string,
  signal: AbortSignal | undefined,
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const options = {
    headers: { 'user-agent': 'joblet', ...headers },
    timeout: SILENCE_MS,
    ...(signal && { signal }),
    ...(ca !== '' && { ca: [...tls.rootCertificates, ca] }),
  };
  const sent = https.get(url, options, resolve);
  sent.on('timeout', () => sent.destroy(new Error(`it said nothing for ${SILENCE_MS / 1000} s`)));
  sent.on('error', reject);
  return promise.catch((error: unknown) => {
    throw broken(url, error);
  });
}

function requireStatus(response: IncomingMessage, url: URL, wanted: readonly number[]): void {
  const { statusCode = 0 } = response;
  if (wanted.includes(statusCode)) return;
  response.resume();
  if (statusCode === 404) throw missing(url);
  const message = `${url.href} answers ${statusCode} ${response.statusMessage ?? ''}`.trim();
  throw new JobletError('unavailable', message);
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function missing(url: URL): JobletError {
  return new JobletError('not-found', `there is no ${shown(url)}`);
}

function tooBig(url: URL, maxBytes: number): JobletError {
  return new JobletError('exhausted', `${shown(url)} is bigger than ${formatBytes(maxBytes)}`);
}

function broken(url: URL, error: unknown): JobletError {
  if (error instanceof JobletError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  const why = `${messageOf(error)}${code === undefined ? '' : ` (${code})`}`;
  return new JobletError('unavailable', `${shown(url)} cannot be fetched: ${why}`, {
    cause: error,
  });
}

/** Without a password that stands in the address. */
function shown(url: URL): string {
  return url.protocol === 'file:' ? fileURLToPath(url) : `${url.origin}${url.pathname}`;
}
