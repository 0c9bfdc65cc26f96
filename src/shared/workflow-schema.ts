// The JSON Schema of workflow files, for editors: made from the same tables as the reader goes by.

import { waitedFor } from './workflow-expression.ts';
import {
  concurrencyKeys,
  fileKeys,
  jobKeys,
  type Key,
  type KeyKind,
  type Keys,
  paramKeys,
  resourceKeys,
  retryKeys,
  uploadKeys,
  workflowKeys,
  workspaceKeys,
} from './workflow-keys.ts';
import { paramTypes } from './workflow-params.ts';

type Schema = Readonly<Record<string, unknown>>;

const scalar: Schema = { type: ['string', 'number', 'boolean'] };
const list: Schema = { type: 'array', items: scalar };
const variables: Schema = {
  type: 'object',
  propertyNames: { pattern: '^[A-Za-z_][A-Za-z0-9_]*$' },
  additionalProperties: scalar,
};

/** Numbers and switches may be put in from variables too. */
const filled: Schema = { type: 'string', pattern: '\\$\\{' };

const kinds = {
  text: scalar,
  texts: list,
  count: { anyOf: [{ type: 'integer', minimum: 0 }, filled] },
  duration: { type: ['string', 'integer'], examples: ['90s', '5m', '1h30m'] },
  switch: { anyOf: [{ type: 'boolean' }, filled] },
  variables,
  condition: scalar,
  other: {},
} as const satisfies Record<KeyKind, Schema>;

const statuses = { enum: Object.keys(waitedFor) };
const requirement = {
  anyOf: [
    { type: 'string' },
    {
      type: 'object',
      minProperties: 1,
      properties: { expression: { type: 'string' } },
      additionalProperties: statuses,
    },
  ],
};

const ref = (name: string): Schema => ({ $ref: `#/$defs/${name}` });

/** What stands below the keys that are read in their own ways. */
const others: Readonly<Record<string, Schema>> = {
  resources: ref('resources'),
  concurrency: { anyOf: [{ type: 'string' }, ref('concurrency')] },
  workspace: { anyOf: [{ const: 'shared' }, ref('workspace')] },
  default: scalar,
  enum: list,
  uploads: ref('uploads'),
  retry: { anyOf: [{ type: 'integer', minimum: 1 }, ref('retry')] },
  requires: { anyOf: [{ type: 'array', items: requirement }, requirement] },
  matrix: { type: 'object', additionalProperties: list, minProperties: 1 },
  foreach: list,
  type: { enum: paramTypes },
  params: { ...variables, additionalProperties: { anyOf: [scalar, ref('param')] } },
  defaults: ref('job'),
  jobs: { type: 'object', additionalProperties: ref('job'), minProperties: 1 },
  workflows: { type: 'object', additionalProperties: ref('workflow'), minProperties: 1 },
};

function objectOf(keys: Keys): Schema {
  const properties = Object.entries(keys).map(([word, key]) => [word, schemaOf(word, key)]);
  return {
    type: 'object',
    properties: Object.fromEntries(properties),
    additionalProperties: false,
  };
}

function schemaOf(word: string, { kind, about }: Key): Schema {
  const schema = others[word] ?? kinds[kind];
  return { description: about, ...schema };
}

/** The whole of it. */
export function workflowSchema(): Schema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Joblet workflow',
    description: 'Jobs that depend on each other; see docs/guide/workflows.md.',
    ...objectOf(fileKeys),
    $defs: {
      resources: objectOf(resourceKeys),
      uploads: objectOf(uploadKeys),
      retry: objectOf(retryKeys),
      param: objectOf(paramKeys),
      concurrency: objectOf(concurrencyKeys),
      workspace: objectOf(workspaceKeys),
      job: objectOf(jobKeys),
      workflow: objectOf(workflowKeys),
    },
  };
}
