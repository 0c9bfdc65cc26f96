// VolumeService: translates between messages and the volumes of this node.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  CreateVolumeRequest,
  VolumeSchema,
  VolumeService,
} from '../../gen/joblet/volumes_pb.ts';
import { invalid, messageOf, type Problem } from '../../shared/errors.ts';
import { checkName, isRunVolume } from '../../shared/names.ts';
import { formatBytes, parseBytes } from '../../shared/units.ts';
import { type Volume, type VolumeView, volumeTypes } from '../volumes/volume.ts';
import type { Volumes } from '../volumes/volumes.ts';
import type { Handlers } from './handlers.ts';
import { rfc3339 } from './rfc3339.ts';

/** Smaller ones would be all bookkeeping. */
const MIN_BYTES = 1024 ** 2;

export interface VolumePolicy {
  /** Of a volume that is made without a size. */
  readonly defaultBytes: number;
  readonly maxBytes: number;
}

export function volumeHandlers(
  volumes: Pick<Volumes, 'create' | 'list' | 'inspect' | 'remove' | 'resize'>,
  policy: VolumePolicy,
): Handlers<typeof VolumeService> {
  return {
    createVolume: async (request, { identity }) => {
      const made = await volumes.create(toWish(request, policy), Date.now(), identity);
      return { name: made.name, size: sizeWord(made.bytes), type: made.type, path: made.directory };
    },

    listVolumes: async () => ({ volumes: (await volumes.list()).map(toVolume) }),

    inspectVolume: async ({ name }) => toVolume(await volumes.inspect(name)),

    resizeVolume: async ({ name, size }, { identity }) => {
      const problems: Problem[] = [];
      const bytes = readSize(size, policy, problems);
      if (problems.length > 0) throw invalid(problems);
      return toVolume(await volumes.resize(name, bytes, Date.now(), identity));
    },

    removeVolume: async ({ name }, { identity }) => {
      await volumes.remove(name, Date.now(), identity);
      return { success: true, message: `Volume '${name}' removed successfully` };
    },
  };
}

function toWish(
  { name, size, type }: Pick<CreateVolumeRequest, 'name' | 'size' | 'type'>,
  policy: VolumePolicy,
): Omit<Volume, 'createdAtMs'> {
  const problems: Problem[] = [];
  const nameProblem = checkName(name);
  if (nameProblem !== undefined) problems.push({ field: 'name', message: nameProblem });
  else if (isRunVolume(name)) {
    const message = 'is that of a volume which a workflow makes for a run; choose another';
    problems.push({ field: 'name', message });
  }
  const known = volumeTypes.find((each) => each === (type || volumeTypes[0]));
  if (known === undefined) {
    const shown = JSON.stringify(type.slice(0, 64));
    const message = `${shown} is no type of volume; there is ${volumeTypes.join(' and ')}`;
    problems.push({ field: 'type', message });
  }
  const bytes = size === '' ? policy.defaultBytes : readSize(size, policy, problems);
  if (known === undefined || problems.length > 0) throw invalid(problems);
  return { name, type: known, bytes };
}

function readSize(text: string, { maxBytes }: VolumePolicy, problems: Problem[]): number {
  const field = 'size';
  let bytes = 0;
  try {
    bytes = parseBytes(text);
  } catch (error) {
    problems.push({ field, message: messageOf(error) });
    return bytes;
  }
  if (bytes < MIN_BYTES || bytes > maxBytes) {
    const message = `${text} is not from ${formatBytes(MIN_BYTES)} to ${formatBytes(maxBytes)} (volumes.max_size_bytes)`;
    problems.push({ field, message });
  }
  return bytes;
}

function toVolume(view: VolumeView): MessageInitShape<typeof VolumeSchema> {
  return {
    name: view.name,
    size: sizeWord(view.bytes),
    type: view.type,
    path: view.directory,
    createdTime: rfc3339(view.createdAtMs),
    jobCount: view.jobs.length,
    sizeBytes: BigInt(view.bytes),
    usedBytes: BigInt(view.usedBytes ?? 0),
    jobUuids: [...view.jobs],
    problem: view.problem,
  };
}

/** A size as it is written in commands: `10GB`. */
function sizeWord(bytes: number): string {
  return formatBytes(bytes).replace(' ', '');
}
