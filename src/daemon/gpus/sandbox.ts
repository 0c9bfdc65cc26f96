// What a job with GPUs has in its sandbox beside what every job has: the devices, the driver's
// libraries and programs, and what the driver says in /proc of its cards and no others. Pure.

import { type Card, type Driver, type DriverFiles, FACTS_PLACE } from '../linux/nvidia.ts';

/** The driver and all that programs need of it, found once. */
export interface Equipment {
  readonly driver: Driver & { readonly uvmMajor: number };
  readonly files: DriverFiles;
  readonly cards: readonly Card[];
  /** Folders of CUDA for a job that sees the host's programs; it sees some with those. */
  readonly cuda: readonly { readonly source: string; readonly isShown: boolean }[];
}

/** What a job gets for its GPUs. */
export interface GpuPart {
  /** For the shared part of its root. */
  readonly rootOperations: readonly string[];
  /** For what is the job's alone; behind its /proc. */
  readonly operations: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** A folder of the driver's programs, and one of its libraries. */
  readonly programs: string;
  readonly libraries: string;
}

/** A place of our own, so that it hides nothing of a runtime. */
const HOME = '/nvidia';
const PROGRAMS = `${HOME}/bin`;
const LIBRARIES = `${HOME}/lib64`;
const CUDA = `${HOME}/cuda`;
/** What lies here is seen where the driver's own facts are. */
const FACTS = `${HOME}/proc`;

/** The numbers that the driver has given them. */
const CONTROL_MINOR = 255;
const UVM_MINOR = 0;
const UVM_TOOLS_MINOR = 1;

/** For a job that has these cards. Without a runtime it `seesHost`. */
export function gpuPart(
  { driver, files, cuda }: Omit<Equipment, 'cards'>,
  own: readonly Card[],
  seesHost: boolean,
): GpuPart {
  const folders = (seesHost ? cuda : []).map(({ source, isShown }, at) => ({
    source,
    target: isShown ? source : `${CUDA}${at === 0 ? '' : at + 1}`,
  }));
  return {
    rootOperations: [
      ...deviceOperations(driver, own),
      ...fileOperations(files),
      ...factOperations(driver, own),
      ...folders.flatMap(({ source, target }) =>
        source === target ? [] : ['dir', target, '0755', 'bind-ro', source, target],
      ),
    ],
    operations: ['bind-own', FACTS, FACTS_PLACE],
    environment: {
      NVIDIA_VISIBLE_DEVICES: own.map(({ uuid }) => uuid).join(','),
      // CUDA counts what it can reach, and that is these.
      CUDA_VISIBLE_DEVICES: own.map((_, at) => at).join(','),
      ...(folders[0] && { CUDA_HOME: folders[0].target }),
    },
    programs: PROGRAMS,
    libraries: LIBRARIES,
  };
}

function deviceOperations(
  { major, uvmMajor }: Equipment['driver'],
  own: readonly Card[],
): string[] {
  const device = (name: string, ...numbers: readonly number[]) => [
    'device',
    name,
    ...numbers.map(String),
  ];
  return [
    ...own.flatMap(({ minor }) => device(`nvidia${minor}`, major, minor)),
    ...device('nvidiactl', major, CONTROL_MINOR),
    ...device('nvidia-uvm', uvmMajor, UVM_MINOR),
    ...device('nvidia-uvm-tools', uvmMajor, UVM_TOOLS_MINOR),
  ];
}

/** Where the root is the tree of a runtime, all that something is mounted on has to be there before. */
function fileOperations({ libraries, links, programs }: DriverFiles): string[] {
  const placed = [
    ...libraries.map(({ name, source }) => [`${LIBRARIES}/${name}`, source] as const),
    ...programs.map(({ name, source }) => [`${PROGRAMS}/${name}`, source] as const),
  ];
  return [
    ...[HOME, PROGRAMS, LIBRARIES].flatMap((folder) => ['dir', folder, '0755']),
    ...placed.flatMap(([target]) => ['file', target, '0755', '']),
    ...placed.flatMap(([target, source]) => ['bind-ro', source, target]),
    ...links.flatMap(({ name, of }) => ['symlink', of, `${LIBRARIES}/${name}`]),
  ];
}

/** Told that it may, the driver's library would make device files that are not there. */
const MODIFIES = /^ModifyDeviceFiles:.*$/m;

function factOperations({ versionText, params }: Driver, own: readonly Card[]): string[] {
  const facts = {
    version: versionText,
    params: params.replace(MODIFIES, 'ModifyDeviceFiles: 0'),
    registry: 'Binary: ""\n',
    ...Object.fromEntries(
      own.map(({ bus, information }) => [`gpus/${bus}/information`, information]),
    ),
  };
  return Object.entries(facts).flatMap(([name, text]) => [
    ...['file', `${FACTS}/nvidia/${name}`, '0444', text],
  ]);
}
