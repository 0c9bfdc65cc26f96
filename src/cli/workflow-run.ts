// rnx workflow run: the jobs of a file, as they wait for each other.

import path from 'node:path';
import type { Connection } from '../client/connection.ts';
import { runWorkflow, stopWorkflow } from '../client/methods.ts';
import type { WorkflowRequest } from '../client/workflow-messages.ts';
import { messageOf } from '../shared/errors.ts';
import { jobsOf } from '../shared/workflow-expression.ts';
import type { Workflow } from '../shared/workflow-job.ts';
import { nameInJob } from '../shared/workflow-uploads.ts';
import { command } from './command.ts';
import { jsonText, visible } from './print.ts';
import { sendUploads } from './send-uploads.ts';
import type { Session } from './session.ts';
import { collectAs, collectUploads, inlineUploads, type LocalFile } from './uploads.ts';
import { graphText } from './workflow-graph.ts';
import {
  parseParams,
  readSource,
  readWorkflow,
  sourceOf,
  tellingProblems,
  tellWarnings,
  type WorkflowSource,
} from './workflow-source.ts';
import { jobsTable, progressText, statusJson } from './workflow-text.ts';
import { exitCodeOf, followWorkflow, tellBar } from './workflow-watch.ts';

const DEADLINE_MS = 30_000;

export interface RunWishes {
  readonly params: readonly string[];
  /** Files besides those that lie beside the workflow file. */
  readonly uploads: readonly string[];
  /** Stay until it is over. */
  readonly wait: boolean;
  /** Only say what would be done. */
  readonly dryRun: boolean;
}

export const workflowRun = command({
  usage: 'rnx workflow run [flags] FILE[:NAME]',
  summary: 'Runs the jobs of a file, each when what it requires has come true.',
  notes: [
    'NAME is one of the workflows of a file that holds several. With --wait the exit',
    'code is 0 when all went well, and Ctrl-C ends the workflow.',
  ],
  examples: ['rnx workflow run --wait pipeline.yaml', 'rnx workflow run --param env=prod ci.yaml'],
  flags: {
    wait: { kind: 'switch', help: 'stay until it is over, and show how far it is' },
    param: { kind: 'list', value: 'NAME=VALUE', help: 'a value for a parameter of the workflow' },
    upload: { kind: 'list', value: 'PATH', help: 'a file that jobs name and that lies elsewhere' },
    'dry-run': { kind: 'switch', help: 'check it here and there, and show the plan' },
  },
  words: [1, 1],
  missing: 'which file? Say it: rnx workflow run FILE',
  run: (values, [word = ''], session) => {
    const { param: params, upload: uploads, wait, 'dry-run': dryRun } = values;
    return runSource(readSource(word), { params, uploads, wait, dryRun }, session);
  },
});

/** Runs the workflow of a file; resolves to the exit code. */
export function runSource(
  source: WorkflowSource,
  wishes: RunWishes,
  session: Session,
): Promise<number> {
  return tellingProblems(session, async () => {
    const params = parseParams(wishes.params);
    const { workflow, request, files } = prepare(source, params, wishes.uploads);
    await tellWarnings(workflow, session);
    const { out, json } = session;
    const connection = await session.connect();
    if (wishes.dryRun) return showPlan(connection, request, files, workflow, session);
    const beside = wishes.wait ? session.err : out;
    const sent = await sendUploads(connection, files, beside, session);
    const { workflowUuid: uuid, status } = await connection.unary(
      runWorkflow,
      { ...request, workflowFiles: sent.uploads, uploadId: sent.uploadId },
      { deadlineMs: session.deadlineMs(DEADLINE_MS) },
    );
    // The daemon has nothing against it either.
    if (!json) {
      await beside.write(
        `Workflow validation passed\nRunning workflow from: ${visible(source.file)}\n`,
      );
    }
    if (wishes.wait) return stay(connection, uuid, session);
    await out.write(
      json
        ? jsonText({ uuid, status, total_jobs: workflow.jobs.length })
        : `Workflow created with UUID: ${visible(uuid)}\nStatus: ${visible(status)}\n` +
            `To see how it goes on: rnx workflow status ${visible(uuid)}\n`,
    );
    return 0;
  });
}

