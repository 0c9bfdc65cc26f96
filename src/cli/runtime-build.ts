// rnx runtime build: has the daemon build a runtime, and shows how far it is.

import { existsSync, realpathSync, statSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { BuildResult, BuildRuntimeRequest } from '../client/build-messages.ts';
import type { Connection } from '../client/connection.ts';
import { buildRuntime, validateRuntimeYaml } from '../client/methods.ts';
import type { Input, Message } from '../client/wire.ts';
import { JobletError, messageOf } from '../shared/errors.ts';
import { formatDuration } from '../shared/units.ts';
import { BuildProgress } from './build-progress.ts';
import { command, type Values } from './command.ts';
import { INTERRUPTED_EXIT_CODE } from './job-log.ts';
import { localReason } from './local-reason.ts';
import { jsonText, roughSize, visible } from './print.ts';
import {
  invalidText,
  readSpecification,
  SPECIFICATION,
  specificationAt,
} from './runtime-validate.ts';
import { sendAhead } from './send-uploads.ts';
import type { Session } from './session.ts';
import type { LocalFile } from './uploads.ts';

const DEADLINE_MS = 10_000;

const flags = {
  'dry-run': { kind: 'switch', help: 'say whether it can be built, and build nothing' },
  verbose: { kind: 'switch', short: 'v', help: 'show the output of every step' },
  force: { kind: 'switch', short: 'f', help: 'replace one of this name and version' },
  lock: { kind: 'text', value: 'FILE', help: 'take exactly the packages of an earlier build' },
  'write-lock': { kind: 'text', value: 'FILE', help: 'write down what packages it took' },
  repository: { kind: 'text', value: 'FOLDER', help: 'look for NAME there, not at the node' },
  path: { kind: 'text', value: 'FOLDER', help: 'and within it there' },
  branch: { kind: 'text', value: 'NAME' },
} as const;

type BuildValues = Values<typeof flags>;
type Request = Input<typeof BuildRuntimeRequest>;
type Result = Message<typeof BuildResult>;

export const runtimeBuild = command({
  usage: 'rnx runtime build [flags] FILE|NAME',
  summary: 'Builds a runtime on the node and installs it there.',
  notes: [
    'FILE is a specification (runtime.yaml) or its folder; NAME is one of those that',
    'came with the node. Ctrl-C ends the build, and nothing of it is left.',
  ],
  examples: ['rnx runtime build my-runtime/', 'rnx runtime build --dry-run python-3.11-ml'],
  flags,
  words: [1, 1],
  missing: 'what is to be built? Say rnx runtime build FILE, or the NAME of a specification',
  run: async (values, [word = ''], session) => {
    const stopped = new AbortController();
    process.once('SIGINT', () => stopped.abort(new Error('interrupted')));
    try {
      return await build(values, word, session, stopped.signal);
    } catch (error) {
      if (!stopped.signal.aborted) throw error;
      await session.err.write('\nCanceled: nothing of the build is left\n');
      return INTERRUPTED_EXIT_CODE;
    }
  },
});

async function build(
  values: BuildValues,
  word: string,
  session: Session,
  signal: AbortSignal,
): Promise<number> {
  const file = findFile(values, word);
  const connection = await session.connect();
  const source =
    file === undefined ? { specification: word } : await fromFile(file, connection, session);
  if (source === undefined) return 1;
  const request: Request = {
    ...source,
    dryRun: values['dry-run'],
    verbose: values.verbose,
    forceRebuild: values.force,
    lock: values.lock === undefined ? '' : await readLock(values.lock),
  };
  const progress = new BuildProgress(session);
  let result: Result | undefined;
  for await (const news of connection.serverStream(buildRuntime, request, { signal })) {
    if (news.phase !== undefined) await progress.phase(news.phase);
    if (news.log !== undefined) await progress.line(news.log);
    if (news.result !== undefined) result = news.result;
  }
  await progress.end();
  if (result === undefined)
    throw new JobletError('unavailable', 'the build ended without a result');
  await show(result, values['dry-run'], session);
  const lockFile = values['write-lock'];
  if (result.success && lockFile !== undefined && result.lock !== '') {
    await writeFile(lockFile, result.lock);
  }
  return result.success ? 0 : 1;
}

/** The specification on this side; undefined when the word is the name of one at the node. */
function findFile(
  { repository, branch, path: within }: BuildValues,
  word: string,
): string | undefined {
  if (branch !== undefined) {
    throw new JobletError(
      'unsupported',
      '--branch: rnx fetches no repositories; check the branch out, and say --repository=FOLDER',
    );
  }
  if (repository !== undefined) {
    const folders = [
      path.join(repository, within ?? '', word),
      path.join(repository, 'runtimes', word),
    ];
    const found = folders.find((folder) => existsSync(path.join(folder, SPECIFICATION)));
    if (found !== undefined) return specificationAt(found);
    throw new JobletError(
      'not-found',
      `--repository: there is no ${folders.map((folder) => path.join(folder, SPECIFICATION)).join(' and no ')}; it is a folder on this side, such as a checkout`,
    );
  }
  const file = specificationAt(word);
  return file !== word || existsSync(word) || /[/\\]|\.ya?ml$/.test(word) ? file : undefined;
}

/** The text of a specification, with what lies beside it sent ahead; undefined when it is not valid. */
async function fromFile(
  file: string,
  connection: Connection,
  session: Session,
): Promise<Request | undefined> {
  const yamlContent = await readSpecification(file);
  const checked = await connection.unary(
    validateRuntimeYaml,
    { yamlContent, fileName: file },
    { deadlineMs: session.deadlineMs(DEADLINE_MS) },
  );
  if (!checked.valid) {
    const { message, errors } = checked;
    await (session.json
      ? session.out.write(jsonText({ success: false, message, errors }))
      : session.err.write(invalidText(checked)));
    return undefined;
  }
  const names = checked.specInfo?.filesBeside ?? [];
  const files = names.map((name) => localFile(path.dirname(file), name));
  const uploadId = files.length === 0 ? '' : await sendAhead(connection, files, session.err);
  return { yamlContent, fileName: file, uploadId };
}

function localFile(folder: string, name: string): LocalFile {
  const source = path.join(folder, name);
  let size: number;
  let place: string;
  try {
    ({ size } = statSync(source));
    place = path.relative(realpathSync(folder), realpathSync(source));
  } catch (error) {
    const message = `the specification names ${name}, and it cannot be read: ${messageOf(error)}`;
    throw new JobletError('not-found', message);
  }
  // Whoever wrote the specification may have made the link, and be nobody to read what it leads to.
  if (place.startsWith('..') || path.isAbsolute(place)) {
    const message = `the specification names ${name}, a link that leads out of its folder, to ${realpathSync(source)}; put a copy there`;
    throw new JobletError('invalid', message);
  }
  return { path: name, source, mode: 0, isDirectory: false, sizeBytes: size };
}

async function readLock(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new JobletError('not-found', `--lock: ${localReason(error)}`);
  }
}

async function show(result: Result, isDry: boolean, { out, err, json }: Session): Promise<void> {
  const { success, message, runtimeName: name, runtimeVersion: version, installPath } = result;
  if (json) {
    await out.write(
      jsonText({
        success,
        message,
        name,
        version,
        install_path: installPath,
        size_bytes: Number(result.sizeBytes),
        duration_ms: Number(result.buildDurationMs),
        job: result.buildJobUuid,
      }),
    );
    return;
  }
  const log = `  Log: rnx job log ${result.buildJobUuid}`;
  if (!success) {
    const text = message.split('\n').map(visible).join('\n  ');
    await err.write(`✗ ${text}\n${result.buildJobUuid === '' ? '' : `${log}\n`}`);
    return;
  }
  const lines = [`✓ ${visible(message)}`];
  if (!isDry) {
    lines.push(
      `  Location: ${visible(installPath)}`,
      `  Size: ${roughSize(Number(result.sizeBytes))}`,
      `  Duration: ${formatDuration(Math.round(Number(result.buildDurationMs) / 100) * 100)}`,
      log,
      `  Usage: rnx job run --runtime=${visible(name)} COMMAND`,
    );
  }
  await out.write(`${lines.join('\n')}\n`);
}
