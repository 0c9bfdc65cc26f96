// A workflow as the user names it: FILE, or FILE:NAME where the file holds several.

import { isUtf8 } from 'node:buffer';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { invalid, JobletError, type Problem } from '../shared/errors.ts';
import { MAX_FILE_BYTES, parseWorkflow } from '../shared/workflow-file.ts';
import type { Workflow, WorkflowJob } from '../shared/workflow-job.ts';
import { nameInJob } from '../shared/workflow-uploads.ts';
import { localReason } from './local-reason.ts';
import { visible } from './print.ts';
import type { Session } from './session.ts';

export interface WorkflowSource {
  readonly file: string;
  readonly text: string;
  /** What stands behind the last colon, if anything does. */
  readonly choice: string;
}

/** Reads the file that a word names. */
export function readSource(word: string): WorkflowSource {
  const [file, choice] = split(word);
  try {
    const { size } = statSync(file);
    if (size > MAX_FILE_BYTES) {
      throw new JobletError('invalid', `${file} is ${size} bytes of at most ${MAX_FILE_BYTES}`);
    }
    const bytes = readFileSync(file);
    if (!isUtf8(bytes)) {
      throw new JobletError('invalid', `${file} is no text in UTF-8; save it as that`);
    }
    return { file, choice, text: bytes.toString() };
  } catch (error) {
    if (error instanceof JobletError) throw error;
    const message = `the workflow ${file} cannot be read: ${localReason(error)}`;
    throw new JobletError('not-found', message, { cause: error });
  }
}

/** A file may have a colon in its name too. */
function split(word: string): [file: string, choice: string] {
  const at = word.lastIndexOf(':');
  if (at < 1 || existsSync(word)) return [word, ''];
  return [word.slice(0, at), word.slice(at + 1)];
}

/** Values of `--param NAME=VALUE`. */
export function parseParams(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf('=');
      if (at < 1) throw new JobletError('invalid', '--param: write it as NAME=VALUE');
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

/**
 * The workflow of a source, checked as far as that is possible here. Files whose names are among
 * `elsewhere` need not lie beside it.
 * @throws JobletError invalid with all problems
 */
export function readWorkflow(
  { file, text, choice }: WorkflowSource,
  params: Readonly<Record<string, string>>,
  elsewhere: ReadonlySet<string> = new Set(),
): Workflow {
  const workflow = parseWorkflow(text, file, { choice, params });
  const folder = path.dirname(file);
  const problems = workflow.jobs.flatMap((job) => missingFiles(workflow, job, folder, elsewhere));
  if (problems.length > 0) throw invalid(problems);
  return workflow;
}

/** Where a file that a workflow names lies: beside it, or where it says. */
export function sourceOf(written: string, folder: string): string {
  return path.resolve(folder, written);
}

function missingFiles(
  workflow: Workflow,
  job: WorkflowJob,
  folder: string,
  elsewhere: ReadonlySet<string>,
): Problem[] {
  const wanted = [
    ...job.files.map((written, index) => ({ written, index, word: 'files' })),
    ...job.directories.map((written, index) => ({ written, index, word: 'directories' })),
  ];
  return wanted.flatMap(({ written, index, word }) => {
    if (elsewhere.has(nameInJob(written))) return [];
    const found = statSync(sourceOf(written, folder), { throwIfNoEntry: false });
    const isThere = word === 'files' ? found?.isFile() : found?.isDirectory();
    if (isThere === true) return [];
    const what = word === 'files' ? 'file' : 'folder';
    const field = workflow.placeOf([...job.at, 'uploads', word, index], 'value');
    const message = `job '${job.name}': uploads - there is no ${what} ${written} below ${path.resolve(folder)}`;
    return [{ field, message }];
  });
}

/** Runs `body`; what is wrong with a workflow is told line by line. Resolves to the exit code. */
export async function tellingProblems(
  { err, json }: Session,
  body: () => Promise<number>,
): Promise<number> {
  try {
    return await body();
  } catch (error) {
    if (json || !(error instanceof JobletError)) throw error;
    const lines = linesOf(error).map(visible);
    if (lines.length < 2) throw error;
    await err.write(
      `Error: workflow validation failed\n${lines.map((line) => `  ${line}\n`).join('')}`,
    );
    return 1;
  }
}

/** Its problems, one in a line; those that a daemon has found stand in its message one behind the other. */
function linesOf({ kind, message, problems }: JobletError): readonly string[] {
  if (problems.length > 0 || kind !== 'invalid') {
    return problems.map((one) => (one.field === '' ? one.message : `${one.field}: ${one.message}`));
  }
  const [file] = /^[^:]+(?=:\d+:\d+: )/.exec(message) ?? [];
  if (file === undefined) return [message];
  // What a problem says may hold the sign too.
  const parts = message.split(`; ${file}:`);
  return parts.map((part, at) => (at === 0 ? part : `${file}:${part}`));
}

/** Tells what is allowed and may not be meant. */
export async function tellWarnings({ warnings }: Workflow, { err, json }: Session): Promise<void> {
  if (json) return;
  for (const { field, message } of warnings) {
    await err.write(`Warning: ${visible(`${field}: ${message}`)}\n`);
  }
}
