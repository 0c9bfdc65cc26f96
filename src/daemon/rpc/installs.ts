// RuntimeService, the part by which runtimes come and leave: installed from packs, folders and
// registries, and packed for other nodes.

import { createReadStream } from 'node:fs';
import path from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  InstallRuntimeRequest,
  InstallRuntimeResponseSchema,
  PackRuntimeChunkSchema,
  RuntimeInstallationChunkSchema,
  RuntimeService,
} from '../../gen/joblet/runtimes_pb.ts';
import { invalid } from '../../shared/errors.ts';
import type { Installs, Step } from '../runtimes/installs.ts';
import { packFormats } from '../runtimes/pack.ts';
import type { Call, Handlers } from './handlers.ts';
import { installLocal, type LocalParts } from './install-local.ts';
import { installNamed, type NamedParts } from './install-named.ts';
import type { Arrival, News } from './install-news.ts';
import { stepsOf } from './steps.ts';

export type InstallParts = LocalParts & NamedParts;

type InstallHandlers = Pick<
  Handlers<typeof RuntimeService>,
  | 'installRuntime'
  | 'installRuntimeFromGithub'
  | 'installRuntimeFromLocal'
  | 'streamingInstallRuntimeFromGithub'
  | 'streamingInstallRuntimeFromLocal'
  | 'packRuntime'
  | 'listRegistries'
>;

const PART_BYTES = 256 * 1024;

export function installHandlers(parts: InstallParts): InstallHandlers {
  const installOne = async (request: InstallRuntimeRequest, call: Call) =>
    toResponse(await endOf(installNamed(parts, request, call)), request.repository);
  return {
    installRuntime: installOne,
    installRuntimeFromGithub: installOne,
    streamingInstallRuntimeFromGithub: (request, call) =>
      toChunks(installNamed(parts, request, call)),

    installRuntimeFromLocal: async (request, call) =>
      toResponse(await endOf(installLocal(parts, request, call)), ''),
    streamingInstallRuntimeFromLocal: (request, call) =>
      toChunks(installLocal(parts, request, call)),

    listRegistries: async ({ registryUrl }, { signal }) => ({
      registries: (await parts.installs.offers(registryUrl, signal)).map(
        ({ address, updatedAt, runtimes }) => ({
          address,
          updatedTime: updatedAt,
          offers: runtimes.map((one) => ({
            ...one,
            versions: [...one.versions],
            platforms: [...one.platforms],
          })),
        }),
      ),
    }),

    packRuntime: async function* ({ runtime, format: word }, { signal }) {
      const format = packFormats.find((one) => one === (word || packFormats[0]));
      if (format === undefined) {
        throw invalid([{ field: 'format', message: `is one of ${packFormats.join(', ')}` }]);
      }
      const work = (report: (step: Step) => void) =>
        parts.installs.pack(runtime, format, { signal, report });
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

/** What came in the end. */
async function endOf(news: AsyncGenerator<News, Arrival>): Promise<Arrival> {
  for (;;) {
    const next = await news.next();
    if (next.done === true) return next.value;
  }
}

/** News of an installation, and its end. */
async function* toChunks(
  all: AsyncGenerator<News, Arrival>,
): AsyncGenerator<MessageInitShape<typeof RuntimeInstallationChunkSchema>> {
  for (;;) {
    const next = await all.next();
    if (next.done === true) {
      yield { chunkType: { case: 'result', value: toResult(next.value) } };
      return;
    }
    yield { chunkType: toChunk(next.value) };
  }
}

function toChunk(
  news: News,
): MessageInitShape<typeof RuntimeInstallationChunkSchema>['chunkType'] & object {
  if (news.kind === 'log') {
    return { case: 'log', value: { data: Buffer.from(`${news.line}\n`) } };
  }
  const { message, step, totalSteps, done, total } = news;
  const value = { message, step, totalSteps, done: BigInt(done), total: BigInt(total) };
  return { case: 'progress', value };
}

function toResult({ message, runtime, directory, bytes, newBytes }: Arrival) {
  return {
    success: true,
    message,
    runtimeSpec: runtime,
    installPath: directory,
    sizeBytes: BigInt(bytes),
    newBytes: BigInt(newBytes),
  };
}

function toResponse(
  { message, runtime, directory, jobId }: Arrival,
  repository: string,
): MessageInitShape<typeof InstallRuntimeResponseSchema> {
  return {
    buildJobUuid: jobId,
    runtimeSpec: runtime,
    status: 'COMPLETED',
    message,
    repository,
    resolvedPath: directory,
  };
}
