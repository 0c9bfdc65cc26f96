// rnx runtime install: a runtime comes to a node, from a registry, a pack or a folder.

import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Connection } from '../client/connection.ts';
import { installLocalRuntime, installNamedRuntime, uploadFiles } from '../client/methods.ts';
import type { RuntimeInstallationChunk } from '../client/tree-messages.ts';
import type { Message } from '../client/wire.ts';
import { JobletError } from '../shared/errors.ts';
import { command } from './command.ts';
import type { Output } from './output.ts';
import { jsonText, visible } from './print.ts';
import { progressBar, showProgress } from './progress.ts';
import { archiveOf } from './runtime-archive.ts';
import { sizeWord } from './runtime-text.ts';
import { sendAhead } from './send-uploads.ts';
import type { Session } from './session.ts';

type Chunk = Message<typeof RuntimeInstallationChunk>;

/** Names of runtimes hold no slash. */
const FOLDER = /[/\\]|^\.{1,2}$/;
const PACK = /\.(zip|tar|tar\.zst|tar\.gz|tgz)$/i;

export const runtimeInstall = command({
  usage: 'rnx runtime install [flags] WHAT',
  summary: 'Installs a runtime on the node.',
  notes: [
    'WHAT is a name, with or without a version: python-3.11-ml, node-22@latest. The',
    'node gets it from a registry that has it, or builds it from the specification',
    'that came with it. Or WHAT is a pack (a file of rnx runtime pack), or a folder',
    'with a runtime.yml, written with a slash: ./mine. Packs have to be signed by a',
    'key that the node trusts; a folder is signed by the node. Versions stand side',
    'by side. Ctrl-C takes it back, and leaves nothing.',
  ],
  examples: [
    'rnx runtime install python-3.11-ml',
    'rnx runtime install --registry=https://example.com/runtimes/ openjdk-21@1.2.0',
    'rnx runtime install python-3.11-ml-1.0.0.tar.zst',
    'rnx runtime install --force ./my-runtime',
  ],
  flags: {
    force: {
      kind: 'switch',
      short: 'f',
      help: 'replace the same version, or be older than one there',
    },
    registry: {
      kind: 'text',
      value: 'ADDRESS',
      bare: '',
      help: 'https://..., file:///... or a path on the node',
    },
  },
  words: [1, 1],
  missing: 'which runtime? Say its name, or a pack or a folder: rnx runtime install WHAT',
  run: async ({ force, registry }, [what = ''], session) => {
    const connection = await session.connect();
    if (PACK.test(what))
      return install(await sendPack(what, connection, session), force, connection, session);
    if (FOLDER.test(what))
      return install(await sendFolder(what, connection, session), force, connection, session);
    const request = { runtimeSpec: what, registryUrl: registry, forceReinstall: force };
    return follow(connection.serverStream(installNamedRuntime, request), session);
  },
});

interface Sent {
  readonly uploadId: string;
  readonly isFolder: boolean;
}

async function sendPack(file: string, connection: Connection, session: Session): Promise<Sent> {
  if (!existsSync(file)) throw new JobletError('not-found', `there is no pack ${file}`);
  const source = { source: file, path: path.basename(file), mode: 0o600, isDirectory: false };
  const sizeBytes = statSync(file).size;
  await tellUpload(file, sizeBytes, session);
  const uploadId = await sendAhead(connection, [{ ...source, sizeBytes }], session.err);
  return { uploadId, isFolder: false };
}

async function sendFolder(folder: string, connection: Connection, session: Session): Promise<Sent> {
  const has = (name: string) => existsSync(path.join(folder, name));
  if (!has('runtime.yml')) {
    const message = has('runtime.yaml')
      ? `${folder} is the specification of a runtime; build it with rnx runtime build ${folder}`
      : `there is no file runtime.yml in ${folder}, so it is no runtime`;
    throw new JobletError('invalid', message);
  }
  const archive = archiveOf(folder);
  await tellUpload(folder, archive.sizeBytes, session);
  const parts = archive.parts(showProgress(session.err, archive.sizeBytes));
  return { uploadId: (await connection.clientStream(uploadFiles, parts)).uploadId, isFolder: true };
}

async function tellUpload(what: string, bytes: number, { err, json }: Session): Promise<void> {
  if (!json) await err.write(`Uploading ${visible(what)} (${sizeWord(bytes)})...\n`);
}

async function install(
  { uploadId, isFolder }: Sent,
  forceReinstall: boolean,
  connection: Connection,
  session: Session,
): Promise<number> {
  const request = { uploadId, isFolder, forceReinstall };
  return follow(connection.serverStream(installLocalRuntime, request), session);
}

/** Shows how an installation goes, and its end. */
async function follow(chunks: AsyncIterable<Chunk>, session: Session): Promise<number> {
  const { out, err, json } = session;
  const show = json ? () => {} : showSteps(err);
  for await (const { progress, log, result } of chunks) {
    if (progress !== undefined) await show(progress);
    if (log !== undefined && !json) await err.write(visibleLines(log.data));
    if (result === undefined) continue;
    if (!json && err.terminal) await err.write('\n');
    await out.write(json ? jsonText(resultJson(result)) : resultText(result));
  }
  return 0;
}

/** Lines of whoever builds it. */
function visibleLines(data: Uint8Array): string {
  const lines = Buffer.from(data).toString().split('\n');
  return lines
    .filter((line) => line !== '')
    .map((line) => `  ${visible(line)}\n`)
    .join('');
}

type Progress = NonNullable<Chunk['progress']>;

/** A bar that grows on a terminal; elsewhere a line for each step. */
function showSteps(err: Output): (progress: Progress) => Promise<void> | undefined {
  let shown = 0;
  return ({ step, totalSteps, message, done, total }) => {
    const head = `[${step}/${totalSteps}] ${visible(message)}`;
    const isNext = step !== shown;
    const isFirst = shown === 0;
    shown = step;
    if (!err.terminal) return isNext ? err.write(`${head}...\n`) : undefined;
    const bar = total > 0n ? ` ${progressBar(Number(done), Number(total))}` : '...';
    return err.write(`${isNext && !isFirst ? '\n' : '\r\u001b[K'}${head}${bar}`);
  };
}

type Result = NonNullable<Chunk['result']>;

function resultText({ message, runtimeSpec, sizeBytes, newBytes }: Result): string {
  const [size, fresh] = [sizeBytes, newBytes].map((bytes) => sizeWord(Number(bytes)));
  return `✓ ${visible(message)} (${size}, ${fresh} of them new on the disk)\n\nTo run a job in it:\n  rnx job run --runtime=${visible(runtimeSpec)} <command>\n`;
}

function resultJson({ success, message, runtimeSpec, installPath, sizeBytes, newBytes }: Result) {
  return {
    success,
    message,
    runtime: runtimeSpec,
    install_path: installPath,
    size_bytes: Number(sizeBytes),
    new_bytes: Number(newBytes),
  };
}
