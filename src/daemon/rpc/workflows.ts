// The calls of JobService about workflows: translates, and decides nothing else.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { JobService } from '../../gen/joblet/jobs_pb.ts';
import type {
  GetWorkflowStatusResponseSchema,
  RunWorkflowRequest,
} from '../../gen/joblet/workflows_pb.ts';
import { invalid } from '../../shared/errors.ts';
import { pathProblem } from '../../shared/upload-path.ts';
import type { Upload } from '../jobs/job.ts';
import type { Uploads } from '../jobs/uploads.ts';
import { isOver } from '../workflows/workflow.ts';
import type { Workflows } from '../workflows/workflows.ts';
import type { Call, Handlers } from './handlers.ts';
import { type SpecParts, toSpec } from './jobs.ts';
import { type Names, toWorkflowPlan } from './workflow-plan.ts';
import { toWorkflowInfo, toWorkflowJob, toWorkflowStatus } from './workflow-view.ts';

export interface WorkflowParts {
  readonly workflows: Pick<
    Workflows,
    'run' | 'get' | 'stepsOf' | 'list' | 'changed' | 'stop' | 'delete' | 'retry' | 'again'
  >;
  readonly uploads: Pick<Uploads, 'namesOf'>;
  readonly names: () => Names;
  readonly jobParts: SpecParts;
}

/** Workflows in an answer at most: the newest. */
const LIST_LIMIT = 10_000;

type WorkflowHandlers = Pick<
  Handlers<typeof JobService>,
  | 'runWorkflow'
  | 'getWorkflowStatus'
  | 'listWorkflows'
  | 'getWorkflowJobs'
  | 'watchWorkflow'
  | 'stopWorkflow'
  | 'deleteWorkflow'
  | 'retryWorkflow'
>;

export function workflowHandlers(parts: WorkflowParts): WorkflowHandlers {
  const { workflows } = parts;
  const status = (id: string) => {
    const workflow = workflows.get(id);
    return toWorkflowStatus(workflow, workflows.stepsOf(workflow.id));
  };
  return {
    runWorkflow: (request, call) => runWorkflow(parts, request, call),

    getWorkflowStatus: async ({ workflowUuid }) => status(workflowUuid),

    listWorkflows: async ({ includeCompleted }) => ({
      workflows: workflows.list(includeCompleted, LIST_LIMIT).map(toWorkflowInfo),
    }),

    getWorkflowJobs: async ({ workflowUuid }) => {
      const workflow = workflows.get(workflowUuid);
      const steps = workflows.stepsOf(workflow.id);
      return { jobs: steps.map((step) => toWorkflowJob(workflow, step)) };
    },

    watchWorkflow: ({ workflowUuid }, { signal }) => watch(workflows, workflowUuid, signal),

    stopWorkflow: async ({ workflowUuid, force, letRun }, { identity }) => {
      const ending = letRun ? 'cancel' : 'stop';
      const { id } = await workflows.stop(workflowUuid, { ending, force }, identity);
      return status(id);
    },

    deleteWorkflow: async ({ workflowUuid }, { identity }) => {
      const { id } = await workflows.delete(workflowUuid, identity);
      return { workflowUuid: id };
    },

    retryWorkflow: async ({ workflowUuid, all }, { identity }) => {
      const { id, status: now } = all
        ? await workflows.again(workflowUuid, identity)
        : await workflows.retry(workflowUuid, identity);
      return { workflowUuid: id, status: now };
    },
  };
}

async function runWorkflow(parts: WorkflowParts, request: RunWorkflowRequest, call: Call) {
  const { plan, files, warnings } = await planOf(parts, request, call);
  if (request.validateOnly) return { workflowUuid: '', status: '', warnings };
  const { id, status } = await parts.workflows.run(plan, files, call.identity);
  return { workflowUuid: id, status, warnings };
}

/** What a request asks for, and the files it brings along or has sent ahead. */
export async function planOf(
  { uploads, names, jobParts }: Omit<WorkflowParts, 'workflows'>,
  request: RunWorkflowRequest,
  call: Call,
) {
  const files = readFiles(request);
  const { uploadId } = request;
  const ahead = uploadId === '' ? [] : uploads.namesOf(uploadId, call.identity);
  const { plan, warnings } = await toWorkflowPlan(request, {
    names: names(),
    files: [...files.map((file) => file.path), ...ahead],
    toSpec: (job) => toSpec(jobParts, job, call),
  });
  const said = warnings.map(({ field, message }) => `${field}: ${message}`);
  return { plan, files: { uploads: files, uploadId }, warnings: said };
}

const PERMISSIONS = 0o777;

function readFiles({ workflowFiles }: RunWorkflowRequest): Upload[] {
  const problems = workflowFiles.flatMap(({ path }, index) => {
    const problem = pathProblem(path);
    return problem === undefined
      ? []
      : [{ field: `workflow_files[${index}].path`, message: problem }];
  });
  if (problems.length > 0) throw invalid(problems.slice(0, 100));
  return workflowFiles.map(({ path, content, mode, isDirectory }) => ({
    path,
    content,
    mode: mode & PERMISSIONS,
    isDirectory,
  }));
}

function withoutOutputs({ workflow, jobs }: ReturnType<typeof toWorkflowStatus>) {
  return { workflow, jobs: jobs.map((job) => ({ ...job, outputs: {} })) };
}

/** From one state of a workflow that is told to the next, unless that is the last. */
const WATCH_MS = 50;

async function* watch(
  workflows: WorkflowParts['workflows'],
  idOrPrefix: string,
  signal: AbortSignal,
): AsyncGenerator<MessageInitShape<typeof GetWorkflowStatusResponseSchema>> {
  const { id } = workflows.get(idOrPrefix);
  while (!signal.aborted) {
    // Asked for before it is looked at, so that nothing happens in between.
    const changed = workflows.changed(id, signal, performance.now() + WATCH_MS);
    const workflow = workflows.get(id);
    const detail = toWorkflowStatus(workflow, workflows.stepsOf(id));
    // They may be long, and would be told again at each change.
    yield isOver(workflow.status) ? detail : withoutOutputs(detail);
    if (isOver(workflow.status)) return;
    await changed;
  }
}
