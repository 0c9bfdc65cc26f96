// What an S3 store says in its answers, checked before anything is believed.

import { JobletError } from '../../shared/errors.ts';
import { childOf, childrenOf, type Element, parseXml, textOf } from '../../shared/xml.ts';
import type { Stored } from './objects.ts';

/** A page of a list: what is in it, and where the next one goes on; empty is nowhere. */
export interface Page<T> {
  readonly entries: readonly T[];
  readonly next: string;
}

/** A part of an upload that has not been completed. */
export interface Part {
  readonly number: number;
  readonly etag: string;
  readonly bytes: number;
}

export interface Upload {
  readonly key: string;
  readonly id: string;
}

/** S3 has no longer ones. */
const MAX_KEY_CHARS = 1024;
const MAX_ID_CHARS = 4096;
const MAX_PART = 10_000;
const MAX_SAID_CHARS = 200;

export function parseObjects(text: string): Page<Stored> {
  const list = rootOf(text, 'ListBucketResult');
  const entries = childrenOf(list, 'Contents').map((content) => ({
    key: shortText(content, 'Key', MAX_KEY_CHARS),
    bytes: countOf(content, 'Size', Number.MAX_SAFE_INTEGER),
  }));
  return { entries, next: nextOf(list, 'NextContinuationToken') };
}

export function parseUploads(text: string): Page<Upload> {
  const list = rootOf(text, 'ListMultipartUploadsResult');
  const entries = childrenOf(list, 'Upload').map((upload) => ({
    key: shortText(upload, 'Key', MAX_KEY_CHARS),
    id: shortText(upload, 'UploadId', MAX_ID_CHARS),
  }));
  // The next page begins behind the last key: nobody has several thousand tries for one.
  return { entries, next: nextOf(list, 'NextKeyMarker') };
}

export function parseParts(text: string): Page<Part> {
  const list = rootOf(text, 'ListPartsResult');
  const entries = childrenOf(list, 'Part').map((part) => ({
    number: countOf(part, 'PartNumber', MAX_PART),
    etag: shortText(part, 'ETag', MAX_KEY_CHARS),
    bytes: countOf(part, 'Size', Number.MAX_SAFE_INTEGER),
  }));
  return { entries, next: nextOf(list, 'NextPartNumberMarker') };
}

export function parseUploadId(text: string): string {
  const id = shortText(rootOf(text, 'InitiateMultipartUploadResult'), 'UploadId', MAX_ID_CHARS);
  if (id === '') throw strange('an upload without an id');
  return id;
}

/** A completion that failed is answered with 200 all the same. */
export function checkCompleted(text: string): void {
  rootOf(text, 'CompleteMultipartUploadResult');
}

/** The code and the message of a refusal, in one line; empty where it says neither. */
export function parseRefusal(text: string): { readonly code: string; readonly message: string } {
  let root: Element | undefined;
  try {
    root = parseXml(text);
  } catch {
    // A proxy on the way answers in HTML.
  }
  if (root?.name !== 'Error') return { code: '', message: '' };
  const [code, message] = ['Code', 'Message'].map((name) =>
    textOf(root, name).slice(0, MAX_SAID_CHARS),
  );
  return { code: code ?? '', message: message ?? '' };
}

export function formatParts(parts: readonly Pick<Part, 'number' | 'etag'>[]): string {
  const lines = parts.map(
    ({ number, etag }) =>
      `<Part><PartNumber>${number}</PartNumber><ETag>${escaped(etag)}</ETag></Part>`,
  );
  return `<CompleteMultipartUpload>${lines.join('')}</CompleteMultipartUpload>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function rootOf(text: string, name: string): Element {
  const root = parseXml(text);
  if (root.name === 'Error') {
    const { code, message } = parseRefusal(text);
    throw strange(`${code}: ${message}`);
  }
  if (root.name !== name) throw strange(`<${root.name.slice(0, MAX_SAID_CHARS)}> for <${name}>`);
  return root;
}

function nextOf(list: Element, name: string): string {
  if (textOf(list, 'IsTruncated') !== 'true') return '';
  const next = shortText(list, name, MAX_ID_CHARS);
  if (next === '') throw strange('a list that goes on nowhere');
  return next;
}

function shortText(element: Element, name: string, maxChars: number): string {
  const text = textOf(element, name);
  if (childOf(element, name) === undefined || text.length > maxChars) {
    throw strange(`<${element.name}> without a ${name} that can be`);
  }
  return text;
}

function countOf(element: Element, name: string, most: number): number {
  const text = textOf(element, name);
  const count = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!(count <= most)) throw strange(`<${element.name}> without a ${name} that can be`);
  return count;
}

function strange(what: string): JobletError {
  return new JobletError('unavailable', `it answers ${what}`);
}
