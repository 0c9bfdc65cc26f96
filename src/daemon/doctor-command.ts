// `joblet doctor`: what this host offers to jobs and what it lacks, and whether the sandbox holds.

import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { JobletError, messageOf } from '../shared/errors.ts';
import { type Config, type Environment, loadConfig, parseConfig } from './config.ts';
import { archiveLines } from './doctor/archive.ts';
import type { Facts, GpuFacts } from './doctor/check.ts';
import { checks } from './doctor/checks.ts';
import { formatJson, formatText, judge, type Line } from './doctor/report.ts';
import { type SelfCheckWanted, selfCheck } from './doctor/self-check.ts';
import { findGpus } from './gpus/open.ts';
import { IDS_PER_RANGE } from './jobs/id-ranges.ts';
import {
  CGROUP_ROOT,
  type CgroupLayout,
  closeCgroups,
  listDisks,
  openCgroups,
} from './linux/cgroup.ts';
import { readHostFacts } from './linux/host-facts.ts';

const USAGE = `joblet doctor says what this host offers to jobs and what it lacks, and checks the sandbox in a real job.

Usage:
  joblet doctor [--config FILE] [--json]

It changes nothing and works while a daemon runs, and without a configuration. Only root can find out
everything. The exit code is 0 when jobs can run with everything that is promised, else 1.

Example:
  sudo joblet doctor
`;

const COLUMNS = 80;
const LAST_ID = 0xffff_fffe;

/** Runs `joblet doctor ARGV`. */
export async function doctorCommand(argv: string[]): Promise<number> {
  const read = readArgs(argv);
  if (read === undefined || read.help) {
    process[read?.help ? 'stdout' : 'stderr'].write(USAGE);
    return read?.help ? 0 : 2;
  }
  // Half a second that is not to be cut short: what was made has to be taken away again.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
  const { config, line } = readConfiguration(read.config, process.env);
  const lines = [
    line,
    ...(await examine(config)),
    ...(await archiveLines(config.archive, process.env)),
  ];
  const host = `${os.hostname()}, ${os.availableParallelism()} processors, ${(os.totalmem() / 1024 ** 3).toFixed(1)} GB`;
  const { isTTY, columns = COLUMNS } = process.stdout;
  const hasColor = isTTY && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb';
  process.stdout.write(
    read.json
      ? formatJson(host, lines)
      : formatText(host, lines, isTTY ? columns : COLUMNS, hasColor),
  );
  return judge(lines).sound ? 0 : 1;
}

function readArgs(argv: string[]) {
  try {
    const { values } = parseArgs({
      args: argv,
      options: {
        config: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    return values;
  } catch (error) {
    process.stderr.write(`Error: ${messageOf(error)}\n\n`);
    return undefined;
  }
}

/** The configuration that the daemon would take; where it has none, or a bad one, the defaults. */
function readConfiguration(
  file: string | undefined,
  environment: Environment,
): { readonly config: Config; readonly line: Line } {
  const line = (state: Line['state'], found: string): Line => ({
    group: 'Configuration',
    name: 'configuration',
    needed: 'jobs',
    state,
    found,
    means: 'The daemon does not start with it. What follows is about the defaults.',
    remedy: 'joblet config check lists what is wrong, joblet certs init makes one.',
  });
  try {
    const config = loadConfig(file, environment);
    return { config, line: line('ok', config.file) };
  } catch (error) {
    if (!(error instanceof JobletError)) throw error;
    const config = parseConfig('version: "3.0"', 'joblet-config.yml');
    const isThere = error.kind !== 'not-found' || file !== undefined;
    return isThere
      ? { config, line: line('missing', error.message) }
      : { config, line: line('ok', 'none yet; looking at the defaults') };
  }
}

async function examine(config: Config): Promise<Line[]> {
  const { joblet, filesystem, state, logs, uploads, volumes, runtimes } = config;
  const idCount = joblet.idRanges * IDS_PER_RANGE;
  const base = path.join(CGROUP_ROOT, `joblet-doctor-${process.pid}`);
  const { layout, problem } = open(base);
  const asked = {
    disks: listDisks(),
    firstId: freeIds(joblet.idRangeFirst, idCount),
    mounts: filesystem.allowedMounts,
  };
  try {
    const places = {
      state: state.path,
      logs: logs.directory,
      work: uploads.directory,
      volumes: volumes.directory,
      runtimes: runtimes.directory,
    };
    const facts: Facts = {
      ...(await readHostFacts({ ...asked, places, cgroups: { layout, problem } })),
      wishes: {
        maxConcurrentJobs: joblet.maxConcurrentJobs || joblet.idRanges,
        processes: joblet.defaultProcessLimit,
        firstId: joblet.idRangeFirst,
        idCount,
      },
      gpus: await lookForGpus(config),
    };
    const lines = checks.map((check) => ({ ...check, ...check.look(facts) }));
    return [...lines, ...(await checkJob(layout, { ...asked, core: facts.core }))];
  } finally {
    closeCgroups(base);
  }
}

/** Also where they are off: whoever could turn them on wants to know. */
async function lookForGpus(config: Config): Promise<GpuFacts> {
  const { gpu } = config;
  const { pool, xids } = await findGpus({ ...config, gpu: { ...gpu, enabled: true } });
  xids?.close();
  return { isEnabled: gpu.enabled, count: pool.gpus.length, problem: pool.problem };
}

/** A range that no job of this configuration gets. */
function freeIds(first: number, count: number): number {
  const behind = first + count;
  return behind + IDS_PER_RANGE <= LAST_ID ? behind : first - IDS_PER_RANGE;
}

/** Makes cgroups of the doctor's own, beside those of the daemon. */
function open(base: string): {
  readonly layout: CgroupLayout | undefined;
  readonly problem: string;
} {
  if (process.getuid?.() !== 0) return { layout: undefined, problem: '' };
  try {
    return { layout: openCgroups(base), problem: '' };
  } catch (error) {
    return { layout: undefined, problem: messageOf(error) };
  }
}

async function checkJob(
  cgroups: CgroupLayout | undefined,
  asked: Omit<SelfCheckWanted, 'cgroups'>,
): Promise<Line[]> {
  const said = {
    group: 'A job, looked at from outside and from inside',
    needed: 'jobs' as const,
    means: 'This is promised to every job, and this one was not given it.',
    remedy: 'See what is missing above; if nothing is, this is a bug of joblet.',
  };
  if (cgroups === undefined) {
    const found = 'not tried, without cgroups for it';
    return [{ ...said, name: 'a job starts', state: 'unknown', found }];
  }
  return (await selfCheck({ ...asked, cgroups })).map((promised) => ({ ...said, ...promised }));
}
