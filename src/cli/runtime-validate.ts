// rnx runtime validate: says whether a runtime can be built from a specification, or what a name means.

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { ValidateRuntimeYAMLResponse } from '../client/build-messages.ts';
import { validateRuntimeYaml } from '../client/methods.ts';
import type { Message } from '../client/wire.ts';
import { JobletError } from '../shared/errors.ts';
import { formatBytes } from '../shared/units.ts';
import { command } from './command.ts';
import { localReason } from './local-reason.ts';
import { jsonText, visible } from './print.ts';
import { validateName } from './runtime-name.ts';
import type { Session } from './session.ts';

const DEADLINE_MS = 10_000;

export const SPECIFICATION = 'runtime.yaml';
/** A message to the node holds no more, with what else is in it. */
const MAX_SPECIFICATION_BYTES = 1000 * 1024;

export const runtimeValidate = command({
  usage: 'rnx runtime validate FILE|NAME',
  summary: 'Says what is wrong with the specification of a runtime, or what a name means.',
  notes: ['FILE is a specification, or the folder of one that is called runtime.yaml.'],
  examples: ['rnx runtime validate runtimes/python-3.11-ml', 'rnx runtime validate java:21'],
  flags: {},
  words: [1, 1],
  missing: 'which specification? Say rnx runtime validate FILE',
  run: async (_values, [word = ''], session) => {
    const file = specificationAt(word);
    const isFile = existsSync(file) || /[/\\]|\.ya?ml$/i.test(word);
    return isFile ? validateFile(file, session) : validateName(word, session);
  },
});

/** The file of a specification that a word of the command line means. */
export function specificationAt(word: string): string {
  const inside = path.join(word, SPECIFICATION);
  return existsSync(inside) ? inside : word;
}

/** Its text. */
export async function readSpecification(file: string): Promise<string> {
  let text: Buffer;
  try {
    text = await readFile(file);
  } catch (error) {
    throw new JobletError('not-found', `the specification cannot be read: ${localReason(error)}`);
  }
  if (text.length <= MAX_SPECIFICATION_BYTES) return text.toString();
  const message = `the specification ${file} is larger than ${formatBytes(MAX_SPECIFICATION_BYTES)}; put what is long into files beside it`;
  throw new JobletError('invalid', message);
}

async function validateFile(file: string, session: Session): Promise<number> {
  const yamlContent = await readSpecification(file);
  const connection = await session.connect();
  const answer = await connection.unary(
    validateRuntimeYaml,
    { yamlContent, fileName: file },
    { deadlineMs: session.deadlineMs(DEADLINE_MS) },
  );
  const { valid, message, errors, warnings } = answer;
  if (session.json) {
    await session.out.write(jsonText({ valid, message, errors, warnings, spec: specJson(answer) }));
  } else if (valid) {
    await session.out.write(validText(answer));
  } else {
    await session.err.write(invalidText(answer));
  }
  return valid ? 0 : 1;
}

/** All that is wrong with a specification. */
export function invalidText({ message, errors }: Pick<Answer, 'message' | 'errors'>): string {
  const lines = errors.map((line) => `  ${visible(line)}\n`).join('');
  return `✗ ${visible(message)}\n${lines}`;
}

type Answer = Message<typeof ValidateRuntimeYAMLResponse>;

function specJson({ specInfo: spec }: Answer): object | undefined {
  if (spec === undefined) return undefined;
  return {
    name: spec.name,
    version: spec.version,
    description: spec.description,
    base: spec.base,
    language: spec.language,
    language_version: spec.languageVersion,
    platforms: spec.platforms,
    apt_packages: spec.aptPackages,
    pip_packages: spec.pipPackages,
    npm_packages: spec.npmPackages,
    has_hooks: spec.hasHooks,
    requires_gpu: spec.requiresGpu,
  };
}

/** What a specification says, in a few lines. */
export function validText({ message, warnings, specInfo: spec }: Answer): string {
  const packages = {
    apt: spec?.aptPackages ?? [],
    pip: spec?.pipPackages ?? [],
    npm: spec?.npmPackages ?? [],
  };
  const counts = Object.entries(packages)
    .filter(([, words]) => words.length > 0)
    .map(([kind, words]) => `${words.length} by ${kind}`);
  const lines = [
    `✓ ${message}`,
    `  Spec: ${spec?.name} ${spec?.version}, from ${spec?.base}`,
    `  Platform: ${spec?.platforms.join(', ')}`,
    `  Packages: ${counts.length === 0 ? 'none' : counts.join(', ')}`,
    ...Object.entries(packages)
      .filter(([, words]) => words.length > 0)
      .map(([kind, words]) => `    ${kind}: ${words.join(', ')}`),
    `  Warnings: ${warnings.length === 0 ? 'none' : ''}`.trimEnd(),
    ...warnings.map((line) => `    ${line}`),
  ];
  return lines.map((line) => `${visible(line)}\n`).join('');
}
