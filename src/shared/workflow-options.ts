// What a workflow says about its run as a whole: how many of its jobs are under way at once, the group
// of which one run goes on at a time, and the volume that is made for it.

import { parseBytes } from './units.ts';
import type { WorkflowOptions } from './workflow-job.ts';
import { concurrencyKeys, type Keys, workflowKeys, workspaceKeys } from './workflow-keys.ts';
import { hasMark } from './workflow-outputs.ts';
import type { Filling, Placed, WorkflowReader } from './workflow-reader.ts';
import { noted } from './workflow-requires.ts';

const MAX_GROUP_CHARS = 128;
/** As of any volume. */
const MIN_WORKSPACE_BYTES = 1024 ** 2;

/** Reads them; `fill` puts values into the name of the group. */
export function readOptions(
  reader: WorkflowReader,
  find: (word: string) => Placed | undefined,
  fill: Filling,
): WorkflowOptions {
  const keys = { max_parallel: workflowKeys.max_parallel };
  const { max_parallel } = reader.values(keys, find, (text) => text);
  return {
    maxParallel: max_parallel,
    ...concurrencyOf(reader, find('concurrency'), fill),
    ...workspaceOf(reader, find('workspace')),
  };
}

/** `concurrency: GROUP` is short for its group. */
function concurrencyOf(
  reader: WorkflowReader,
  placed: Placed | undefined,
  fill: Filling,
): Pick<WorkflowOptions, 'concurrency'> {
  if (placed === undefined) return {};
  const { at } = placed;
  const find = inside(reader, placed, 'group', concurrencyKeys);
  const { group, cancel_in_progress } = reader.values(concurrencyKeys, find, fill);
  if (group === '' || group.length > MAX_GROUP_CHARS || hasMark(group)) {
    const message = `concurrency: the group must be a text of at most ${MAX_GROUP_CHARS} characters, without outputs`;
    reader.report(at, 'value', message);
  }
  return { concurrency: { group, cancelsOthers: cancel_in_progress } };
}

/** `workspace: shared` is one of the usual size. */
function workspaceOf(
  reader: WorkflowReader,
  placed: Placed | undefined,
): Pick<WorkflowOptions, 'workspace'> {
  if (placed === undefined) return {};
  const { at } = placed;
  if (placed.value === 'shared') return { workspace: { bytes: 0, at } };
  if (typeof placed.value === 'string') {
    reader.report(at, 'value', 'workspace must be shared, or a map with its size');
    return {};
  }
  const find = inside(reader, placed, 'size', workspaceKeys);
  const { size } = reader.values(workspaceKeys, find, (text) => text);
  const bytes = size === '' ? 0 : noted(reader, 'workspace', at, () => parseBytes(size));
  if (bytes !== undefined && size !== '' && bytes < MIN_WORKSPACE_BYTES) {
    reader.report(at, 'value', 'workspace: its size must be at least 1MB');
  }
  return { workspace: { bytes: bytes ?? 0, at } };
}

/** The values of a map of keys, or the value of one of them alone. */
function inside(reader: WorkflowReader, { at, value }: Placed, word: string, keys: Keys) {
  const isShort = typeof value === 'string';
  const map = reader.map(at, isShort ? { [word]: value } : value, keys);
  return (key: string): Placed | undefined =>
    map.has(key) ? { at: isShort ? at : [...at, key], value: map.get(key) } : undefined;
}
