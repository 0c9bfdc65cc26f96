// rnx runtime list, info, test, remove and status: runtimes that are there.

import type { Connection } from '../client/connection.ts';
import {
  getJobStatus,
  getRuntimeInfo,
  listRegistries,
  listRuntimes,
  removeRuntime,
  testRuntime,
} from '../client/methods.ts';
import type { RuntimeDetail, RuntimeTested } from '../client/runtime-messages.ts';
import { JobletError } from '../shared/errors.ts';
import { splitRuntimeName } from '../shared/runtime-names.ts';
import { command } from './command.ts';
import { jsonText, localTime, visible } from './print.ts';
import { registriesJson, registriesText } from './registry-text.ts';
import { runtimeTable, runtimeText, sizeWord, testedText } from './runtime-text.ts';
import type { Session } from './session.ts';

const DEADLINE_MS = 30_000;

const JOB_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const which = 'say its name, with or without a version (rnx runtime list shows them)';

export const runtimeList = command({
  usage: 'rnx runtime list [flags]',
  summary: 'Lists the runtimes of the node, or what a registry has for it.',
  examples: ['rnx runtime list', 'rnx runtime list --wide', 'rnx runtime list --registry'],
  flags: {
    wide: { kind: 'switch', help: 'also what each has that no other one has' },
    registry: {
      kind: 'text',
      value: '[ADDRESS]',
      bare: '',
      help: 'what can be had there, or at the registries of the node',
    },
    // Of the first generation, which read its packages out of repositories.
    'github-repo': { kind: 'text', value: 'OWNER/NAME' },
  },
  words: [0, 0],
  run: async ({ wide, registry, 'github-repo': repository }, _words, session) => {
    if (repository !== undefined) {
      throw new JobletError(
        'invalid',
        '--github-repo: no repositories are read; say --registry=ADDRESS, where a registry.json lies',
      );
    }
    const connection = await session.connect();
    if (registry !== undefined) {
      const { out, json } = session;
      const found = await connection.unary(
        listRegistries,
        { registryUrl: registry },
        deadline(session),
      );
      await out.write(json ? jsonText(registriesJson(found)) : registriesText(found));
      return 0;
    }
    const listed = await connection.unary(listRuntimes, {}, deadline(session));
    const text = session.json
      ? jsonText(listed.runtimes.map(runtimeJson))
      : runtimeTable(listed, wide);
    await session.out.write(text);
    return 0;
  },
});

export const runtimeInfo = command({
  usage: 'rnx runtime info [flags] RUNTIME',
  summary: 'Shows a runtime: what it needs, and what comes with it.',
  examples: ['rnx runtime info python-3.11-ml', 'rnx runtime info --all java:21'],
  flags: { all: { kind: 'switch', help: 'also its variables, other names, tests and size' } },
  words: [1, 1],
  missing: `which runtime? ${which}`,
  run: async ({ all }, [name = ''], session) => {
    const runtime = await findRuntime(await session.connect(), name, session);
    const text = session.json ? jsonText(runtimeJson(runtime)) : runtimeText(runtime, all);
    await session.out.write(text);
    return 0;
  },
});

export const runtimeTest = command({
  usage: 'rnx runtime test RUNTIME',
  summary: 'Tests a runtime by running the tests that come with it, each as a job.',
  notes: ['It ends with 1 when one of them fails.'],
  examples: ['rnx runtime test python-3.11-ml'],
  flags: {},
  words: [1, 1],
  missing: `which runtime? ${which}`,
  run: async (_values, [name = ''], session) => {
    const connection = await session.connect();
    // As long as the tests take.
    const tested = await connection.unary(
      testRuntime,
      { runtime: name },
      { deadlineMs: session.deadlineMs() },
    );
    if (session.json) {
      await session.out.write(jsonText(testedJson(name, tested)));
    } else {
      const { language } = await findRuntime(connection, name, session);
      const to = tested.success ? session.out : session.err;
      await to.write(testedText(name, language, tested));
    }
    return tested.success ? 0 : 1;
  },
});

export const runtimeRemove = command({
  usage: 'rnx runtime remove RUNTIME[@VERSION]',
  summary: 'Removes a runtime that no job uses; without a version, all versions of it.',
  examples: ['rnx runtime remove python-3.11-ml@1.0.0', 'rnx runtime remove openjdk-21'],
  flags: {},
  words: [1, 1],
  missing: `which runtime? ${which}`,
  run: async (_values, [name = ''], session) => {
    const connection = await session.connect();
    if (!session.json) await session.out.write(`Removing runtime: ${visible(name)}\n`);
    const { success, message, freedSpaceBytes, removed } = await connection.unary(
      removeRuntime,
      { runtime: name },
      // As long as it takes to remove so many files.
      { deadlineMs: session.deadlineMs() },
    );
    const freed = Number(freedSpaceBytes);
    await session.out.write(
      session.json
        ? jsonText({ success, message, removed, freed_space_bytes: freed })
        : `✓ Runtime removed successfully\nMessage: ${visible(message)}\nFreed space: ${sizeWord(freed)}\n`,
    );
    return 0;
  },
});

