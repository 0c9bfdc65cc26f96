// Who the archive is written as. Keys stand in a file of their own or in the daemon's environment, in
// the words that every S3 program knows, and never in the configuration.

import { open } from 'node:fs/promises';
import { JobletError, messageOf } from '../../shared/errors.ts';
import type { Credentials } from './signature.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const MAX_FILE_BYTES = 64 * 1024;
const PROFILE = 'default';

/** Bits of a mode by which others than the owner read or write a file. */
const FOR_OTHERS = 0o077;

/**
 * Read anew each time, so that new keys count from then on. Without a file the environment's are taken.
 * @throws JobletError unavailable: the archive is not to be used without
 */
export async function readCredentials(
  file: string,
  environment: Environment,
): Promise<Credentials> {
  if (file !== '') return parseCredentials(await readSecretFile(file), file);
  const credentials = {
    accessKeyId: environment['AWS_ACCESS_KEY_ID'] ?? '',
    secretAccessKey: environment['AWS_SECRET_ACCESS_KEY'] ?? '',
    sessionToken: environment['AWS_SESSION_TOKEN'] ?? '',
  };
  return whole(
    credentials,
    'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment; name a file with archive.credentialsFile, or set both',
  );
}

/** The `[default]` section of a file, or a file without sections. @throws JobletError unavailable */
export function parseCredentials(text: string, file: string): Credentials {
  const found = new Map<string, string>();
  let profile = PROFILE;
  for (const line of text.split(/\r?\n/)) {
    const [, section] = /^\s*\[\s*([^\]]*?)\s*\]\s*$/.exec(line) ?? [];
    if (section !== undefined) profile = section;
    const at = line.indexOf('=');
    if (at < 0 || section !== undefined || profile !== PROFILE) continue;
    found.set(line.slice(0, at).trim(), line.slice(at + 1).trim());
  }
  const credentials = {
    accessKeyId: found.get('aws_access_key_id') ?? '',
    secretAccessKey: found.get('aws_secret_access_key') ?? '',
    sessionToken: found.get('aws_session_token') ?? '',
  };
  return whole(
    credentials,
    `aws_access_key_id and aws_secret_access_key below [default] in ${file}`,
  );
}

async function readSecretFile(file: string): Promise<string> {
  try {
    const handle = await open(file);
    try {
      const { mode, size } = await handle.stat();
      if ((mode & FOR_OTHERS) !== 0) throw new Error('others may read it; chmod 600 it');
      if (size > MAX_FILE_BYTES) throw new Error(`it is larger than ${MAX_FILE_BYTES} bytes`);
      return await handle.readFile('utf8');
    } finally {
      await handle.close();
    }
  } catch (cause) {
    const message = `the keys of the archive in ${file} cannot be used: ${messageOf(cause)}`;
    throw new JobletError('unavailable', message, { about: file, cause });
  }
}

/** What a header can carry, of a length that keys have. */
const SENDABLE = /^[\x21-\x7e]{1,4096}$/;

/** Says what is missing, and nothing of what is there. */
function whole(credentials: Credentials, where: string): Credentials {
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  const isWhole =
    [accessKeyId, secretAccessKey].every((word) => SENDABLE.test(word)) &&
    (sessionToken === '' || SENDABLE.test(sessionToken));
  if (isWhole) return credentials;
  throw new JobletError('unavailable', `the archive has no keys: there are no usable ${where}`);
}
