import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { workflowSchema } from './workflow-schema.ts';

const PUBLISHED = path.join(import.meta.dirname, '../../docs/workflow.schema.json');

test('the published schema is the one that the tables make', () => {
  const text = `${JSON.stringify(workflowSchema(), undefined, 2)}\n`;
  assert.equal(
    readFileSync(PUBLISHED, 'utf8'),
    text,
    'rnx workflow schema > docs/workflow.schema.json',
  );
});

test('every reference of the schema leads somewhere', () => {
  const schema = workflowSchema();
  const defined: readonly string[] = Object.keys(schema['$defs'] as object);
  const named = [...JSON.stringify(schema).matchAll(/#\/\$defs\/(\w+)/g)].map(
    ([, name = '']) => name,
  );
  assert.ok(named.length > 5);
  for (const name of named) assert.ok(defined.includes(name), name);
});
