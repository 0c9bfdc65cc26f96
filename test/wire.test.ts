// The API's definition against what is published (S2-36, S4-6, S4-7, S4-8, S4-19, S4-20, S4-21, S4-22), and the generated
// code against the definition.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import {
  type DescField,
  type DescFile,
  type DescMessage,
  type DescMethod,
  ScalarType,
} from '@bufbuild/protobuf';
import { file_joblet_audit } from '../src/gen/joblet/audit_pb.ts';
import { file_joblet_jobs } from '../src/gen/joblet/jobs_pb.ts';
import { file_joblet_legacy } from '../src/gen/joblet/legacy_pb.ts';
import { file_joblet_monitoring } from '../src/gen/joblet/monitoring_pb.ts';
import { file_joblet_networks } from '../src/gen/joblet/networks_pb.ts';
import { file_joblet_persist_persist } from '../src/gen/joblet/persist/persist_pb.ts';
import { file_joblet_runtimes } from '../src/gen/joblet/runtimes_pb.ts';
import { file_joblet_volumes } from '../src/gen/joblet/volumes_pb.ts';
import { publishedMessages, publishedServices } from './wire-contract.ts';

const run = promisify(execFile);
const root = path.resolve(import.meta.dirname, '..');

/** Numbers from here on are ours to give. */
const FIRST_EXTENSION = 100;

const files = new Set<DescFile>();
function add(file: DescFile): void {
  files.add(file);
  for (const other of file.dependencies) add(other);
}
for (const file of [
  file_joblet_audit,
  file_joblet_jobs,
  file_joblet_legacy,
  file_joblet_monitoring,
  file_joblet_networks,
  file_joblet_persist_persist,
  file_joblet_runtimes,
  file_joblet_volumes,
]) {
  add(file);
}
const messages = new Map<string, DescMessage>(
  [...files].flatMap((file) => file.messages.map((message) => [message.typeName, message])),
);

function typeOf(field: DescField): string {
  switch (field.fieldKind) {
    case 'scalar':
      return ScalarType[field.scalar].toLowerCase();
    case 'message':
      return field.message.name;
    case 'enum':
      return field.enum.name;
    case 'map':
      return `map<${ScalarType[field.mapKey].toLowerCase()}, ${mapValueOf(field)}>`;
    case 'list':
      return `repeated ${listElementOf(field)}`;
  }
}

function mapValueOf(field: DescField & { fieldKind: 'map' }): string {
  return field.mapKind === 'scalar'
    ? ScalarType[field.scalar].toLowerCase()
    : (field.message?.name ?? field.enum?.name ?? '');
}

function listElementOf(field: DescField & { fieldKind: 'list' }): string {
  return field.listKind === 'scalar'
    ? ScalarType[field.scalar].toLowerCase()
    : (field.message?.name ?? field.enum?.name ?? '');
}

function describeMethod(method: DescMethod): string {
  const many = method.methodKind === 'server_streaming' ? 'stream ' : '';
  return `${method.name}(${method.input.name}) ${many}${method.output.name}`;
}

test('every published message keeps its field numbers, types and names', () => {
  for (const [name, published] of Object.entries(publishedMessages)) {
    const message = messages.get(name);
    assert.ok(message, `${name} is missing`);
    const fields = message.fields
      .filter((field) => field.number < FIRST_EXTENSION)
      .map((field) => `${field.number} ${typeOf(field)} ${field.name}`);
    assert.deepEqual(fields, published === '' ? [] : published.split(/, (?=\d)/), name);
  }
});

test('every published method is there, with its request, its response and its way to stream', () => {
  const services = new Map(
    [...files].flatMap((file) => file.services).map((service) => [service.typeName, service]),
  );
  for (const [name, published] of Object.entries(publishedServices)) {
    const methods = services.get(name)?.methods.map(describeMethod) ?? [];
    const missing = published.filter((method) => !methods.includes(method));
    assert.deepEqual(missing, [], name);
  }
});

test('what is published and what is ours share no field number', () => {
  for (const name of Object.keys(publishedMessages)) {
    const published = (publishedMessages[name] ?? '').split(/, (?=\d)/).filter((text) => text);
    const ours = messages.get(name)?.fields.slice(published.length) ?? [];
    for (const field of ours) assert.ok(field.number >= FIRST_EXTENSION, `${name}.${field.name}`);
  }
});

test('the generated code is what the definition generates', async () => {
  const fresh = await mkdtemp(path.join(tmpdir(), 'joblet-gen-'));
  try {
    await run('node_modules/.bin/buf', ['generate', '-o', fresh], { cwd: root });
    const made = path.join(fresh, 'src/gen');
    const kept = path.join(root, 'src/gen');
    const names = async (directory: string) =>
      (await readdir(directory, { recursive: true })).filter((name) => name.endsWith('.ts')).sort();
    assert.deepEqual(await names(kept), await names(made), 'run npm run gen');
    for (const name of await names(made)) {
      const [a, b] = await Promise.all(
        [kept, made].map((directory) => readFile(path.join(directory, name), 'utf8')),
      );
      assert.equal(a === b, true, `${name} is stale; run npm run gen`);
    }
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
});

test('the definition passes its lint, and breaks no client of the committed baseline', async () => {
  await run('node_modules/.bin/buf', ['lint'], { cwd: root });
  await run('node_modules/.bin/buf', ['breaking', '--against', 'proto/baseline.binpb'], {
    cwd: root,
  });
});
