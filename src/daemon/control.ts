// What a command of the same host asks the daemon that runs there: a socket in its run directory, open
// to the daemon's own user alone. One JSON line is the question, one the answer.

import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import path from 'node:path';
import { type ErrorKind, JobletError, messageOf } from '../shared/errors.ts';

export interface Question {
  /** The database is copied into this new file. */
  readonly copyTo: string;
}

type Answer =
  | { readonly ok: true }
  | { readonly ok: false; readonly kind: ErrorKind; readonly message: string };

/** A question is a path and little more. */
const MAX_BYTES = 64 * 1024;

/** Answers questions until the function that it gives is called. */
export async function listenControl(
  runDirectory: string,
  ask: (question: Question) => Promise<void>,
): Promise<() => void> {
  const file = socketFile(runDirectory);
  // Of a daemon that was killed: whoever holds the state is the only one.
  rmSync(file, { force: true });
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    void answer(socket, ask);
  });
  server.listen({ path: file, readableAll: false, writableAll: false });
  await once(server, 'listening').catch((cause) => {
    const message = `no socket can be made in ${runDirectory} (run.directory): ${messageOf(cause)}`;
    throw new JobletError('unavailable', message, { about: file, cause });
  });
  return () => server.close();
}

/** Asks the daemon and throws what it says is wrong; false when none runs there. */
export async function askDaemon(runDirectory: string, question: Question): Promise<boolean> {
  const socket = await connectControl(runDirectory);
  if (socket === undefined) return false;
  socket.end(`${JSON.stringify(question)}\n`);
  const line = await readLine(socket);
  if (line === '') throw new JobletError('unavailable', 'the daemon ended before it was done');
  const said = JSON.parse(line) as Answer;
  if (!said.ok) throw new JobletError(said.kind, said.message);
  return true;
}

/** Whether a daemon runs there. */
export async function isDaemonThere(runDirectory: string): Promise<boolean> {
  const socket = await connectControl(runDirectory);
  socket?.destroy();
  return socket !== undefined;
}

function socketFile(runDirectory: string): string {
  return path.join(runDirectory, 'control.sock');
}

async function answer(socket: Socket, ask: (question: Question) => Promise<void>): Promise<void> {
  // Who asked may have gone.
  socket.on('error', () => {});
  let said: Answer = { ok: true };
  try {
    const line = await readLine(socket);
    // An empty one only wants to know whether anybody is here.
    if (line !== '') await ask(JSON.parse(line) as Question);
  } catch (error) {
    const kind = error instanceof JobletError ? error.kind : 'unavailable';
    said = { ok: false, kind, message: messageOf(error) };
  }
  socket.end(`${JSON.stringify(said)}\n`);
}

/** Undefined when nobody listens. */
async function connectControl(runDirectory: string): Promise<Socket | undefined> {
  const file = socketFile(runDirectory);
  const socket = createConnection({ path: file, allowHalfOpen: true });
  try {
    await once(socket, 'connect');
    return socket;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return undefined;
    const message = `the daemon cannot be asked by ${file}: ${messageOf(cause)}; run this as its user`;
    throw new JobletError('denied', message, { about: file, cause });
  }
}

async function readLine(socket: Socket): Promise<string> {
  let text = '';
  // The answer comes behind the question, so the socket is not done with it.
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (text.includes('\n')) break;
    if (text.length > MAX_BYTES) throw new JobletError('invalid', 'that is no question');
  }
  return text.split('\n')[0] ?? '';
}
