// Sends files ahead of the job that uses them, piece by piece.

import type { Connection } from '../src/client/connection.ts';
import type { UploadPart } from '../src/client/messages.ts';
import { uploadFiles } from '../src/client/methods.ts';

export interface File {
  readonly path: string;
  readonly mode: number;
  readonly content: Uint8Array;
}

const PIECE_BYTES = 256 * 1024;

/** Answers the upload's id. */
export async function upload(api: Connection, files: readonly File[]): Promise<string> {
  return (await api.clientStream(uploadFiles, partsOf(files))).uploadId;
}

function* partsOf(files: readonly File[]): Generator<UploadPart> {
  for (const { path, mode, content } of files) {
    yield { header: { path, mode, isDirectory: false, size: BigInt(content.length) } };
    for (let at = 0; at < content.length; at += PIECE_BYTES) {
      yield { data: content.subarray(at, at + PIECE_BYTES) };
    }
  }
}
