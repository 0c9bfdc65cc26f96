// All commands by name. Each is loaded only when it is called.

import type { Command } from './command.ts';

export interface Entry {
  /** For the list of commands; an older spelling has none. */
  readonly summary?: string;
  readonly load: () => Promise<Command>;
}

const run = async () => (await import('./job-run.ts')).jobRun;
const log = async () => (await import('./job-log.ts')).jobLog;
const stop = async () => (await import('./job-stop.ts')).jobStop;
const cancel = async () => (await import('./job-stop.ts')).jobCancel;
const extend = async () => (await import('./job-extend.ts')).jobExtend;
const remove = async () => (await import('./job-delete.ts')).jobDelete;
const removeAll = async () => (await import('./job-delete.ts')).jobDeleteAll;
const removeNetwork = async () => (await import('./network.ts')).networkRemove;
const metrics = async () => (await import('./job-metrics.ts')).jobMetrics;
const removeVolume = async () => (await import('./volume.ts')).volumeRemove;

export const commands: Readonly<Record<string, Entry>> = {
  'job run': { summary: 'run a command as a job', load: run },
  'job list': {
    summary: 'list jobs, the newest first',
    load: async () => (await import('./job-list.ts')).jobList,
  },
  'job status': {
    summary: 'show everything about a job',
    load: async () => (await import('./job-status.ts')).jobStatus,
  },
  'job log': { summary: 'show the output of a job, and follow it', load: log },
  'job ls': {
    summary: 'list files of a job',
    load: async () => (await import('./job-files.ts')).jobLs,
  },
  'job get': {
    summary: 'fetch files of a job',
    load: async () => (await import('./job-files.ts')).jobGet,
  },
  'job put': {
    summary: 'put files into a running job',
    load: async () => (await import('./job-files.ts')).jobPut,
  },
  'job stop': { summary: 'end a running job', load: stop },
  'job extend': { summary: 'move the timeout of a running job', load: extend },
  'job cancel': { summary: 'take a job off the schedule', load: cancel },
  'job network': {
    summary: 'show or change what a running job may send',
    load: async () => (await import('./egress.ts')).jobNetwork,
  },
  'job delete': { summary: 'delete the record and the output of a job', load: remove },
  'job delete-all': { summary: 'delete all jobs that have ended', load: removeAll },
  'job metrics': { summary: 'show what a job uses', load: metrics },
  'runtime list': {
    summary: 'list the runtimes of the node',
    load: async () => (await import('./runtime.ts')).runtimeList,
  },
  'runtime info': {
    summary: 'show what a runtime needs and brings along',
    load: async () => (await import('./runtime.ts')).runtimeInfo,
  },
  'runtime test': {
    summary: 'run the tests of a runtime',
    load: async () => (await import('./runtime.ts')).runtimeTest,
  },
  'runtime remove': {
    summary: 'remove a runtime that no job uses',
    load: async () => (await import('./runtime.ts')).runtimeRemove,
  },
  'runtime status': {
    summary: 'say whether jobs can use the runtimes',
    load: async () => (await import('./runtime.ts')).runtimeStatus,
  },
  'monitor status': {
    summary: 'show how the node does',
    load: async () => (await import('./monitor.ts')).monitorStatus,
  },
  'monitor top': {
    summary: 'show jobs and processes by what they use, live',
    load: async () => (await import('./monitor.ts')).monitorTop,
  },
  'monitor watch': {
    summary: 'show how the node does, again and again',
    load: async () => (await import('./monitor.ts')).monitorWatch,
  },
  'gpu list': {
    summary: 'list GPUs with the jobs that have them',
    load: async () => (await import('./gpu.ts')).gpuList,
  },
  'gpu status': {
    summary: 'show everything about the GPUs',
    load: async () => (await import('./gpu.ts')).gpuStatus,
  },
  'runtime build': {
    summary: 'build a runtime from its specification',
    load: async () => (await import('./runtime-build.ts')).runtimeBuild,
  },
  'runtime validate': {
    summary: 'check the specification or the name of a runtime',
    load: async () => (await import('./runtime-validate.ts')).runtimeValidate,
  },
  'runtime install': {
    summary: 'install a runtime',
    load: async () => (await import('./runtime-install.ts')).runtimeInstall,
  },
  'runtime pack': {
    summary: 'pack a runtime into one file',
    load: async () => (await import('./runtime-pack.ts')).runtimePack,
  },
  'runtime verify': {
    summary: 'say whether runtimes are what was installed',
    load: async () => (await import('./runtime-verify.ts')).runtimeVerify,
  },
  'volume create': {
    summary: 'make a volume for files that outlive jobs',
    load: async () => (await import('./volume.ts')).volumeCreate,
  },
  'volume list': {
    summary: 'list volumes with what they hold',
    load: async () => (await import('./volume.ts')).volumeList,
  },
  'volume inspect': {
    summary: 'show one volume',
    load: async () => (await import('./volume.ts')).volumeInspect,
  },
  'volume resize': {
    summary: 'give a volume another size',
    load: async () => (await import('./volume.ts')).volumeResize,
  },
  'volume remove': { summary: 'remove a volume with its data', load: removeVolume },
  'workflow run': {
    summary: 'run the jobs of a file, as they wait for each other',
    load: async () => (await import('./workflow-run.ts')).workflowRun,
  },
  'workflow list': {
    summary: 'list workflows, the newest first',
    load: async () => (await import('./workflow-status.ts')).workflowList,
  },
  'workflow status': {
    summary: 'show a workflow with its jobs',
    load: async () => (await import('./workflow-status.ts')).workflowStatus,
  },
  'workflow stop': {
    summary: 'end a workflow',
    load: async () => (await import('./workflow-end.ts')).workflowStop,
  },
  'workflow retry': {
    summary: 'take up again what did not go well',
    load: async () => (await import('./workflow-end.ts')).workflowRetry,
  },
  'workflow delete': {
    summary: 'delete a workflow with its jobs',
    load: async () => (await import('./workflow-end.ts')).workflowDelete,
  },
  'workflow graph': {
    summary: 'show which job waits for which',
    load: async () => (await import('./workflow-graph.ts')).workflowGraph,
  },
  'workflow validate': {
    summary: 'check a workflow file',
    load: async () => (await import('./workflow-validate.ts')).workflowValidate,
  },
  'network create': {
    summary: 'make a network whose jobs reach each other',
    load: async () => (await import('./network.ts')).networkCreate,
  },
  'network list': {
    summary: 'list networks',
    load: async () => (await import('./network.ts')).networkList,
  },
  'network inspect': {
    summary: 'show a network and the jobs on it',
    load: async () => (await import('./network.ts')).networkInspect,
  },
  'network remove': { summary: 'remove a network that no job uses', load: removeNetwork },
  'workflow schema': {
    summary: 'print the JSON Schema of workflow files',
    load: async () => (await import('./workflow-validate.ts')).workflowSchemaCommand,
  },
  'schedule create': {
    summary: 'run a job or a workflow again and again',
    load: async () => (await import('./recurring.ts')).scheduleCreate,
  },
  'schedule list': {
    summary: 'list schedules with their next ticks',
    load: async () => (await import('./recurring.ts')).scheduleList,
  },
  'schedule show': {
    summary: 'show a schedule, and what became of its ticks',
    load: async () => (await import('./recurring.ts')).scheduleShow,
  },
  'schedule pause': {
    summary: 'let a schedule start nothing more',
    load: async () => (await import('./recurring.ts')).schedulePause,
  },
  'schedule resume': {
    summary: 'let a schedule go on',
    load: async () => (await import('./recurring.ts')).scheduleResume,
  },
  'schedule delete': {
    summary: 'delete a schedule',
    load: async () => (await import('./recurring.ts')).scheduleDelete,
  },
  events: {
    summary: 'show what happens on the node, and follow it',
    load: async () => (await import('./events.ts')).events,
  },
  'alert list': {
    summary: 'show what is wrong by the rules of the node',
    load: async () => (await import('./alert.ts')).alertList,
  },
  'alert test': {
    summary: 'see whether a target of alerts hears',
    load: async () => (await import('./alert.ts')).alertTest,
  },
  audit: {
    summary: 'show who did what on the daemon, and check that record',
    load: async () => (await import('./audit.ts')).audit,
  },
  nodes: {
    summary: 'list the nodes of the nodes file',
    load: async () => (await import('./nodes.ts')).nodes,
  },
  version: {
    summary: 'show the versions of rnx and of the daemon',
    load: async () => (await import('./version.ts')).version,
  },
  'config-help': {
    summary: 'explain the nodes file, with a sample',
    load: async () => (await import('./config-help.ts')).configHelp,
  },
  completion: {
    summary: 'print a completion script for bash, zsh or fish',
    load: async () => (await import('./completion.ts')).completion,
  },
  'volume delete': { load: removeVolume },
  // The spellings of the first generation. Where their output was another, it still is.
  run: { load: run },
  list: { load: async () => (await import('./job-list.ts')).list },
  status: { load: async () => (await import('./job-status.ts')).status },
  log: { load: log },
  stop: { load: stop },
  cancel: { load: cancel },
  delete: { load: remove },
  'delete-all': { load: removeAll },
  'network delete': { load: removeNetwork },
  metrics: { load: metrics },
};

/** First words that need a second one. */
export const groups: Readonly<Record<string, string>> = {
  job: 'Run jobs and look after them.',
  runtime: 'Look after runtimes, the trees of programs that jobs run in.',
  monitor: 'See how the node does.',
  gpu: 'See the GPUs of the node.',
  alert: 'See what is wrong by the rules of the node.',
  network: 'Networks that jobs are attached to.',
  volume: 'Keep files that outlive jobs.',
  schedule: 'Run jobs and workflows again and again.',
  workflow: 'Run jobs that depend on each other, from one file.',
};

/** Commands of later versions: groups, and commands of a group that is there. */
export const laterCommands: readonly string[] = ['admin', 'job telematics'];

/** What earlier versions had, and what is there for it. */
export const goneCommands: Readonly<Record<string, string>> = {
  'runtime builds': 'builds are jobs called build-NAME: rnx job list, and rnx runtime status JOB',
  logs: 'the node deletes old output by itself (logs.retention); rnx job delete and job delete-all do it at once',
};
