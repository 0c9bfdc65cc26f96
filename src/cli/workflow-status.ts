// rnx workflow status and list, and the older spellings that show workflows.

import { getWorkflowStatus, listWorkflows } from '../client/methods.ts';
import { command } from './command.ts';
import { jsonLine, jsonText } from './print.ts';
import type { Session } from './session.ts';
import {
  listText,
  type StatusOptions,
  statusJson,
  statusText,
  summaryJson,
} from './workflow-text.ts';
import { exitCodeOf, followWorkflow, tellTree } from './workflow-watch.ts';

const DEADLINE_MS = 10_000;

export const workflowStatus = command({
  usage: 'rnx workflow status [flags] WORKFLOW',
  summary: 'Shows a workflow with its jobs.',
  notes: [
    'WORKFLOW is an id or a beginning of one. With --watch the exit code is 0 when',
    'the workflow is COMPLETED in the end, and 1 otherwise.',
  ],
  examples: ['rnx workflow status a1b2c3d4', 'rnx workflow status --watch a1b2c3d4'],
  flags: {
    detail: { kind: 'switch', short: 'd', help: 'also the text it was started from' },
    watch: { kind: 'switch', short: 'w', help: 'show it as it goes on, until it is over' },
  },
  words: [1, 1],
  missing: 'which workflow? Say its id (rnx workflow list shows them)',
  run: async (values, [uuid = ''], session) => {
    if (values.watch) return watch(uuid, session);
    return showStatus(uuid, values.detail, 'JOB ID', session);
  },
});

export const workflowList = command({
  usage: 'rnx workflow list [flags]',
  summary: 'Lists workflows, the newest first.',
  examples: ['rnx workflow list', 'rnx workflow list --running --json'],
  flags: { running: { kind: 'switch', help: 'only those that are not over' } },
  words: [0, 0],
  run: (values, _words, session) => showList(!values.running, session),
});

/** Shows one workflow; resolves to the exit code. */
export async function showStatus(
  workflowUuid: string,
  detail: boolean,
  idTitle: StatusOptions['idTitle'],
  session: Session,
): Promise<number> {
  const connection = await session.connect();
  const deadlineMs = session.deadlineMs(DEADLINE_MS);
  const found = await connection.unary(getWorkflowStatus, { workflowUuid }, { deadlineMs });
  const { out, json } = session;
  const text = json
    ? jsonText(statusJson(found, detail))
    : statusText(found, { detail, idTitle, nowMs: Date.now() }, out);
  await out.write(text);
  return 0;
}

/** Lists workflows; resolves to the exit code. */
export async function showList(includeCompleted: boolean, session: Session): Promise<number> {
  const connection = await session.connect();
  const deadlineMs = session.deadlineMs(DEADLINE_MS);
  const { workflows } = await connection.unary(listWorkflows, { includeCompleted }, { deadlineMs });
  const { out, json } = session;
  await out.write(json ? jsonText(workflows.map(summaryJson)) : listText(workflows, out));
  return 0;
}

async function watch(uuid: string, { connect, out, err, json }: Session): Promise<number> {
  const connection = await connect();
  const tell = json
    ? async (detail: Parameters<typeof statusJson>[0]) => {
        await out.write(jsonLine(statusJson(detail, false)));
      }
    : tellTree(out);
  return exitCodeOf(await followWorkflow(connection, uuid, tell, err));
}
