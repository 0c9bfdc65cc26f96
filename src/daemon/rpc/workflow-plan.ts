// From a RunWorkflowRequest to a WorkflowPlan: each job of the text becomes a job's request and is
// checked as one. All that is wrong is named at once, and nothing has been created by then.

import { create } from '@bufbuild/protobuf';
import { RunJobRequestSchema } from '../../gen/joblet/jobs_pb.ts';
import type { RunWorkflowRequest } from '../../gen/joblet/workflows_pb.ts';
import { invalid, JobletError } from '../../shared/errors.ts';
import { relativeMs } from '../../shared/relative-time.ts';
import { formatBytes } from '../../shared/units.ts';
import { isWithin } from '../../shared/volume-mount.ts';
import type {
  Workflow,
  WorkflowCall,
  WorkflowJob,
  WorkflowOptions,
} from '../../shared/workflow-job.ts';
import { nameInJob } from '../../shared/workflow-uploads.ts';
import type { Path } from '../../shared/yaml-text.ts';
import type { JobSpec } from '../jobs/job.ts';
import { nextTurn, placesIn, readWorkflowText } from '../workflows/reading.ts';
import { OUTPUT_PLACE, WORKSPACE_PLACE } from '../workflows/run-volumes.ts';
import type { Call, RunOptions, StepPlan, WorkflowPlan } from '../workflows/workflow.ts';
import { type JobRequest, parseRfc3339 } from './job-spec.ts';

/** What exists on this node, by name. */
export interface Names {
  readonly networks: readonly string[];
  readonly volumes: readonly string[];
  /** What one volume can hold at most. */
  readonly maxVolumeBytes: number;
}

export interface PlanParts {
  readonly names: Names;
  /** Paths of the files that came with the request or ahead of it. */
  readonly files: readonly string[];
  /** A job's request as what it asks for; throws what is wrong with it. */
  readonly toSpec: (request: JobRequest) => JobSpec;
}

/** Where a field of a job's request stands in a workflow. */
const places: Readonly<Record<string, Path>> = {
  max_cpu: ['resources', 'max_cpu'],
  max_memory: ['resources', 'max_memory'],
  max_io_bps: ['resources', 'max_io_bps'],
  max_processes: ['resources', 'max_processes'],
  cpu_cores: ['resources', 'cpu_cores'],
  gpu_count: ['resources', 'gpu_count'],
  gpu_memory_mb: ['resources', 'gpu_memory_mb'],
  work_dir: ['workdir'],
  timeout_ms: ['timeout'],
};

/** What does not exist, by the jobs' fields that name it. */
const kinds = {
  volume: 'volumes',
  network: 'network',
  runtime: 'runtime',
} as const;

const MAX_PROBLEMS = 100;

/** Jobs that are looked at before the event loop gets its turn. */
const JOBS_AT_ONCE = 100;

/** Reads a request. Throws `invalid` with everything that is wrong with it. */
export async function toWorkflowPlan(
  request: RunWorkflowRequest,
  parts: PlanParts,
): Promise<{ readonly plan: WorkflowPlan; readonly warnings: Workflow['warnings'] }> {
  const { yamlContent, choice, params, workflow: file } = request;
  if (yamlContent === '') {
    const message = 'is empty: send the text of the workflow; files of the server are not read';
    throw invalid([{ field: 'yaml_content', message }]);
  }
  const wish = { text: yamlContent, file: file || 'workflow', choice, params };
  const { workflow, shownText } = await readWorkflowText(wish);
  const reading = new PlanReading(parts);
  const steps: (StepPlan | undefined)[] = [];
  for (const [at, job] of workflow.jobs.entries()) {
    if (at % JOBS_AT_ONCE === JOBS_AT_ONCE - 1) await nextTurn();
    steps.push(reading.step(job, hasWorkspace(workflow, job)));
  }
  for (const run of [workflow, ...workflow.calls]) reading.checkWorkspace(run);
  const problems = reading.finish();
  if (problems.length > 0) {
    const places = await placesIn(
      wish,
      problems.map(({ at }) => at),
    );
    throw invalid(problems.map(({ message }, at) => ({ field: places[at] ?? '', message })));
  }
  const plan = {
    name: workflow.name || choice || file,
    text: yamlContent,
    shownText,
    maxParallel: workflow.maxParallel,
    ...runOptions(workflow),
    ...(workflow.calls.length > 0 && { calls: workflow.calls.map(toCall) }),
    steps: steps.filter((step) => step !== undefined),
  };
  return { plan, warnings: workflow.warnings };
}

