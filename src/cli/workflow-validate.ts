// rnx workflow validate: what is wrong with a workflow file, without running it.

import { jobsOf } from '../shared/workflow-expression.ts';
import type { Workflow } from '../shared/workflow-job.ts';
import { workflowSchema } from '../shared/workflow-schema.ts';
import { command } from './command.ts';
import { jsonText, visible } from './print.ts';
import {
  parseParams,
  readSource,
  readWorkflow,
  tellingProblems,
  tellWarnings,
} from './workflow-source.ts';

export const workflowValidate = command({
  usage: 'rnx workflow validate [flags] FILE[:NAME]',
  summary: 'Checks a workflow file without a daemon: all problems at once.',
  notes: ['NAME is one of the workflows of a file that holds several.'],
  examples: ['rnx workflow validate pipeline.yaml'],
  flags: {
    param: { kind: 'list', value: 'NAME=VALUE', help: 'a value for a parameter of the workflow' },
  },
  words: [1, 1],
  missing: 'which file? Say it: rnx workflow validate FILE',
  run: (values, [word = ''], session) =>
    tellingProblems(session, async () => {
      const workflow = readWorkflow(readSource(word), parseParams(values.param));
      await tellWarnings(workflow, session);
      await session.out.write(
        session.json ? jsonText(checkedJson(workflow)) : checkedText(workflow),
      );
      return 0;
    }),
});

function checkedText({ jobs, order }: Workflow): string {
  const edges = jobs.reduce((sum, { requires }) => sum + jobsOf(requires).length, 0);
  return [
    'Workflow validation passed',
    `Jobs: ${jobs.length}`,
    `Dependencies: ${edges}, none of them circular`,
    `Order: ${order.slice(0, SHOWN_JOBS).map(visible).join(', ')}${order.length > SHOWN_JOBS ? ', ...' : ''}\n`,
  ].join('\n');
}

const SHOWN_JOBS = 20;

function checkedJson({ name, jobs, order, warnings }: Workflow): object {
  return {
    valid: true,
    name,
    total_jobs: jobs.length,
    job_order: order,
    jobs: jobs.map((job) => ({ name: job.name, dependencies: jobsOf(job.requires) })),
    warnings,
  };
}

export const workflowSchemaCommand = command({
  usage: 'rnx workflow schema',
  summary: 'Prints the JSON Schema of workflow files, for editors.',
  examples: ['rnx workflow schema > workflow.schema.json'],
  flags: {},
  words: [0, 0],
  run: async (_values, _words, { out }) => {
    await out.write(jsonText(workflowSchema()));
    return 0;
  },
});
