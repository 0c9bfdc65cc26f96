// Installs what a client has sent: a pack or the archive of a folder in an upload, or files in the
// request itself.

import { randomUUID } from 'node:crypto';
import path from 'node:path';
import type { InstallRuntimeFromLocalRequest } from '../../gen/joblet/runtimes_pb.ts';
import { invalid, JobletError } from '../../shared/errors.ts';
import type { Staged, Uploads } from '../jobs/uploads.ts';
import type { Follower, Installed, Installs, InstallWish } from '../runtimes/installs.ts';
import type { Call } from './handlers.ts';
import { type Arrival, type ArrivalParts, type News, tellInstallation } from './install-news.ts';

export interface LocalParts extends ArrivalParts {
  readonly installs: Installs;
  readonly uploads: Pick<Uploads, 'stage' | 'release'>;
}

/** Unpacking and installing. */
const STEPS = 2;

export async function* installLocal(
  parts: LocalParts,
  request: InstallRuntimeFromLocalRequest,
  { identity, signal }: Call,
): AsyncGenerator<News, Arrival> {
  const { installs, uploads } = parts;
  const { uploadId, isFolder, files, runtimeSpec: spec, forceReinstall: force } = request;
  if ((uploadId === '') === (files.length === 0)) {
    const message = 'is the id of an upload, or there are files; give one of them';
    throw invalid([{ field: 'upload_id', message }]);
  }
  // Staged as a job's files are, so that a crash leaves nothing of them.
  const id = randomUUID();
  try {
    const given = files.map((file) => ({
      path: file.path,
      mode: file.executable ? 0o755 : 0o644,
      isDirectory: false,
      content: file.content,
    }));
    const staged = await uploads.stage(id, given, uploadId, identity);
    if (staged === undefined) throw new JobletError('invalid', 'there is nothing to install');
    const wish = { spec, force };
    return yield* tellInstallation(
      parts,
      spec,
      (report) => {
        const follower = { signal, report };
        return uploadId === ''
          ? installs.fromFiles(staged.directory, wish, follower)
          : fromUpload(installs, staged, isFolder, wish, follower);
      },
      STEPS,
      identity,
    );
  } finally {
    await uploads.release(id);
  }
}

async function fromUpload(
  installs: Installs,
  { directory, names }: Staged,
  isFolder: boolean,
  wish: InstallWish,
  follower: Follower,
): Promise<Installed> {
  const [name, ...others] = names;
  if (name === undefined || others.length > 0) {
    const message = `holds ${names.length} files; a pack is one, and so is the archive of a folder`;
    throw invalid([{ field: 'upload_id', message }]);
  }
  const file = path.join(directory, name);
  return isFolder
    ? installs.fromFolder(file, wish, follower)
    : installs.fromPack(file, wish, follower);
}
