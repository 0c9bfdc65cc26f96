// rnx version: what this client is, and which daemon answers it.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { ServerVersion } from '../client/messages.ts';
import { getServerVersion } from '../client/methods.ts';
import { JobletError } from '../shared/errors.ts';
import { command } from './command.ts';
import { jsonText, visible } from './print.ts';
import type { Session } from './session.ts';

/** A version that takes longer to ask for is not worth the wait. */
const DEADLINE_MS = 2000;

interface Build {
  readonly version: string;
  readonly gitCommit: string;
  readonly gitTag: string;
  readonly buildDate: string;
}

/** Written in by the bundler; from the sources it is not there. */
declare const RNX_BUILD: Build | undefined;

function ownBuild(): Build {
  if (typeof RNX_BUILD !== 'undefined') return RNX_BUILD;
  const manifest = path.join(import.meta.dirname, '../../package.json');
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  return { version, gitCommit: '', gitTag: '', buildDate: '' };
}

function versionLine(name: string, version: string, commit: string): string {
  return `${name} ${visible(version)}${commit === '' ? '' : ` (${visible(commit).slice(0, 8)})`}\n`;
}

/** The line of `rnx --version`, which asks nobody. */
export function ownVersion(): string {
  const { version, gitCommit } = ownBuild();
  return versionLine('rnx', version, gitCommit);
}

export const version = command({
  usage: 'rnx version',
  summary: 'Shows the versions of rnx and of the daemon.',
  notes: ['rnx --version shows that of rnx alone and needs no daemon.'],
  examples: ['rnx version', 'rnx version --json'],
  flags: {},
  words: [0, 0],
  run: async (_values, _words, session) => {
    const server = await askServer(session);
    await session.out.write(session.json ? versionJson(server) : versionText(server));
    return 0;
  },
});

/** The daemon's answer, or why there is none. */
async function askServer(session: Session): Promise<ServerVersion | string> {
  try {
    const connection = await session.connect();
    return await connection.unary(
      getServerVersion,
      {},
      { deadlineMs: session.deadlineMs(DEADLINE_MS) },
    );
  } catch (error) {
    if (error instanceof JobletError) return error.message;
    throw error;
  }
}

function versionText(server: ServerVersion | string): string {
  const daemon =
    typeof server === 'string'
      ? `joblet unknown: ${visible(server)}\n`
      : versionLine('joblet', server.version, server.gitCommit);
  return `${ownVersion()}${daemon}`;
}

function versionJson(server: ServerVersion | string): string {
  const own = ownBuild();
  return jsonText({
    rnx: {
      version: own.version,
      git_commit: own.gitCommit,
      git_tag: own.gitTag,
      build_date: own.buildDate,
      // The name is that of the published format; the value is what rnx runs on.
      go_version: `node ${process.version}`,
      platform: `${process.platform}/${process.arch}`,
      proto_commit: own.gitCommit,
    },
    joblet:
      typeof server === 'string'
        ? { version: '', error: server }
        : {
            version: server.version,
            git_commit: server.gitCommit,
            git_tag: server.gitTag,
            build_date: server.buildDate,
            platform: server.platform,
          },
  });
}
