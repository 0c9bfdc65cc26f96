// rnx workflow stop, delete and retry.

import { deleteWorkflow, retryWorkflow, stopWorkflow } from '../client/methods.ts';
import { command } from './command.ts';
import { jsonText, statusWord, visible } from './print.ts';
import { progressText, statusJson } from './workflow-text.ts';

const DEADLINE_MS = 30_000;
const missing = 'which workflow? Say its id (rnx workflow list shows them)';

export const workflowStop = command({
  usage: 'rnx workflow stop [flags] WORKFLOW',
  summary: 'Ends a workflow: nothing more of it starts, and its jobs are stopped.',
  examples: ['rnx workflow stop a1b2c3d4', 'rnx workflow stop --let-run a1b2c3d4'],
  flags: {
    force: { kind: 'switch', help: 'kill its jobs without a grace time' },
    'let-run': { kind: 'switch', help: 'let jobs that run come to their end' },
  },
  words: [1, 1],
  missing,
  run: async (values, [workflowUuid = ''], session) => {
    const connection = await session.connect();
    // A grace time may be long; the answer comes when all of its jobs have ended.
    const deadlineMs = session.deadlineMs();
    const request = { workflowUuid, force: values.force, letRun: values['let-run'] };
    const detail = await connection.unary(stopWorkflow, request, { deadlineMs });
    const { out, json } = session;
    const { workflow } = detail;
    const lines = [
      values['let-run'] ? 'Workflow ends when its jobs have:' : 'Workflow stopped successfully:',
      `UUID: ${visible(workflow?.uuid ?? '')}`,
      `Status: ${statusWord(workflow?.status ?? '', out)}`,
      `Progress: ${workflow === undefined ? '' : progressText(workflow)}\n`,
    ];
    await out.write(json ? jsonText(statusJson(detail, false)) : lines.join('\n'));
    return 0;
  },
});

export const workflowDelete = command({
  usage: 'rnx workflow delete WORKFLOW',
  summary: 'Deletes a workflow that is over, with its jobs and their output.',
  examples: ['rnx workflow delete a1b2c3d4'],
  flags: {},
  words: [1, 1],
  missing,
  run: async (_values, [workflowUuid = ''], session) => {
    const connection = await session.connect();
    const deadlineMs = session.deadlineMs(DEADLINE_MS);
    const deleted = await connection.unary(deleteWorkflow, { workflowUuid }, { deadlineMs });
    const { out, json } = session;
    await out.write(
      json
        ? jsonText({ uuid: deleted.workflowUuid, success: true })
        : `Workflow deleted successfully:\nUUID: ${visible(deleted.workflowUuid)}\n`,
    );
    return 0;
  },
});

export const workflowRetry = command({
  usage: 'rnx workflow retry [flags] WORKFLOW',
  summary: 'Takes up again what did not go well in a workflow that is over.',
  notes: ['Jobs that are COMPLETED stay so. With --all it is another workflow.'],
  examples: ['rnx workflow retry a1b2c3d4', 'rnx workflow retry --all a1b2c3d4'],
  flags: { all: { kind: 'switch', help: 'run all of it once more, as another workflow' } },
  words: [1, 1],
  missing,
  run: async (values, [workflowUuid = ''], session) => {
    const connection = await session.connect();
    const deadlineMs = session.deadlineMs(DEADLINE_MS);
    const request = { workflowUuid, all: values.all };
    const started = await connection.unary(retryWorkflow, request, { deadlineMs });
    const { out, json } = session;
    const uuid = started.workflowUuid;
    await out.write(
      json
        ? jsonText({ uuid, status: started.status })
        : `Workflow runs again:\nUUID: ${visible(uuid)}\nStatus: ${statusWord(started.status, out)}\n`,
    );
    return 0;
  },
});
