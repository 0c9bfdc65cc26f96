// Files of jobs, in and out: the part of JobService that lists, fetches and puts them.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  JobFileSchema,
  JobFilesPartSchema,
  JobService,
  PutJobFilesRequest,
  PutTarget,
} from '../../gen/joblet/jobs_pb.ts';
import { invalid, JobletError } from '../../shared/errors.ts';
import { pathProblem } from '../../shared/upload-path.ts';
import type { JobFiles } from '../jobs/files.ts';
import type { FilesPart, FoundFile, PutPart } from '../linux/job-files.ts';
import type { Handlers } from './handlers.ts';

export function jobFileHandlers(
  files: Pick<JobFiles, 'list' | 'read' | 'write'>,
): Pick<Handlers<typeof JobService>, 'listJobFiles' | 'getJobFiles' | 'putJobFiles'> {
  return {
    listJobFiles: async ({ uuid, path }) => ({
      files: (await files.list(uuid, path)).map(toJobFile),
    }),

    getJobFiles: async function* ({ uuid, path }, { identity }) {
      for await (const part of files.read(uuid, path, identity)) yield toPart(part);
    },

    putJobFiles: async (requests, { identity }) => {
      const messages = requests[Symbol.asyncIterator]();
      const { uuid, path } = await readTarget(messages);
      const put = await files.write(uuid, path, toPutParts(messages), identity);
      return { files: put.files, bytes: BigInt(put.bytes) };
    },
  };
}

async function readTarget(messages: AsyncIterator<PutJobFilesRequest>): Promise<PutTarget> {
  const first = await messages.next();
  if (first.done !== true && first.value.part.case === 'target') return first.value.part.value;
  throw invalid([{ field: 'target', message: 'is missing: say first which job, and where' }]);
}

async function* toPutParts(messages: AsyncIterator<PutJobFilesRequest>): AsyncGenerator<PutPart> {
  for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
    const { part } = next.value;
    switch (part.case) {
      case 'header': {
        const { path, mode, isDirectory: isFolder } = part.value;
        const problem = pathProblem(path);
        if (problem !== undefined) throw invalid([{ field: 'header.path', message: problem }]);
        yield { path, mode: mode & 0o777, isFolder };
        break;
      }
      case 'data':
        yield { data: part.value };
        break;
      default:
        throw new JobletError('invalid', 'part: behind the target come headers and data only');
    }
  }
}

function toPart(part: FilesPart): MessageInitShape<typeof JobFilesPartSchema> {
  if ('entry' in part) return { part: { case: 'entry', value: toJobFile(part.entry) } };
  if ('data' in part) return { part: { case: 'data', value: part.data } };
  if ('hole' in part) return { part: { case: 'hole', value: part.hole } };
  return { part: { case: 'skipped', value: { path: part.skipped, reason: part.reason } } };
}

function toJobFile({
  path,
  type,
  mode,
  size,
  mtimeNs,
  link,
}: FoundFile): MessageInitShape<typeof JobFileSchema> {
  return { path, type, mode, size, mtimeNs, link };
}
