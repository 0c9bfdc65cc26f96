// NVIDIA's driver as this host has it: which cards it drives, the numbers of its devices, and the
// files that a program needs to use them. Read, never asked: what the cards do is in nvidia-smi.ts.

import {
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  realpathSync,
  statSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { readSmallFile } from './job-usage.ts';

/** Where drivers say what they have; a place that every kernel has. */
export const FACTS_PLACE = '/proc/driver';

const PROC = `${FACTS_PLACE}/nvidia`;

/** A card, as the driver in the kernel has it. */
export interface Card {
  readonly uuid: string;
  /** Its place on the PCI bus, `0000:00:06.0`. */
  readonly bus: string;
  readonly minor: number;
  /** Of its memory node; cards of one node reach each other and their processors faster. */
  readonly node: number;
  /** What the driver says of it: the text of its file. */
  readonly information: string;
  /** Another one as soon as a driver has taken it anew; undefined where the kernel does not tell. */
  readonly binding: bigint | undefined;
}

/** What of the driver is the same for all cards. */
export interface Driver {
  readonly version: string;
  /** The text of its file of settings. */
  readonly params: string;
  readonly versionText: string;
  /** Major number of the cards and of the device that controls them. */
  readonly major: number;
  /** Of the memory that cards and processors share; undefined while that module is not loaded. */
  readonly uvmMajor: number | undefined;
}

/** The driver of this host; undefined where none is loaded. */
export function readDriver(): Driver | undefined {
  const versionText = readSmallFile(path.join(PROC, 'version'));
  const version = /^NVRM version:.*?\s(\d+(?:\.\d+)+)\s/m.exec(versionText)?.[1];
  const { major, uvmMajor } = readMajors();
  if (version === undefined || major === undefined) return undefined;
  const params = readSmallFile(path.join(PROC, 'params'));
  return { version, versionText, params, major, uvmMajor };
}

function readMajors(): { readonly [name in 'major' | 'uvmMajor']: number | undefined } {
  const devices = readSmallFile('/proc/devices');
  return {
    // Up to version 5xx all were one device with a name of its own.
    major: majorOf(devices, 'nvidia') ?? majorOf(devices, 'nvidia-frontend'),
    uvmMajor: majorOf(devices, 'nvidia-uvm'),
  };
}

/**
 * Whether devices still have the numbers that they were found with. The driver gives others when it is
 * loaded again or a card is plugged in again. It is not asked itself: one that hangs would hold this up.
 */
export function haveSameNumbers(driver: Driver, cards: readonly Card[]): boolean {
  const { major, uvmMajor } = readMajors();
  return (
    major === driver.major &&
    uvmMajor === driver.uvmMajor &&
    cards.every(({ bus, binding }) => bindingOf(bus) === binding)
  );
}

/** The kernel makes this link when a driver takes a card, and numbers no two links alike. */
function bindingOf(bus: string): bigint | undefined {
  const link = `/sys/bus/pci/drivers/nvidia/${bus}`;
  return lstatSync(link, { throwIfNoEntry: false, bigint: true })?.ino;
}

/** The number of a character device. */
function majorOf(devices: string, name: string): number | undefined {
  const [characters = ''] = devices.split('Block devices:');
  const found = new RegExp(`^\\s*(\\d+) ${name}$`, 'm').exec(characters)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** The cards that the driver drives, in the order in which nvidia-smi counts them. */
export function readCards(): Card[] {
  return listed(path.join(PROC, 'gpus'))
    .toSorted()
    .flatMap((bus) => {
      const information = readSmallFile(path.join(PROC, 'gpus', bus, 'information'));
      const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(information)?.[1];
      const uuid = field('GPU UUID');
      const minor = Number(field('Device Minor'));
      if (uuid === undefined || !Number.isInteger(minor) || field('GPU Excluded') === 'Yes')
        return [];
      const node = Number(readSmallFile(`/sys/bus/pci/devices/${bus}/numa_node`).trim() || -1);
      return [{ uuid, bus, minor, node, information, binding: bindingOf(bus) }];
    });
}

/** A file of the host, and its name for whoever is given it. */
export interface Named {
  readonly name: string;
  readonly source: string;
}

/** What programs need of the driver. */
export interface DriverFiles {
  readonly libraries: readonly Named[];
  /** Other names of these: a link, and the library that it means. */
  readonly links: readonly { readonly name: string; readonly of: string }[];
  readonly programs: readonly Named[];
}

/** Where distributions and NVIDIA's own installer put libraries of the driver. */
const LIBRARY_FOLDERS = [
  `/usr/lib/${os.machine()}-linux-gnu`,
  '/usr/lib64',
  '/usr/lib',
  '/usr/local/nvidia/lib64',
  '/usr/local/nvidia/lib',
  '/usr/local/lib64',
  '/usr/local/lib',
  '/run/opengl-driver/lib',
] as const;

const PROGRAM_FOLDERS = [
  '/usr/bin',
  '/usr/local/bin',
  '/usr/local/nvidia/bin',
  '/opt/bin',
  '/run/current-system/sw/bin',
] as const;

/** The library that every program for these cards loads. */
const CUDA = 'libcuda.so.1';

/**
 * The files that belong to this version of the driver: those of another one would not get on with it.
 * Undefined where there are none.
 */
export function findDriverFiles(version: string): DriverFiles | undefined {
  for (const folder of LIBRARY_FOLDERS) {
    const cuda = realpathIfThere(path.join(folder, CUDA));
    if (cuda === undefined || !cuda.endsWith(`.so.${version}`)) continue;
    const home = path.dirname(cuda);
    const libraries: Named[] = [];
    const links: { name: string; of: string }[] = [];
    for (const name of listed(home).toSorted()) {
      const source = realpathIfThere(path.join(home, name));
      if (source === undefined || !isOfDriver(source, home, version)) continue;
      const of = path.basename(source);
      if (of === name) libraries.push({ name, source });
      else links.push({ name, of });
    }
    const source = programs('nvidia-smi').find(isElf);
    return { libraries, links, programs: source ? [{ name: 'nvidia-smi', source }] : [] };
  }
  return undefined;
}

function isOfDriver(file: string, home: string, version: string): boolean {
  return path.dirname(file) === home && file.endsWith(`.so.${version}`) && isFile(file);
}

/** The program that says how the cards do. */
export function findSmi(): string | undefined {
  return programs('nvidia-smi')[0];
}

function programs(name: string): string[] {
  return PROGRAM_FOLDERS.flatMap((folder) => {
    const file = realpathIfThere(path.join(folder, name));
    return file !== undefined && isFile(file) ? [file] : [];
  });
}

const ELF = '\x7fELF';

/** A script in the place of a program starts something else, which a job may not see. */
function isElf(file: string): boolean {
  const fd = openSync(file, 'r');
  try {
    const bytes = Buffer.alloc(ELF.length);
    readSync(fd, bytes, 0, bytes.length, 0);
    return bytes.toString('latin1') === ELF;
  } finally {
    closeSync(fd);
  }
}

/** The real paths of those of some folders that are there. */
export function findFolders(names: readonly string[]): string[] {
  return names.flatMap((name) => {
    const folder = realpathIfThere(name);
    return folder !== undefined && statSync(folder).isDirectory() ? [folder] : [];
  });
}

/** Whether a folder is seen, at its path, by whoever is shown some places of the host, each without what is mounted below it. */
export function isShownBy(folder: string, places: readonly string[]): boolean {
  return places.some(
    (place) =>
      realpathIfThere(place) === place &&
      `${folder}/`.startsWith(`${place}/`) &&
      mountOf(folder) === mountOf(place),
  );
}

/** The mount that a path lies on, as the kernel names it. A file system may have several, so its device says less. */
function mountOf(file: string): string | undefined {
  const fd = openSync(file, 'r');
  try {
    return /^mnt_id:\s*(\d+)$/m.exec(readSmallFile(`/proc/self/fdinfo/${fd}`))?.[1];
  } finally {
    closeSync(fd);
  }
}

function listed(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function realpathIfThere(file: string): string | undefined {
  try {
    return realpathSync(file);
  } catch {
    return undefined;
  }
}

function isFile(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() === true;
}
