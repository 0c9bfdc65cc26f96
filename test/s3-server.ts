// A real S3 store, SeaweedFS, for one test file: in the network of the test's own host and with a /tmp
// of its own in memory, so that nothing of it meets anybody and nothing stays. Import own-host.ts first.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { sourceOf } from '../src/daemon/archive/objects.ts';
import { S3Connection } from '../src/daemon/archive/s3-connection.ts';
import { S3Objects } from '../src/daemon/archive/s3-objects.ts';

const WEED = path.join(import.meta.dirname, '../.tools/seaweedfs/bin/weed');
const PORT = 8333;

export const S3_KEYS = {
  accessKeyId: 'JOBLETTESTKEY',
  secretAccessKey: 'the-secret-key/of+the=tests',
  sessionToken: '',
};

/** Why there is no store, or false when there is one: the `skip` of a test. */
export function cannotStore(): string | false {
  if (process.getuid?.() !== 0) return 'the store gets a network of its own, which needs root';
  return existsSync(WEED) ? false : 'SeaweedFS is not in .tools; ./dev test fetches it';
}

export class S3Server {
  readonly endpoint = new URL(`http://127.0.0.1:${PORT}`);
  readonly bucket = 'archive';
  #child: ChildProcess | undefined;

  connection(keys = S3_KEYS): S3Connection {
    const { endpoint, bucket } = this;
    return new S3Connection({
      endpoint,
      bucket,
      region: 'us-east-1',
      ca: '',
      credentials: async () => keys,
    });
  }

  async start(): Promise<void> {
    const identity = {
      name: 'joblet',
      credentials: [{ accessKey: S3_KEYS.accessKeyId, secretKey: S3_KEYS.secretAccessKey }],
      actions: ['Admin', 'Read', 'Write', 'List'],
    };
    // The program is opened before /tmp is another one, in which it may lie.
    const script = `exec 9<${WEED} && mount -t tmpfs none /tmp && printf %s "$S3" >/tmp/s3.json && mkdir /tmp/data &&
      exec /proc/self/fd/9 server -dir=/tmp/data -ip=127.0.0.1 -ip.bind=127.0.0.1 -volume.max=8 \
        -volume.preStopSeconds=0 -master.volumeSizeLimitMB=256 -master.volumePreallocate=false -master.telemetry=false \
        -master.raftHashicorp -master.raftBootstrap -master.electionTimeout=200ms \
        -master.heartbeatInterval=50ms \
        -s3 -s3.config=/tmp/s3.json -s3.port=${PORT} -s3.port.iceberg=0 -s3.port.lance=0 -s3.iam=false`;
    const child = spawn('unshare', ['--mount', 'sh', '-c', script], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        PATH: process.env['PATH'] ?? '',
        S3: JSON.stringify({ identities: [identity] }),
      },
    });
    this.#child = child;
    const ready = Promise.withResolvers<void>();
    let said = '';
    const missing = new Set([/Start Seaweed S3 API Server/, /added volume server/]);
    createInterface(child.stderr).on('line', (line) => {
      said = `${said}${line}\n`.slice(-4096);
      for (const fact of missing) if (fact.test(line)) missing.delete(fact);
      if (missing.size === 0) ready.resolve();
    });
    child.once('close', (code) => ready.reject(new Error(`the store ended (${code}):\n${said}`)));
    await ready.promise;
    const signal = AbortSignal.timeout(30_000);
    await this.connection().text({ method: 'PUT', key: '', signal });
    await this.#takesObjects(signal);
  }

  /** Its volumes are made when the first object comes, which is refused as long as they are not known. */
  async #takesObjects(signal: AbortSignal): Promise<void> {
    const objects = new S3Objects(this.connection(), '');
    const isTaken = () =>
      objects.put('first', sourceOf(Buffer.from('x')), signal).then(
        () => true,
        () => false,
      );
    while (!(await isTaken())) signal.throwIfAborted();
    await objects.delete('first', signal);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const over = once(child, 'exit');
    child.kill('SIGKILL');
    await over;
  }
}
