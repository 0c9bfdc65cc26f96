// One build: its area, the job that makes the tree, the tests, the installation.

import { createHash, randomUUID } from 'node:crypto';
import { chmod, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { formatLock, parseLock, sortLock } from '../../shared/build-lock.ts';
import { type LineLevel, type Phase, parseBuildLine } from '../../shared/build-phases.ts';
import type { BuildSpec } from '../../shared/build-spec.ts';
import { type BuildOutcome, places } from '../../shared/build-task.ts';
import { viewOutcome } from '../../shared/job-state.ts';
import type { Platform } from '../../shared/platform.ts';
import { formatBytes } from '../../shared/units.ts';
import type { BuildSandbox, Identity, Job, JobSpec } from '../jobs/job.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { type Logs, wholeLog } from '../jobs/logs.ts';
import type { Uploads } from '../jobs/uploads.ts';
import type { Log } from '../log.ts';
import type { Catalogue } from '../runtimes/catalogue.ts';
import { RUNTIME_FILE, TREE_FOLDER } from '../runtimes/layout.ts';
import type { RuntimeAudit } from '../runtimes/record.ts';
import type { Runtimes } from '../runtimes/runtimes.ts';
import { SPECIFICATION_FILE } from '../runtimes/specification.ts';
import type { Trees } from '../runtimes/trees.ts';
import { BuildArea } from './build-area.ts';
import { buildRoot } from './build-root.ts';
import type { DebCache } from './deb-cache.ts';
import { type Environment, networkEnvironment, writeHostConfig } from './host-config.ts';
import { requirePrograms } from './host-programs.ts';
import { jobSpecOf } from './job-spec.ts';
import { Lines } from './lines.ts';
import { runtimeFileOf, runtimeTextOf } from './runtime-text.ts';
import { testTree } from './tree-tests.ts';

export interface BuildConfig {
  /** Where areas of builds are. */
  readonly directory: string;
  readonly allowedMounts: readonly string[];
  /** Where specifications are that are built by their names. */
  readonly specifications: string;
  /** Sources of apt beside the host's. */
  readonly aptSources: readonly string[];
  readonly maxBuilds: number;
  readonly maxBytes: number;
  readonly memoryBytes: number;
  readonly processes: number;
  readonly timeoutMs: number;
  /** What this daemon calls itself in what it built. */
  readonly builtWith: string;
}

export interface BuildParts {
  readonly config: BuildConfig;
  readonly jobs: Pick<Jobs, 'run' | 'wait' | 'stop' | 'query' | 'delete'>;
  readonly logs: Pick<Logs, 'read'>;
  readonly uploads: Pick<Uploads, 'stage' | 'release'>;
  readonly trees: Pick<Trees, 'stage' | 'unstage' | 'install'>;
  readonly catalogue: Pick<Catalogue, 'list'>;
  readonly runtimes: Pick<Runtimes, 'forgetGone'>;
  readonly audit: RuntimeAudit;
  readonly cache: DebCache;
  readonly env: Environment;
  readonly log: Log;
}

/** What is to be built. */
export interface BuildOrder {
  readonly yaml: string;
  /** What problems call the file. */
  readonly fileName: string;
  /** Files beside it: sent ahead, or in a folder of this host; both empty is none. */
  readonly uploadId: string;
  readonly folder: string;
  /** An earlier build’s; empty is none. */
  readonly lock: string;
  readonly checkOnly: boolean;
  readonly force: boolean;
}

export type BuildEvent =
  | { readonly kind: 'phase'; readonly phase: Phase; readonly message: string }
  | {
      readonly kind: 'log';
      readonly level: LineLevel;
      readonly message: string;
      readonly timeNs: bigint;
    }
  | { readonly kind: 'result'; readonly result: BuildResult };

export interface BuildResult {
  readonly ok: boolean;
  readonly message: string;
  readonly name: string;
  readonly version: string;
  /** Empty and 0 when nothing was installed. */
  readonly directory: string;
  readonly bytes: number;
  readonly durationMs: number;
  /** The job whose log is the build’s; empty when there was none. */
  readonly jobId: string;
  /** What it was built from; empty when it was not. */
  readonly lock: string;
}

const LOCK_FILE = 'build.lock';

/** What was not installed. */
export const nothing = { directory: '', bytes: 0, lock: '' };

const JOB_NAME = 'build-';

/** What a job builds, by the name of the job. */
export function builtName(jobName: string): string {
  return jobName.slice(JOB_NAME.length);
}

/** A build that failed for a reason that its author can understand. */
export class BuildFailed extends Error {}

/** One build, from its area to its installed tree. */
export class Build {
  jobId = '';
  placed: typeof nothing | undefined;
  readonly #parts: BuildParts;
  readonly #order: BuildOrder;
  readonly #spec: BuildSpec;
  readonly #platform: Platform;
  readonly #who: Identity;
  readonly #signal: AbortSignal;
  readonly #id = randomUUID();
  #area: BuildArea | undefined;
  #staged: string | undefined;

  constructor(
    parts: BuildParts,
    order: BuildOrder,
    spec: BuildSpec,
    platform: Platform,
    who: Identity,
    signal: AbortSignal,
  ) {
    this.#parts = parts;
    this.#order = order;
    this.#spec = spec;
    this.#platform = platform;
    this.#who = who;
    this.#signal = signal;
  }

  async *run(): AsyncGenerator<BuildEvent> {
    const { cache, config } = this.#parts;
    const area = await this.#prepare();
    const sandbox: BuildSandbox = {
      root: buildRoot(config.allowedMounts),
      mounts: area.mounts(cache.directory),
      writable: [places.work, places.out, places.tree, places.root].map((place) => ({
        path: place,
        bytes: area.bytes,
      })),
      installs: true,
    };
    const job = await this.#parts.jobs.run(this.#jobSpec(sandbox), this.#who);
    this.jobId = job.id;
    if (job.status === 'PENDING') yield note('warn', 'it waits for its turn among the jobs');
    let last: Phase = 'Validate packages';
    for await (const event of this.#follow(job.id)) {
      if (event.kind === 'phase') last = event.phase;
      yield event;
    }
    const ended = await this.#parts.jobs.wait(job.id, this.#signal);
    const outcome = await area.readOutcome();
    if (outcome?.ok !== true) {
      throw new BuildFailed(await whyFailed(ended, outcome, last, area));
    }
    if (this.#order.checkOnly) return;
    await cache.take(area.debs, outcome.lock.apt);
    yield* this.#install(area, outcome);
  }

  /** Takes everything back that is not installed. */
  async end(): Promise<void> {
    const { jobs, uploads, trees } = this.#parts;
    if (this.jobId !== '') {
      await jobs.stop(this.jobId, { force: true }, this.#who).catch(() => {
        // It has ended, as it should have.
      });
    }
    await this.#area?.remove();
    await uploads.release(this.#id);
    if (this.#staged !== undefined) await trees.unstage(this.#staged);
  }

  async #prepare(): Promise<BuildArea> {
    const { config, uploads } = this.#parts;
    const { uploadId, folder, lock, checkOnly } = this.#order;
    const area = await BuildArea.make(config.directory, this.#id, config.maxBytes);
    this.#area = area;
    if (folder !== '') await area.addFiles(folder);
    const sent = await uploads.stage(this.#id, [], uploadId, this.#who);
    if (sent !== undefined) await area.addFiles(sent.directory);
    const { base } = this.#spec;
    if (base.kind === 'suite') requirePrograms();
    await writeHostConfig(area.folder('input'), base, config.aptSources, this.#parts.env);
    await area.writeTask({
      spec: this.#spec,
      platform: this.#platform,
      checkOnly,
      lock: lock === '' ? undefined : parseLock(lock),
    });
    return area;
  }

  #jobSpec(build: BuildSandbox): JobSpec {
    const { memoryBytes, processes, timeoutMs } = this.#parts.config;
    return {
      ...jobSpecOf(`${JOB_NAME}${this.#spec.name}`, [
        places.node,
        ...process.execArgv,
        `${places.program}/builder/main.ts`,
      ]),
      limits: { cpuPercent: 0, memoryBytes, ioBps: 0, cpuCores: '', processes, workBytes: 0 },
      environment: networkEnvironment(this.#parts.env),
      workDir: places.work,
      timeoutMs,
      build,
    };
  }

  /** What the program says, as it comes. */
  async *#follow(id: string): AsyncGenerator<BuildEvent> {
    const lines = new Lines();
    const query = wholeLog(this.#signal, true);
    let timeNs = 0n;
    for await (const entry of this.#parts.logs.read({ id }, query)) {
      ({ timeNs } = entry);
      for (const line of lines.push(entry.data)) yield eventOf(line, timeNs);
    }
    this.#signal.throwIfAborted();
    for (const line of lines.end()) yield eventOf(line, timeNs);
  }

  async *#install(
    area: BuildArea,
    outcome: BuildOutcome & { ok: true },
  ): AsyncGenerator<BuildEvent> {
    const { trees, config } = this.#parts;
    const lock = sortLock(outcome.lock);
    const spec = this.#spec;
    yield phase('Write runtime.yml', '');
    const staged = await trees.stage();
    this.#staged = staged;
    await area.copyTree(path.join(staged, TREE_FOLDER));
    const files = {
      [RUNTIME_FILE]: runtimeTextOf(spec, lock, config.builtWith),
      [LOCK_FILE]: formatLock(lock),
      [SPECIFICATION_FILE]: this.#order.yaml,
    };
    for (const [name, text] of Object.entries(files)) {
      await writeFile(path.join(staged, name), text, { flag: 'wx' });
      await chmod(path.join(staged, name), 0o644);
    }
    const count = spec.tests.length;
    yield phase('Final validation', count === 0 ? 'no tests' : `${count} tests`);
    const file = runtimeFileOf(spec, lock, config.builtWith);
    for await (const { name, problem } of testTree(
      this.#parts,
      staged,
      file,
      this.#who,
      this.#signal,
    )) {
      yield note(
        problem === '' ? 'info' : 'error',
        problem === '' ? `✓ ${name}` : `✗ ${name}: ${problem}`,
      );
      if (problem !== '')
        throw new BuildFailed(`Final validation: the test "${name}" failed: ${problem}`);
    }
    this.#signal.throwIfAborted();
    const specification = createHash('sha256').update(this.#order.yaml).digest('hex');
    const wanted = {
      name: spec.name,
      version: spec.version,
      specification,
      force: this.#order.force,
    };
    const placed = await trees.install(staged, wanted, { signal: this.#signal });
    this.#staged = undefined;
    this.placed = { directory: placed.directory, bytes: placed.bytes, lock: formatLock(lock) };
  }
}

export function phase(name: Phase, message: string): BuildEvent {
  return { kind: 'phase', phase: name, message };
}

export function note(level: LineLevel, message: string): BuildEvent {
  return { kind: 'log', level, message, timeNs: BigInt(Date.now()) * 1_000_000n };
}

function eventOf(line: string, timeNs: bigint): BuildEvent {
  const said = parseBuildLine(line);
  return said.kind === 'phase' ? said : { ...said, timeNs };
}

/** Why there is no tree, from what the program left and from how its job ended. */
async function whyFailed(
  job: Job,
  outcome: BuildOutcome | undefined,
  last: Phase,
  area: BuildArea,
): Promise<string> {
  const ended = job.outcome === undefined ? job.status : viewOutcome(job.outcome).message;
  const why =
    outcome?.ok === false
      ? `${outcome.phase}: ${outcome.message}`
      : `${last}: the build was ended: ${ended}`;
  if (!(await area.isFull())) return why;
  const room = formatBytes(area.bytes);
  return `${why}\nthe disk of the build is full: it has ${room}, by runtime.buildBytes and by what is free`;
}
