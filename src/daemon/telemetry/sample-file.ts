// Where the samples of a job are kept: beside its log, a line of JSON each, so that they go with it.
// What a crash tore off at the end is overlooked.

import { closeSync, fstatSync, ftruncateSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { type JobUsage, noTraffic, quietInterface } from '../linux/job-usage.ts';
import type { Traffic } from '../linux/launcher.ts';
import type { GpuUsage } from '../linux/nvidia-smi.ts';
import { type Base, nothingBefore } from './base.ts';
import { firstUsage } from './series.ts';

const NEW = 'metrics.jsonl';
const OLD = 'metrics.old.jsonl';

/** At this size the next file is begun, and the one before it goes: some 4,000 samples each. */
const FILE_BYTES = 4 << 20;

/** The longest line that is believed. */
const LINE_BYTES = 256 * 1024;

/**
 * A line of the file: what the counters stood at before the job, a sample, or what it had sent and
 * received at its end.
 */
export type Line =
  | { readonly base: Base }
  | { readonly sample: JobUsage }
  | { readonly traffic: Traffic };

/**
 * Adds lines to the samples in a directory, all or none; each file begins with `head`. What a crash has torn off
 * takes none of them along, since each begins with the end of a line.
 */
export function appendLines(
  directory: string,
  lines: readonly Line[],
  head: readonly Line[] = [],
): void {
  const file = `${directory}/${NEW}`;
  const fd = openSync(file, 'a', 0o600);
  let bytes = fstatSync(fd).size;
  try {
    const all = bytes === 0 ? [...head, ...lines] : lines;
    const text = Buffer.from(all.map((line) => `\n${JSON.stringify(line)}`).join(''));
    writeWhole(fd, text, bytes);
    bytes += text.length;
  } finally {
    closeSync(fd);
  }
  if (bytes >= FILE_BYTES) renameSync(file, `${directory}/${OLD}`);
}

/** What a disk takes a part of is taken back. */
function writeWhole(fd: number, text: Buffer, sizeBefore: number): void {
  try {
    writeFileSync(fd, text);
  } catch (error) {
    ftruncateSync(fd, sizeBefore);
    throw error;
  }
}

/** The text of a file that is not in the directory any more; undefined when there is none. */
export type Elsewhere = (name: string) => Promise<string | undefined>;

const nowhere: Elsewhere = async () => undefined;

/** The samples in a directory, oldest first; none when there is no file. */
export async function* readLines(
  directory: string,
  elsewhere: Elsewhere = nowhere,
): AsyncGenerator<Line> {
  // Opened in this order, a change of files in between shows lines twice rather than not at all.
  const names = [NEW, OLD];
  const files = [];
  for (const name of names) files.push(await openIfThere(path.join(directory, name)));
  let lastMs = 0;
  try {
    for (const name of names.toReversed()) {
      const file = files[names.indexOf(name)];
      const texts =
        file?.readLines({ encoding: 'utf8', autoClose: false }) ??
        (await elsewhere(name))?.split('\n') ??
        [];
      for await (const text of texts) {
        const line = parseLine(text);
        if (line === undefined) continue;
        if ('sample' in line) {
          if (line.sample.atMs <= lastMs) continue;
          lastMs = line.sample.atMs;
        }
        yield line;
      }
    }
  } finally {
    for (const file of files) await file?.close();
  }
}

/** Undefined for what was torn off, was changed on its disk, or is no line of ours. */
export function parseLine(text: string): Line | undefined {
  if (text.length > LINE_BYTES || !text.endsWith('}')) return undefined;
  let line: unknown;
  try {
    line = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { base, sample, traffic } = line as { base?: Base; sample?: JobUsage; traffic?: Traffic };
  const whole = typeof base === 'object' ? { ...nothingBefore, ...base } : undefined;
  if (isLike(whole, nothingBefore) && areLike(whole.devices, noTraffic)) return { base: whole };
  if (isLike(traffic, noneSent)) return { traffic };
  return isLike(sample, noUsage) && isSound(sample) ? { sample } : undefined;
}

const noneSent: Traffic = { rxBytes: 0, rxPackets: 0, txBytes: 0, txPackets: 0 };
const noUsage = firstUsage(0);

/** Whether there is a whole number wherever the other has one. */
function isLike<T extends object>(value: T | undefined, like: T): value is T {
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(like).every(([key, part]) => {
    const found: unknown = (value as Readonly<Record<string, unknown>>)[key];
    return typeof part === 'number' ? Number.isSafeInteger(found) : isLike(found as object, part);
  });
}

function areLike<T extends object>(values: Readonly<Record<string, T>>, like: T): boolean {
  return Object.values(values).every((value) => isLike(value, like));
}

/** What differs from sample to sample. */
function isSound({ cpu, memory, io, network, gpus = [] }: JobUsage): boolean {
  const pressures = [cpu.pressure, memory.pressure, io.pressure];
  return (
    areLike(io.devices, noTraffic) &&
    areLike(network, quietInterface) &&
    Array.isArray(gpus) &&
    gpus.every(isGpu) &&
    pressures.every((each) => each === undefined || areShares(each.some, each.full))
  );
}

/** What is written of a GPU, by the kind of each value. */
const gpuKinds = {
  index: 'whole',
  uuid: 'text',
  name: 'text',
  computeCapability: 'text',
  driverVersion: 'text',
  utilization: 'number',
  memoryUsed: 'whole',
  memoryTotal: 'whole',
  memoryFree: 'whole',
  encoderUtil: 'number',
  decoderUtil: 'number',
  smClock: 'whole',
  memoryClock: 'whole',
  pcieRx: 'number',
  pcieTx: 'number',
  temperature: 'number',
  temperatureMemory: 'number',
  powerDraw: 'number',
  powerLimit: 'number',
  fanSpeed: 'number',
  eccSingle: 'whole',
  eccDouble: 'whole',
  xidErrors: 'whole',
  retiredPages: 'whole',
  throttleReasons: 'whole',
  processesCount: 'whole',
  processesMemory: 'whole',
  computeMode: 'text',
} as const satisfies Record<keyof GpuUsage, 'whole' | 'number' | 'text'>;

function isGpu(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(gpuKinds).every(([key, kind]) => {
    const found: unknown = (value as Readonly<Record<string, unknown>>)[key];
    if (kind === 'text') return typeof found === 'string';
    return kind === 'whole' ? isCount(found) : Number.isFinite(found);
  });
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

/** Percent over three spans of time. */
function areShares(...shares: readonly unknown[]): boolean {
  return shares.every(
    (each) => Array.isArray(each) && each.length === 3 && each.every(Number.isFinite),
  );
}

async function openIfThere(file: string) {
  try {
    return await open(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
