// Certificates and revocations that count while the daemon runs: read anew when their files change, or
// when somebody asks for it. What is wrong with new ones is logged, and the old ones stay.

import { existsSync, type FSWatcher } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '../../shared/errors.ts';
import type { Audit } from '../audit/audit.ts';
import { type Config, loadConfig } from '../config.ts';
import { type Credentials, describeChange, readRevoked, watchFiles } from '../credentials.ts';
import type { Log } from '../log.ts';

type Listener = (credentials: Credentials) => void;

/** What the files say together. */
interface Said {
  readonly config: Config;
  readonly credentials: Credentials;
}

/**
 * Certificate and key may be files of their own, and no two files are replaced at once: what does not
 * fit together when one has changed gets so long to do so before it is called wrong.
 */
const SETTLE_MS = 500;

export class LiveCredentials {
  readonly #file: string;
  readonly #audit: Pick<Audit, 'recordSoon'>;
  readonly #log: Log;
  readonly #listeners: Listener[] = [];
  readonly #watchers: readonly FSWatcher[];
  #current: Said;
  #lastFailure = '';
  #settling: NodeJS.Timeout | undefined;

  constructor(config: Config, audit: Pick<Audit, 'recordSoon'>, log: Log) {
    this.#file = config.file;
    this.#audit = audit;
    this.#log = log;
    this.#current = { config, credentials: credentialsOf(config) };
    this.#watchers = watch(config, () => this.#changed());
  }

  get current(): Credentials {
    return this.#current.credentials;
  }

  /** Tells of those that count from now on. */
  onChange(listener: Listener): void {
    this.#listeners.push(listener);
  }

  /** Reads the configuration anew, and what is set about the daemon's log with it. */
  reload(): void {
    try {
      this.#take(this.#read());
    } catch (error) {
      this.#failed(messageOf(error));
    }
  }

  /** One of the files has changed. */
  #changed(): void {
    try {
      const said = this.#read();
      // Whoever writes a file is heard of several times.
      if (this.#lastFailure === '' && isDeepStrictEqual(said, this.#current)) this.#settled();
      else this.#take(said);
    } catch {
      this.#settling ??= setTimeout(() => this.reload(), SETTLE_MS).unref();
    }
  }

  #read(): Said {
    const config = loadConfig(this.#file, process.env);
    return { config, credentials: credentialsOf(config) };
  }

  #take(said: Said): void {
    const { config, credentials } = said;
    this.#log.change(config.logging);
    for (const listener of this.#listeners) listener(credentials);
    this.#log.info('the configuration was read again', { file: this.#file });
    const change = describeChange(this.current, credentials);
    if (change !== '') this.#record('ok', change);
    this.#current = said;
    this.#lastFailure = '';
    this.#settled();
  }

  #settled(): void {
    clearTimeout(this.#settling);
    this.#settling = undefined;
  }

  close(): void {
    this.#settled();
    for (const watcher of this.#watchers) watcher.close();
  }

  #failed(why: string): void {
    this.#settled();
    this.#log.error('the configuration could not be read again, so the old one holds', {
      file: this.#file,
      error: why,
    });
    if (why !== this.#lastFailure) this.#record('failed', why);
    this.#lastFailure = why;
  }

  #record(result: string, detail: string): void {
    this.#audit.recordSoon({ atMs: Date.now(), action: 'certificates.reload', result, detail });
  }
}

function credentialsOf({ security }: Config): Credentials {
  const { serverCert, serverKey, caCert, revokedFile } = security;
  return { serverCert, serverKey, caCert, revoked: readRevoked(revokedFile) };
}

/** Watches every file that the credentials may come from. */
function watch({ file, security }: Config, onChange: () => void): FSWatcher[] {
  const beside = ['server-cert.pem', 'server-key.pem', 'ca-cert.pem'].map((name) =>
    path.join(path.dirname(file), 'certs', name),
  );
  const files = Map.groupBy([file, security.revokedFile, ...beside], path.dirname);
  return [...files]
    .filter(([directory]) => existsSync(directory))
    .map(([directory, paths]) => {
      const names = paths.map((each) => path.basename(each));
      return watchFiles(directory, names, onChange);
    });
}
