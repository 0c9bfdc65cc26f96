// Files and folders leave with a request, or ahead of it.

import type { Connection } from '../client/connection.ts';
import type { Upload } from '../client/messages.ts';
import { uploadFiles } from '../client/methods.ts';
import type { Output } from './output.ts';
import { showProgress } from './progress.ts';
import type { Session } from './session.ts';
import { fitsRequest, inlineUploads, type LocalFile, totalBytes, uploadParts } from './uploads.ts';

const MB = 2 ** 20;

/** What a request says of its files: those within it, or the id of those sent ahead; empty is none. */
export interface SentUploads {
  readonly uploads: Upload[];
  readonly uploadId: string;
}

/** Sends small files within the request and others ahead of it; `beside` is where that is said. */
export async function sendUploads(
  connection: Connection,
  files: readonly LocalFile[],
  beside: Output,
  { err, json }: Session,
): Promise<SentUploads> {
  const bytes = totalBytes(files);
  if (!json && files.length > 0) {
    await beside.write(`Uploading ${files.length} files (${(bytes / MB).toFixed(2)} MB)...\n`);
  }
  if (fitsRequest(files)) return { uploads: inlineUploads(files), uploadId: '' };
  return { uploads: [], uploadId: await sendAhead(connection, files, err) };
}

/** Sends files ahead of the request that names them by the id that this answers. */
export async function sendAhead(
  connection: Connection,
  files: readonly LocalFile[],
  progress: Output,
): Promise<string> {
  const parts = uploadParts(files, showProgress(progress, totalBytes(files)));
  return (await connection.clientStream(uploadFiles, parts)).uploadId;
}