/** Whether a job finds a workspace: that of its run, or of a call that it is part of. */
function hasWorkspace(
  { workspace, calls }: Omit<Workflow, 'placeOf'>,
  { call: innermost }: WorkflowJob,
): boolean {
  for (let call = innermost; call !== undefined; call = calls[call]?.around) {
    if (calls[call]?.workspace !== undefined) return true;
  }
  return workspace !== undefined;
}

function runOptions({ concurrency, workspace }: Omit<WorkflowOptions, 'maxParallel'>): RunOptions {
  return {
    ...(concurrency && { concurrency }),
    ...(workspace && { workspace: { bytes: workspace.bytes } }),
  };
}

function toCall({ name, around, maxParallel, ...options }: WorkflowCall): Call {
  return { name, maxParallel, ...(around !== undefined && { around }), ...runOptions(options) };
}

/** What is wrong, and with which part of the text. */
interface Wrong {
  readonly at: Path;
  readonly message: string;
}

class PlanReading {
  readonly #parts: PlanParts;
  readonly #problems: Wrong[] = [];
  /** What jobs name and does not exist, with the first place of each kind. */
  readonly #missing = {
    volume: new Map<string, Path>(),
    network: new Map<string, Path>(),
    runtime: new Map<string, Path>(),
  };
  readonly #files: ReadonlySet<string>;

  constructor(parts: PlanParts) {
    this.#parts = parts;
    this.#files = new Set(parts.files);
  }

  /** `isShared` is that it has a workspace with others. */
  step(job: WorkflowJob, isShared: boolean): StepPlan | undefined {
    const { name, requires, condition, outputs, late, retry, files, directories } = job;
    this.#checkFiles(job);
    for (const volume of job.volumes) {
      const word = volume.split(':', 1)[0] ?? '';
      if (!this.#parts.names.volumes.includes(word)) this.#miss('volume', word, job);
    }
    const { startAtMs, delayMs } = this.#schedule(job);
    try {
      const { uploads: _, ...spec } = this.#parts.toSpec(requestOf(job));
      this.#checkPlaces(job, spec.volumes, isShared);
      return {
        name,
        spec: { ...spec, startAtMs },
        requires,
        ...(condition && { condition }),
        ...(outputs.length > 0 && { outputs }),
        ...(late && { late }),
        retry,
        delayMs,
        files: [...files],
        directories: [...directories],
        ...(job.call !== undefined && { call: job.call }),
      };
    } catch (error) {
      if (!(error instanceof JobletError)) throw error;
      this.#note(error, job);
      return undefined;
    }
  }

  checkWorkspace({ workspace }: Pick<WorkflowOptions, 'workspace'>): void {
    const { maxVolumeBytes } = this.#parts.names;
    if (workspace === undefined || workspace.bytes <= maxVolumeBytes) return;
    const message = `workspace: a volume has at most ${formatBytes(maxVolumeBytes)} here (volumes.max_size_bytes)`;
    this.#report(workspace.at, message);
  }

  /** Everything that is wrong. */
  finish(): readonly Wrong[] {
    const available = { network: this.#parts.names.networks, volume: [], runtime: [] };
    for (const kind of ['volume', 'network', 'runtime'] as const) {
      const missing = this.#missing[kind];
      const [first] = missing.values();
      if (first === undefined) continue;
      const known = available[kind];
      const offer = known.length === 0 ? '' : `. Available ${kind}s: [${known.join(' ')}]`;
      const names = [...missing.keys()].toSorted().join(' ');
      this.#report(first, `${kind} validation failed: missing ${kind}s: [${names}]${offer}`);
    }
    return this.#problems;
  }

  /** What is wrong with a job by itself. */
  #note(error: JobletError, job: WorkflowJob): void {
    const { kind, message, about = '' } = error;
    const problems =
      error.problems.length > 0
        ? error.problems
        : [{ field: kind === 'not-found' ? 'runtime' : about, message }];
    for (const problem of problems) {
      const field = problem.field.replace(/\[.*$/, '');
      if (field === 'network' && !this.#parts.names.networks.includes(job.network)) {
        this.#miss('network', job.network, job);
      } else if (field === 'runtime' && kind === 'not-found') {
        this.#miss('runtime', job.runtime, job);
      } else if (field !== 'volumes' || !this.#isMissing(job)) {
        const at = [...job.at, ...(places[field] ?? [field])];
        this.#report(at, `job '${job.name}': ${problem.field} ${problem.message}`);
      }
    }
  }

  #isMissing({ volumes }: WorkflowJob): boolean {
    return volumes.some((volume) => this.#missing.volume.has(volume.split(':', 1)[0] ?? ''));
  }

  #miss(kind: keyof typeof kinds, name: string, job: WorkflowJob): void {
    const missing = this.#missing[kind];
    if (!missing.has(name)) missing.set(name, [...job.at, kinds[kind]]);
  }

  /** The volumes of a run have their places, and the job's own have others. */
  #checkPlaces(job: WorkflowJob, volumes: JobSpec['volumes'], isShared: boolean): void {
    const taken = [
      ...(isShared ? [WORKSPACE_PLACE] : []),
      ...(job.outputs.length > 0 ? [OUTPUT_PLACE] : []),
    ];
    for (const { path } of volumes) {
      const place = taken.find((one) => isWithin(path, one) || isWithin(one, path));
      if (place === undefined) continue;
      const message = `job '${job.name}': a volume at ${path} would cover ${place}, which is the run's; give it another path`;
      this.#report([...job.at, 'volumes'], message);
    }
  }

  #checkFiles({ name, at, files, directories }: WorkflowJob): void {
    for (const [index, written] of files.entries()) {
      if (this.#files.has(nameInJob(written))) continue;
      const message = `job '${name}': uploads - the file ${written} was not sent along`;
      this.#report([...at, 'uploads', 'files', index], message);
    }
    for (const [index, written] of directories.entries()) {
      const folder = nameInJob(written);
      if (folder === '' || this.#files.has(folder)) continue;
      if (this.#parts.files.some((file) => file.startsWith(`${folder}/`))) continue;
      const message = `job '${name}': uploads - the folder ${written} was not sent along`;
      this.#report([...at, 'uploads', 'directories', index], message);
    }
  }

  #schedule({ name, at, schedule }: WorkflowJob): Pick<JobSpec, 'startAtMs'> & { delayMs: number } {
    if (schedule === '') return { startAtMs: 0, delayMs: 0 };
    const delayMs = relativeMs(schedule);
    const startAtMs = delayMs === undefined ? parseRfc3339(schedule.replace(' ', 'T')) : 0;
    if (startAtMs === undefined) {
      const shown = JSON.stringify(schedule.slice(0, 64));
      const message = `job '${name}': schedule: ${shown} is neither a while, such as 1hour or 30min, nor a time with its zone, such as 2030-01-31T12:00:00Z`;
      this.#report([...at, 'schedule'], message);
    }
    return { startAtMs: startAtMs ?? 0, delayMs: delayMs ?? 0 };
  }

  #report(at: Path, message: string): void {
    if (this.#problems.length >= MAX_PROBLEMS) return;
    this.#problems.push({ at, message });
  }
}

function requestOf(job: WorkflowJob): JobRequest {
  return create(RunJobRequestSchema, {
    name: job.name,
    command: job.command,
    args: [...job.args],
    maxCpu: job.maxCpu,
    maxMemory: job.maxMemoryMb,
    maxIoBps: job.maxIoBps,
    maxProcesses: job.maxProcesses,
    cpuCores: job.cpuCores,
    gpuCount: job.gpuCount,
    gpuMemoryMb: job.gpuMemoryMb,
    runtime: job.runtime,
    network: job.network,
    volumes: [...job.volumes],
    workDir: job.workDir,
    environment: { ...job.environment },
    secretEnvironment: { ...job.secretEnvironment },
    timeoutMs: BigInt(job.timeoutMs),
  });
}
