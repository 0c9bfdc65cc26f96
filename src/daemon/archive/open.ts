// The archive's store as the configuration describes it.

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { JobletError, messageOf } from '../../shared/errors.ts';
import type { Config } from '../config.ts';
import { type Environment, readCredentials } from './credentials.ts';
import { LocalObjects } from './local-objects.ts';
import type { ObjectStore } from './objects.ts';
import { S3Connection } from './s3-connection.ts';
import { S3Objects } from './s3-objects.ts';

/** Undefined without an archive. Looks at nothing yet: a store that is down holds up no start. */
export function openStore(
  archive: Config['archive'],
  environment: Environment,
): ObjectStore | undefined {
  const { type, directory, region, bucket, prefix, credentialsFile } = archive;
  if (type === 'none') return undefined;
  if (type === 'local') return new LocalObjects(directory);
  const connection = new S3Connection({
    endpoint: new URL(archive.endpoint || `https://s3.${region}.amazonaws.com`),
    bucket,
    region,
    ca: readAuthority(archive.ca),
    credentials: () => readCredentials(credentialsFile, environment),
  });
  return new S3Objects(connection, prefix);
}

function readAuthority(file: string): string {
  try {
    return file === '' ? '' : new X509Certificate(readFileSync(file)).toString();
  } catch (cause) {
    const message = `the certificate authority ${file} cannot be used (archive.ca): ${messageOf(cause)}`;
    throw new JobletError('invalid', message, { about: file, cause });
  }
}