/** A request as it travels when its files are small. */
export function workflowRequest(
  source: WorkflowSource,
  params: Readonly<Record<string, string>>,
  uploads: readonly string[],
): { readonly request: WorkflowRequest } {
  const { request, files } = prepare(source, params, uploads);
  return { request: { ...request, workflowFiles: inlineUploads(files) } };
}

/** A workflow, checked here, as a request, and its files. */
export function prepare(
  source: WorkflowSource,
  params: Readonly<Record<string, string>>,
  uploads: readonly string[],
): {
  readonly workflow: Workflow;
  readonly request: WorkflowRequest;
  readonly files: readonly LocalFile[];
} {
  const more = collectUploads(uploads, []);
  const workflow = readWorkflow(source, params, new Set(more.map((file) => file.path)));
  const request = {
    workflow: path.basename(source.file),
    choice: source.choice,
    params,
    totalJobs: workflow.jobs.length,
    jobOrder: workflow.order,
    yamlContent: source.text,
  };
  return { workflow, request, files: collectFiles(workflow, path.dirname(source.file), more) };
}

/** Every file that the jobs name, once. */
function collectFiles(
  workflow: Workflow,
  folder: string,
  more: readonly LocalFile[],
): readonly LocalFile[] {
  const files = new Map(more.map((file) => [file.path, file]));
  for (const job of workflow.jobs) {
    for (const written of [...job.files, ...job.directories]) {
      const name = nameInJob(written);
      if (files.has(name) && !job.directories.includes(written)) continue;
      for (const file of collectAs('uploads', sourceOf(written, folder), name)) {
        files.set(file.path, file);
      }
    }
  }
  return [...files.values()];
}

/** What would be run, when the daemon has nothing against it. */
async function showPlan(
  connection: Connection,
  request: WorkflowRequest,
  files: readonly LocalFile[],
  { jobs, order }: Workflow,
  { out, json, deadlineMs }: Session,
): Promise<number> {
  // The names are enough to be checked.
  const names = files.map(({ path: name, isDirectory }) => ({ path: name, isDirectory }));
  const wish = { ...request, workflowFiles: names, validateOnly: true };
  await connection.unary(runWorkflow, wish, { deadlineMs: deadlineMs(DEADLINE_MS) });
  const graph = new Map(jobs.map(({ name, requires }) => [name, jobsOf(requires)]));
  const plan = order.map((name) => ({ name, dependencies: graph.get(name) ?? [] }));
  await out.write(
    json
      ? jsonText({ valid: true, total_jobs: jobs.length, jobs: plan, files: files.length })
      : `Workflow validation passed\nPlan of ${jobs.length} jobs, ${files.length} files:\n${graphText(order, graph)}`,
  );
  return 0;
}

/** Stays until a workflow is over. */
async function stay(connection: Connection, uuid: string, session: Session): Promise<number> {
  const { out, err, json } = session;
  let force = false;
  process.on('SIGINT', () => {
    err.write(
      force ? 'Killing its jobs...\n' : 'Stopping the workflow (Ctrl-C again kills it)...\n',
    );
    connection.unary(stopWorkflow, { workflowUuid: uuid, force }).catch((error: unknown) => {
      err.write(`Error: ${visible(messageOf(error))}\n`);
    });
    force = true;
  });
  if (!json) await err.write(`Workflow created with UUID: ${visible(uuid)}\n`);
  const tell = json ? async () => {} : tellBar(err);
  const ended = await followWorkflow(connection, uuid, tell, err);
  if (json) await out.write(jsonText(statusJson(ended, false)));
  else {
    const { workflow, jobs } = ended;
    const progress = workflow === undefined ? '' : progressText(workflow);
    await out.write(`${jobsTable(jobs, 'JOB ID', out)}${workflow?.status}: ${progress}\n`);
  }
  return exitCodeOf(ended);
}
