// rnx volume: storage with a name that outlives jobs.

import type { VolumeDetail } from '../client/messages.ts';
import {
  createVolume,
  inspectVolume,
  listVolumes,
  removeVolume,
  resizeVolume,
} from '../client/methods.ts';
import { command } from './command.ts';
import type { Output } from './output.ts';
import { jsonText, localTime, roughSize, table, visible } from './print.ts';

const LIST_DEADLINE_MS = 30_000;
const CHANGE_DEADLINE_MS = 120_000;

export const volumeCreate = command({
  usage: 'rnx volume create [flags] NAME',
  summary: 'Makes a volume: room for files that stay when jobs have ended.',
  notes: [
    'A job started with --volume=NAME sees it at /volumes/NAME. A filesystem volume',
    'lies on disk; a memory volume lies in memory and ends with the node.',
  ],
  examples: [
    'rnx volume create datasets --size=10GB',
    'rnx volume create scratch --size=256MB --type=memory',
  ],
  flags: {
    size: { kind: 'text', value: 'SIZE', help: 'what it can hold, such as 10GB' },
    type: {
      kind: 'text',
      value: 'TYPE',
      choices: ['filesystem', 'memory'],
      help: 'filesystem (as it is without this) or memory',
    },
  },
  words: [1, 1],
  missing: 'what is it to be called? rnx volume create NAME --size=10GB',
  run: async ({ size, type }, [name = ''], session) => {
    const connection = await session.connect();
    const made = await connection.unary(
      createVolume,
      { name, size, type },
      { deadlineMs: session.deadlineMs(CHANGE_DEADLINE_MS) },
    );
    const { path } = made;
    await session.out.write(
      session.json
        ? jsonText({ name: made.name, size: made.size, type: made.type, path })
        : [
            'Volume created successfully:',
            `Name: ${visible(made.name)}`,
            `Size: ${visible(made.size)}`,
            `Type: ${visible(made.type)}`,
            `Path: ${visible(path)}`,
            '',
            `Use it in a job: rnx job run --volume=${visible(made.name)} COMMAND\n`,
          ].join('\n'),
    );
    return 0;
  },
});

export const volumeList = command({
  usage: 'rnx volume list',
  summary: 'Lists volumes by name, with what they hold and how many jobs use them.',
  examples: ['rnx volume list', 'rnx volume list --json'],
  flags: {},
  words: [0, 0],
  run: async (_values, _words, session) => {
    const connection = await session.connect();
    const { volumes } = await connection.unary(
      listVolumes,
      {},
      { deadlineMs: session.deadlineMs(LIST_DEADLINE_MS) },
    );
    await session.out.write(session.json ? listJson(volumes) : volumeTable(volumes, session.out));
    return 0;
  },
});

export const volumeInspect = command({
  usage: 'rnx volume inspect NAME',
  summary: 'Shows one volume, with the jobs that use it.',
  examples: ['rnx volume inspect datasets'],
  flags: {},
  words: [1, 1],
  missing: 'which volume? rnx volume inspect NAME (rnx volume list shows them)',
  run: async (_values, [name = ''], session) => {
    const connection = await session.connect();
    const volume = await connection.unary(
      inspectVolume,
      { name },
      { deadlineMs: session.deadlineMs(LIST_DEADLINE_MS) },
    );
    await session.out.write(session.json ? jsonText(volumeJson(volume)) : volumeText(volume));
    return 0;
  },
});

export const volumeResize = command({
  usage: 'rnx volume resize NAME --size=SIZE',
  summary: 'Gives a volume another size.',
  notes: ['It can grow while jobs use it. To be made smaller it must be in use by none.'],
  examples: ['rnx volume resize datasets --size=20GB'],
  flags: { size: { kind: 'text', value: 'SIZE', help: 'what it is to hold, such as 20GB' } },
  words: [1, 1],
  missing: 'which volume? rnx volume resize NAME --size=20GB',
  run: async ({ size }, [name = ''], session) => {
    const connection = await session.connect();
    const volume = await connection.unary(
      resizeVolume,
      { name, size },
      // Its files are copied when it is made smaller.
      { deadlineMs: session.deadlineMs() },
    );
    await session.out.write(
      session.json
        ? jsonText(volumeJson(volume))
        : `Volume '${visible(volume.name)}' resized successfully\nSize: ${visible(volume.size)}\n`,
    );
    return 0;
  },
});

export const volumeRemove = command({
  usage: 'rnx volume remove NAME',
  summary: 'Removes a volume with everything in it.',
  notes: ['One that a job uses or waits to use is left alone.'],
  examples: ['rnx volume remove scratch'],
  // Of earlier versions, which might have asked back; nothing is asked here.
  flags: { force: { kind: 'switch' } },
  words: [1, 1],
  missing: 'which volume? rnx volume remove NAME (rnx volume list shows them)',
  run: async (_values, [name = ''], session) => {
    const connection = await session.connect();
    const { success, message } = await connection.unary(
      removeVolume,
      { name },
      { deadlineMs: session.deadlineMs(CHANGE_DEADLINE_MS) },
    );
    await session.out.write(
      session.json ? jsonText({ name, success, message }) : `${visible(message)}\n`,
    );
    return 0;
  },
});

/** The table of `rnx volume list`. */
export function volumeTable(volumes: readonly VolumeDetail[], out: Output): string {
  if (volumes.length === 0) return 'No volumes found\n';
  const columns = [
    { title: 'NAME', width: 12 },
    { title: 'SIZE', width: 8 },
    { title: 'TYPE', width: 10 },
    { title: 'CREATED', width: 19 },
    { title: 'USED', width: 8 },
    { title: 'JOBS', width: 4 },
  ];
  const rows = volumes.map((volume) => [
    visible(volume.name),
    visible(volume.size),
    visible(volume.type),
    localTime(volume.createdTime),
    volume.problem === '' ? roughSize(Number(volume.usedBytes)).replace(' ', '') : '!',
    String(volume.jobCount),
  ]);
  const problems = volumes
    .filter(({ problem }) => problem !== '')
    .map(({ problem }) => `! ${visible(problem)}\n`);
  return table(columns, rows, out.columns ?? 0, 4) + problems.join('');
}

/** One volume for people. */
export function volumeText(volume: VolumeDetail): string {
  const lines = [
    `Name: ${visible(volume.name)}`,
    `Size: ${visible(volume.size)}`,
    `Used: ${roughSize(Number(volume.usedBytes))}`,
    `Type: ${visible(volume.type)}`,
    `Path: ${visible(volume.path)}`,
    `Created: ${localTime(volume.createdTime)}`,
    `Jobs: ${volume.jobCount}`,
    ...volume.jobUuids.map((uuid) => `  ${visible(uuid)}`),
    ...(volume.problem === '' ? [] : [`Problem: ${visible(volume.problem)}`]),
  ];
  return `${lines.join('\n')}\n`;
}

/** No volumes are an empty list, as scripts of the first generation expect. */
function listJson(volumes: readonly VolumeDetail[]): string {
  return jsonText(volumes.length === 0 ? [] : { volumes: volumes.map(volumeJson) });
}

function volumeJson(volume: VolumeDetail): object {
  return {
    name: volume.name,
    size: volume.size,
    type: volume.type,
    created_time: volume.createdTime,
    path: volume.path,
    size_bytes: Number(volume.sizeBytes),
    used_bytes: Number(volume.usedBytes),
    job_count: volume.jobCount,
    jobs: volume.jobUuids,
    ...(volume.problem === '' ? {} : { problem: volume.problem }),
  };
}
