// The keys of a workflow file. The reader, its messages and the published schema all read these
// tables.

/** What a value is. The last ones are read by the one who knows the key. */
export type KeyKind = 'text' | 'texts' | 'count' | 'duration' | 'switch' | OwnKind;
export type OwnKind = 'variables' | 'condition' | 'other';

/** Whether values of a kind are read in their own ways. */
export function isOwnKind(kind: KeyKind): kind is OwnKind {
  return kind === 'variables' || kind === 'condition' || kind === 'other';
}

export interface Key {
  readonly kind: KeyKind;
  readonly about: string;
}

export type Keys = Readonly<Record<string, Key>>;

/** What the values of a table's keys come out as; those that are read in their own ways are not among them. */
export type ValuesOf<K extends Keys> = {
  readonly [Name in keyof K as K[Name]['kind'] extends OwnKind
    ? never
    : Name]: K[Name]['kind'] extends 'texts'
    ? readonly string[]
    : K[Name]['kind'] extends 'count' | 'duration'
      ? number
      : K[Name]['kind'] extends 'switch'
        ? boolean
        : string;
};

export const resourceKeys = {
  max_cpu: { kind: 'count', about: 'percent of one core' },
  max_memory: { kind: 'count', about: 'MB, swap included' },
  max_io_bps: { kind: 'count', about: 'bytes per second from and to disks' },
  max_iobps: { kind: 'count', about: 'the same' },
  max_processes: { kind: 'count', about: 'processes and threads' },
  cpu_cores: { kind: 'text', about: 'cores to run on: 0-3 or 0,2' },
  gpu_count: { kind: 'count', about: 'GPUs' },
  gpu_memory_mb: { kind: 'count', about: 'MB that each of them has at least' },
} as const satisfies Keys;

export const retryKeys = {
  attempts: { kind: 'count', about: 'how often it is started at most, the first time included' },
  backoff: { kind: 'duration', about: 'time before the second start; it doubles from then on' },
  exit_codes: {
    kind: 'texts',
    about: 'only after these exit codes; without them after any failure',
  },
} as const satisfies Keys;

export const uploadKeys = {
  files: { kind: 'texts', about: 'files, relative to the folder of the workflow file' },
  directories: { kind: 'texts', about: 'folders with all that is in them' },
} as const satisfies Keys;

export const paramKeys = {
  type: { kind: 'text', about: 'string, integer, number or boolean; string without it' },
  default: { kind: 'text', about: 'its value where none is given' },
  enum: { kind: 'texts', about: 'the values that it may have' },
  required: { kind: 'switch', about: 'whether one has to be given; without a default it has' },
  description: { kind: 'text', about: 'what it is for' },
} as const satisfies Keys;

export const concurrencyKeys = {
  group: { kind: 'text', about: 'its name; of the runs of one group one goes on at a time' },
  cancel_in_progress: { kind: 'switch', about: 'stop those before it instead of waiting for them' },
} as const satisfies Keys;

export const workspaceKeys = {
  size: { kind: 'text', about: 'what it can hold: 500MB, 2GB; what a volume has, without it' },
} as const satisfies Keys;

export const jobKeys = {
  description: { kind: 'text', about: 'what it is for' },
  command: { kind: 'text', about: 'the command; alone, it may be a shell line' },
  workflow: { kind: 'text', about: 'instead of a command: a workflow of this file to run as it' },
  params: { kind: 'other', about: 'values for the parameters of that workflow' },
  args: { kind: 'texts', about: 'its arguments, each of them whole' },
  runtime: { kind: 'text', about: 'runtime to run in' },
  network: { kind: 'text', about: 'network to attach to' },
  volumes: { kind: 'texts', about: 'volumes: NAME, NAME:/path or NAME:/path:ro' },
  workdir: { kind: 'text', about: 'where it starts, below /work' },
  uploads: { kind: 'other', about: 'what is put into its work directory' },
  requires: { kind: 'other', about: 'what has to become of other jobs before it starts' },
  always: { kind: 'switch', about: 'it starts whatever becomes of the jobs that it requires' },
  if: { kind: 'condition', about: 'it runs only when this holds at the time that it could' },
  outputs: { kind: 'texts', about: 'names of values that it writes into $JOBLET_OUTPUT' },
  environment: { kind: 'variables', about: 'environment variables' },
  secret_environment: { kind: 'variables', about: 'environment variables that are never shown' },
  resources: { kind: 'other', about: 'limits' },
  schedule: { kind: 'text', about: 'a time with its zone, or a while from when it could start' },
  timeout: { kind: 'duration', about: 'it is ended after this: 90s, 5m, 1h30m' },
  retry: { kind: 'other', about: 'how often it is started anew when it fails' },
  matrix: { kind: 'other', about: 'lists by name: one job for each combination' },
  foreach: { kind: 'other', about: 'a list: one job for each, with its value as item' },
  ...resourceKeys,
} as const satisfies Keys;

export const workflowKeys = {
  name: { kind: 'text', about: 'what it is called' },
  description: { kind: 'text', about: 'what it is for' },
  environment: { kind: 'variables', about: 'environment variables of all its jobs' },
  secret_environment: { kind: 'variables', about: 'the same, never shown' },
  params: {
    kind: 'other',
    about: 'values that are given when it is started: their defaults, or what they are like',
  },
  defaults: { kind: 'other', about: 'keys of all jobs that do not have them' },
  concurrency: { kind: 'other', about: 'a group of which one run goes on at a time' },
  workspace: {
    kind: 'other',
    about: 'shared: a volume for this run, at /workspace in all its jobs',
  },
  max_parallel: { kind: 'count', about: 'jobs under way at the same time; 0 is any number' },
  jobs: { kind: 'other', about: 'jobs by name' },
} as const satisfies Keys;

export const fileKeys = {
  version: { kind: 'text', about: 'version of this layout' },
  ...workflowKeys,
  workflows: { kind: 'other', about: 'several workflows by name' },
} as const satisfies Keys;
