// ScheduleService: translates between messages and the recurring schedules of this node.

import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { RunJobRequest } from '../../gen/joblet/jobs_pb.ts';
import type {
  CreateScheduleRequest,
  ScheduleSchema,
  ScheduleService,
} from '../../gen/joblet/schedules_pb.ts';
import { RunWorkflowRequestSchema } from '../../gen/joblet/workflows_pb.ts';
import { invalid, type Problem } from '../../shared/errors.ts';
import { checkName } from '../../shared/names.ts';
import { formatDuration } from '../../shared/units.ts';
import type { JobSpec, Upload } from '../jobs/job.ts';
import type { Schedule, ScheduleWish } from '../workflows/schedule.ts';
import type { Schedules } from '../workflows/schedules.ts';
import { catchUps, overlaps } from '../workflows/ticks.ts';
import type { WorkflowPlan } from '../workflows/workflow.ts';
import type { Workflows } from '../workflows/workflows.ts';
import type { Call, Handlers } from './handlers.ts';
import { toSpec } from './jobs.ts';
import { rfc3339 } from './rfc3339.ts';
import { planOf, type WorkflowParts } from './workflows.ts';

export interface ScheduleParts extends Omit<WorkflowParts, 'workflows'> {
  readonly schedules: Pick<
    Schedules,
    'create' | 'get' | 'list' | 'historyOf' | 'nextOf' | 'pause' | 'delete'
  >;
  readonly workflows: Pick<Workflows, 'find'>;
}

/** The next ticks that are shown. */
const NEXT_TICKS = 5;
const MAX_JITTER_MS = 24 * 3_600_000;
/** Runs that are kept of a schedule. */
const DEFAULT_KEEP = 100;
const MAX_KEEP = 1000;

export function scheduleHandlers(parts: ScheduleParts): Handlers<typeof ScheduleService> {
  const { schedules } = parts;
  const view = (schedule: Schedule) => toSchedule(schedule, parts);
  return {
    createSchedule: async (request, call) => {
      const { wish, files } = await toWish(request, parts, call);
      return view(await schedules.create(wish, files, call.identity));
    },

    listSchedules: async () => ({ schedules: schedules.list().map(view) }),

    getSchedule: async ({ name }) => {
      const schedule = schedules.get(name);
      const history = schedules.historyOf(schedule).map((run) => ({
        time: rfc3339(run.tickMs),
        workflowUuid: run.workflowId,
        state: run.state,
        message: run.message,
        workflowStatus: parts.workflows.find(run.workflowId)?.status ?? '',
      }));
      return { ...view(schedule), history };
    },

    pauseSchedule: async ({ name }, { identity }) =>
      view(await schedules.pause(name, true, identity)),

    resumeSchedule: async ({ name }, { identity }) =>
      view(await schedules.pause(name, false, identity)),

    deleteSchedule: async ({ name }, { identity }) => {
      await schedules.delete(name, identity);
      return { name };
    },
  };
}

function toSchedule(
  schedule: Schedule,
  { schedules }: Pick<ScheduleParts, 'schedules'>,
): Omit<MessageInitShape<typeof ScheduleSchema>, '$typeName' | '$unknown'> {
  return {
    name: schedule.name,
    cron: schedule.cron,
    timeZone: schedule.timeZone,
    overlap: schedule.overlap,
    catchUp: schedule.catchUp,
    jitterMs: BigInt(schedule.jitterMs),
    keep: schedule.keep,
    what: schedule.what,
    paused: schedule.isPaused,
    createdTime: rfc3339(schedule.createdAtMs),
    owner: schedule.owner.name,
    nextTimes: schedules.nextOf(schedule, NEXT_TICKS).map(rfc3339),
  };
}

/** What a request asks for, with all that is wrong with it named at once. */
async function toWish(
  request: CreateScheduleRequest,
  parts: ScheduleParts,
  call: Call,
): Promise<{
  readonly wish: ScheduleWish;
  readonly files: { readonly uploads: readonly Upload[]; readonly uploadId: string };
}> {
  const problems: Problem[] = [];
  const report = (field: string, message: string) => problems.push({ field, message });
  const nameProblem = checkName(request.name);
  if (nameProblem !== undefined) report('name', nameProblem);
  const overlap = overlaps.find((word) => word === (request.overlap || 'forbid'));
  if (overlap === undefined) report('overlap', `is one of ${overlaps.join(', ')}`);
  const catchUp = catchUps.find((word) => word === (request.catchUp || 'one'));
  if (catchUp === undefined) report('catch_up', `is one of ${catchUps.join(', ')}`);
  const jitterMs = Number(request.jitterMs);
  if (jitterMs < 0 || jitterMs > MAX_JITTER_MS) {
    report('jitter_ms', `is from 0 to ${formatDuration(MAX_JITTER_MS)}`);
  }
  const keep = request.keep || DEFAULT_KEEP;
  if (keep < 1 || keep > MAX_KEEP) report('keep', `is from 1 to ${MAX_KEEP}`);
  const { job, workflow } = request;
  if ((job === undefined) === (workflow === undefined)) {
    report('job', 'or workflow: say one of them, to be run at every tick');
  }
  if (problems.length > 0 || overlap === undefined || catchUp === undefined)
    throw invalid(problems);
  const { plan, what, files } =
    job === undefined
      ? await ofWorkflow(workflow ?? create(RunWorkflowRequestSchema), parts, call)
      : ofJob(request.name, job, parts, call);
  const { name, cron } = request;
  const wish = {
    name,
    cron,
    timeZone: request.timeZone || 'UTC',
    overlap,
    catchUp,
    jitterMs,
    keep,
    what,
    plan: { ...plan, name },
  };
  return { wish, files };
}

async function ofWorkflow(
  request: NonNullable<CreateScheduleRequest['workflow']>,
  parts: ScheduleParts,
  call: Call,
) {
  const { plan, files } = await planOf(parts, request, call);
  return { plan, what: `workflow ${plan.name}`, files };
}

/** A job is a workflow of one job, under the name of its schedule. */
function ofJob(name: string, request: RunJobRequest, { jobParts }: ScheduleParts, call: Call) {
  if (request.schedule !== '') {
    throw invalid([{ field: 'job.schedule', message: 'stands beside a recurring schedule' }]);
  }
  const spec: JobSpec = toSpec(jobParts, { ...request, name: request.name || name }, call);
  const { uploads, uploadId, ...rest } = spec;
  const plan: WorkflowPlan = {
    name,
    text: '',
    shownText: '',
    maxParallel: 0,
    steps: [
      {
        name: spec.name,
        spec: { ...rest, uploadId: '' },
        requires: { kind: 'all', of: [] },
        retry: { attempts: 1, backoffMs: 0, exitCodes: [] },
        delayMs: 0,
        files: [],
        directories: uploads.length > 0 || uploadId !== '' ? ['.'] : [],
      },
    ],
  };
  return { plan, what: [spec.command, ...spec.args].join(' '), files: { uploads, uploadId } };
}
