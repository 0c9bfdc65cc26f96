// RuntimeService, the part by which runtimes come and leave: installed from packs, folders and
// registries, and packed for other nodes.

import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import path from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  InstallRuntimeFromLocalRequest,
  PackRuntimeChunkSchema,
  RuntimeInstallationChunkSchema,
  RuntimeService,
} from '../../gen/joblet/runtimes_pb.ts';
import { invalid, JobletError } from '../../shared/errors.ts';
import type { Audit } from '../audit/audit.ts';
import type { Uploads } from '../jobs/uploads.ts';
import type { Installed, Installs, Step } from '../runtimes/installs.ts';
import { packFormats } from '../runtimes/pack.ts';
import type { Runtimes } from '../runtimes/runtimes.ts';
import type { Call, Handlers } from './handlers.ts';
import { stepsOf } from './steps.ts';

export interface InstallParts {
  readonly installs: Installs;
  readonly uploads: Pick<Uploads, 'stage' | 'release'>;
  readonly runtimes: Pick<Runtimes, 'forgetGone'>;
  readonly audit: Pick<Audit, 'record'>;
}

type InstallHandlers = Pick<
  Handlers<typeof RuntimeService>,
  'installRuntimeFromLocal' | 'streamingInstallRuntimeFromLocal' | 'packRuntime'
>;

/** Unpacking and installing; what comes before them differs. */
const LOCAL_STEPS = 2;
const PART_BYTES = 256 * 1024;

type Report = (step: Step) => void;

export function installHandlers(parts: InstallParts): InstallHandlers {
  const { installs } = parts;
  return {
    installRuntimeFromLocal: async (request, call) =>
      toResponse(await installLocal(parts, request, call, () => {})),

    streamingInstallRuntimeFromLocal: async function* (request, call) {
      const work = (report: Report) => installLocal(parts, request, call, report);
      yield* toChunks(stepsOf(work), LOCAL_STEPS);
    },

    packRuntime: async function* ({ runtime, format: word }, { signal }) {
      const format = packFormats.find((one) => one === (word || packFormats[0]));
      if (format === undefined) {
        throw invalid([{ field: 'format', message: `is one of ${packFormats.join(', ')}` }]);
      }
      const work = (report: Report) => installs.pack(runtime, format, { signal, report });
      const steps = stepsOf(work);
      for (;;) {
        const next = await steps.next();
        if (next.done === true) {
          yield* sendPack(next.value);
          return;
        }
        const { done, total } = next.value;
        yield { done: BigInt(done), total: BigInt(total) };
      }
    },
  };
}

async function* sendPack(
  packed: Awaited<ReturnType<Installs['pack']>>,
): AsyncGenerator<MessageInitShape<typeof PackRuntimeChunkSchema>> {
  try {
    yield { fileName: path.basename(packed.file), sizeBytes: BigInt(packed.bytes) };
    const file = createReadStream(packed.file, { highWaterMark: PART_BYTES });
    for await (const data of file as AsyncIterable<Buffer>) yield { data };
    yield { sha256: packed.sha256 };
  } finally {
    await packed.remove();
  }
}

/** Installs what a client has sent: in an upload, or in the request itself. */
async function installLocal(
  { installs, uploads, runtimes, audit }: InstallParts,
  request: InstallRuntimeFromLocalRequest,
  { identity, signal }: Call,
  report: Report,
): Promise<Installed> {
  const { uploadId, isFolder, files, runtimeSpec: spec, forceReinstall: force } = request;
  if ((uploadId === '') === (files.length === 0)) {
    const message = 'is the id of an upload, or there are files; give one of them';
    throw invalid([{ field: 'upload_id', message }]);
  }
  const follower = { signal, report };
  const wish = { spec, force };
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
    const installed =
      uploadId === ''
        ? await installs.fromFiles(staged.directory, wish, follower)
        : await fromUpload(installs, staged, isFolder, wish, follower);
    runtimes.forgetGone();
    const detail = installed.runtime;
    const record = { action: 'runtime.installed', who: identity, result: 'ok', detail } as const;
    await audit.record({ atMs: Date.now(), ...record });
    return installed;
  } finally {
    await uploads.release(id);
  }
}

function fromUpload(
  installs: Installs,
  staged: { readonly directory: string; readonly names: readonly string[] },
  isFolder: boolean,
  wish: Parameters<Installs['fromPack']>[1],
  follower: Parameters<Installs['fromPack']>[2],
): Promise<Installed> {
  const [name, ...others] = staged.names;
  if (name === undefined || others.length > 0) {
    const message = `holds ${staged.names.length} files; a pack is one, and so is the archive of a folder`;
    throw invalid([{ field: 'upload_id', message }]);
  }
  const file = path.join(staged.directory, name);
  return isFolder
    ? installs.fromFolder(file, wish, follower)
    : installs.fromPack(file, wish, follower);
}

/** News of an installation, and its end. */
async function* toChunks(
  steps: AsyncGenerator<Step, Installed>,
  totalSteps: number,
): AsyncGenerator<MessageInitShape<typeof RuntimeInstallationChunkSchema>> {
  for (;;) {
    const next = await steps.next();
    if (next.done === true) {
      const { runtime, directory, bytes, newBytes } = next.value;
      const value = {
        success: true,
        message: sentence(next.value),
        runtimeSpec: runtime,
        installPath: directory,
        sizeBytes: BigInt(bytes),
        newBytes: BigInt(newBytes),
      };
      yield { chunkType: { case: 'result', value } };
      return;
    }
    const { number, message, done, total } = next.value;
    const value = { message, step: number, totalSteps, done: BigInt(done), total: BigInt(total) };
    yield { chunkType: { case: 'progress', value } };
  }
}

function toResponse(installed: Installed) {
  const { runtime, directory } = installed;
  const status = 'COMPLETED';
  return { runtimeSpec: runtime, status, message: sentence(installed), resolvedPath: directory };
}

function sentence({ runtime, replaced }: Installed): string {
  return replaced
    ? `Runtime ${runtime} took the place of the one that was there`
    : `Runtime ${runtime} installed`;
}