export const runtimeStatus = command({
  usage: 'rnx runtime status [RUNTIME|JOB]',
  summary: 'Says of each runtime whether jobs can use it, or why not.',
  notes: [
    'It ends with 1 when one cannot be used. Of a job that installs or builds',
    'a runtime it says how far that has come.',
  ],
  examples: ['rnx runtime status', 'rnx runtime status python-3.11-ml'],
  flags: {},
  words: [0, 1],
  run: async (_values, [name], session) => {
    const connection = await session.connect();
    if (name !== undefined && JOB_ID.test(name)) return buildStatus(connection, name, session);
    const runtimes =
      name === undefined
        ? (await connection.unary(listRuntimes, {}, deadline(session))).runtimes
        : [await findRuntime(connection, name, session)];
    const text = session.json
      ? jsonText(runtimes.map(runtimeJson))
      : runtimes.map(statusLine).join('') || 'No runtimes are installed\n';
    await session.out.write(text);
    return runtimes.every(({ available }) => available) ? 0 : 1;
  },
});

/** How far a job has come that installs or builds a runtime. */
async function buildStatus(
  connection: Connection,
  uuid: string,
  session: Session,
): Promise<number> {
  const job = await connection.unary(getJobStatus, { uuid }, deadline(session));
  const { status, message, startTime, endTime, exitCode } = job;
  if (session.json) {
    await session.out.write(
      jsonText({
        build_job: job.uuid,
        status,
        message,
        start_time: startTime,
        end_time: endTime,
        exit_code: exitCode,
      }),
    );
  } else {
    const lines = [
      `Build Job: ${job.uuid}`,
      `Status: ${status}`,
      ...(message === '' ? [] : [`Message: ${message}`]),
      `Started: ${localTime(startTime)}`,
      `Ended: ${localTime(endTime)}`,
      ...(endTime === '' ? [] : [`Exit Code: ${exitCode}`]),
    ];
    await session.out.write(lines.map((line) => `${visible(line)}\n`).join(''));
  }
  return status === 'FAILED' ? 1 : 0;
}

function statusLine({ name, version, available, problem }: RuntimeDetail): string {
  const ref = version === '' ? name : `${name}@${version}`;
  return visible(available ? `✓ ${ref}: installed` : `✗ ${ref}: ${problem}`).concat('\n');
}

function deadline(session: Session): { readonly deadlineMs: number | undefined } {
  return { deadlineMs: session.deadlineMs(DEADLINE_MS) };
}

async function findRuntime(
  connection: Connection,
  name: string,
  session: Session,
): Promise<RuntimeDetail> {
  const answer = await connection.unary(getRuntimeInfo, { runtime: name }, deadline(session));
  if (answer.runtime !== undefined) return answer.runtime;
  const message = answer.message || `runtime not found: ${splitRuntimeName(name).name}`;
  throw new JobletError('not-found', message);
}

function runtimeJson(runtime: RuntimeDetail): object {
  const { name, version, requirements: needs, buildInfo: build } = runtime;
  return {
    id: version === '' ? name : `${name}@${version}`,
    name,
    version,
    type: runtime.type,
    language: runtime.language,
    language_version: runtime.languageVersion,
    description: runtime.description,
    size_bytes: Number(runtime.sizeBytes),
    size: sizeWord(Number(runtime.sizeBytes)),
    unique_bytes: Number(runtime.uniqueBytes),
    available: runtime.available,
    problem: runtime.problem,
    requirements: {
      min_memory_bytes: Number(needs?.minMemoryBytes ?? 0n),
      recommended_memory_bytes: Number(needs?.recommendedMemoryBytes ?? 0n),
      architectures: needs?.architectures ?? [],
      gpu: needs?.gpu ?? false,
    },
    packages: runtime.packages,
    libraries: runtime.libraries,
    environment: runtime.environment,
    aliases: runtime.aliases,
    tests: runtime.tests,
    warnings: runtime.warnings,
    original_yaml: runtime.originalYaml,
    ...(build && {
      build_info: {
        built_at: build.builtAt,
        built_with: build.builtWith,
        platform: build.platform,
      },
    }),
  };
}

function testedJson(runtime: string, { success, output, error, exitCode, tests }: RuntimeTested) {
  return {
    runtime,
    success,
    output,
    error,
    exit_code: exitCode,
    tests: tests.map(({ name, passed, problem, jobUuid, durationMs }) => ({
      name,
      passed,
      problem,
      job_uuid: jobUuid,
      duration_ms: Number(durationMs),
    })),
  };
}
