// Bundles rnx into dist/: the client as one file, its compiled form, and a launcher.
//
// Starting fast is a promise, and most of a start is Node compiling. So the bundle is run once here
// against a daemon of a few lines, as `rnx job run --wait` would, and what V8 compiled on the way is
// kept beside it. A cache that does not fit the Node it meets is ignored; rnx is only slower then.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { JobService } from '../src/gen/joblet/jobs_pb.ts';
import { type FakeAnswer, firstOf, startFake } from '../test/fake-daemon.ts';

const ROOT = path.join(import.meta.dirname, '..');
const DIST = path.join(ROOT, 'dist');
const BUNDLE = path.join(DIST, 'rnx-bundle.js');
const CACHE = path.join(DIST, 'rnx-bundle.cache');

/**
 * How Node is started. Not reading the CAs it ships with saves 10 ms, room for all young objects
 * saves the garbage collections of a process this short, one helper thread is all it has use for.
 */
const NODE_FLAGS = ['--use-openssl-ca', '--v8-pool-size=1', '--min-semi-space-size=16'];

/** Runs the bundle with its compiled form; the one thing that is compiled at every start. */
const startText = `'use strict';
if (Number.parseInt(process.versions.node, 10) < 24) {
  process.stderr.write(\`Error: rnx needs Node 24.15 or newer, and this is \${process.version}\\n\`);
  process.exit(1);
}
const { readFileSync } = require('node:fs');
const { Script } = require('node:vm');
const filename = \`\${__dirname}/rnx-bundle.js\`;
let cachedData;
try {
  cachedData = readFileSync(\`\${__dirname}/rnx-bundle.cache\`);
} catch {}
const script = new Script(readFileSync(filename, 'latin1'), { filename, cachedData });
script.runInThisContext()(require, __dirname);
`;

/** The same, for once: keeps what was compiled by the time it ends. */
const warmText = `${startText}
process.once('exit', () => {
  require('node:fs').writeFileSync(\`\${__dirname}/rnx-bundle.cache\`, script.createCachedData());
});
`;

const launcherText = `#!/bin/sh
# Starts rnx with the Node of this checkout, or else the one on the PATH.
self=$0
[ ! -L "$self" ] || self=$(readlink -f "$self")
case $self in
  */*) dir=\${self%/*} ;;
  *) dir=. ;;
esac
for node in "$dir"/../.tools/node_modules/node-linux-*/bin/node; do
  [ -x "$node" ] || node=node
  exec "$node" ${NODE_FLAGS.join(' ')} "$dir/rnx.cjs" "$@"
done
`;

const windowsText = `@node ${NODE_FLAGS.join(' ')} "%~dp0rnx.cjs" %*\r\n`;

function git(...args: string[]): string {
  const { status, stdout } = spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : '';
}

/** What one command in a hundred needs; each becomes a file of its own, to keep the bundle small. */
const apart: Readonly<Record<string, string>> = {
  yaml: 'rnx-yaml.cjs',
  './metrics-wire.ts': 'rnx-metrics.cjs',
};

const keepApart: Plugin = {
  name: 'keep-apart',
  setup: (build) => {
    build.onResolve({ filter: /^(?:yaml|\.\/metrics-wire\.ts)$/ }, ({ path: wanted, kind }) =>
      kind === 'entry-point' ? undefined : { path: `./${apart[wanted]}`, external: true },
    );
  },
};

const common: BuildOptions = {
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node24',
  minify: true,
  supported: { 'dynamic-import': false },
  // Node reads the file byte by byte, which is fastest and needs ASCII.
  charset: 'ascii',
  legalComments: 'none',
  mainFields: ['module', 'main'],
  logLevel: 'warning',
};

async function bundle(): Promise<void> {
  const manifest = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  const facts = {
    version: manifest.version,
    gitCommit: git('rev-parse', 'HEAD'),
    gitTag: git('tag', '--points-at', 'HEAD'),
    // The commit's date, so that the same source gives the same bundle.
    buildDate: git('log', '-1', '--format=%cI'),
  };
  await build({
    ...common,
    entryPoints: [path.join(ROOT, 'src/cli/main.ts')],
    outfile: BUNDLE,
    define: { RNX_BUILD: JSON.stringify(facts), 'import.meta.dirname': '__dirname' },
    banner: { js: '(function(require,__dirname){' },
    footer: { js: '})' },
    plugins: [keepApart],
  });
  for (const [entry, outfile] of [
    ['yaml', 'rnx-yaml.cjs'],
    [path.join(ROOT, 'src/cli/metrics-wire.ts'), 'rnx-metrics.cjs'],
  ] as const) {
    await build({ ...common, entryPoints: [entry], outfile: path.join(DIST, outfile) });
  }
}

const answerRun: FakeAnswer = async (call) => {
  await firstOf(call.requests);
  await call.answer({ jobUuid: '00000000-0000-4000-8000-000000000000', status: 'RUNNING' });
  call.finish();
};

const answerLogs: FakeAnswer = async (call) => {
  await call.answer({ payload: Buffer.from('hello\n'), stream: 'stdout', timeNs: 1n });
  call.finish();
};

const answerWait: FakeAnswer = async (call) => {
  await call.answer({ status: 'COMPLETED', reason: 'EXITED' });
  call.finish();
};

/** Runs the bundle once, and keeps what was compiled for it. */
async function warm(): Promise<void> {
  const { runJob, getJobLogs, waitJob } = JobService.method;
  const fake = await startFake([
    [runJob, answerRun],
    [getJobLogs, answerLogs],
    [waitJob, answerWait],
  ]);
  const { port, cert, key, ca } = fake.node;
  const nodesFile = path.join(DIST, 'warm.yml');
  const block = (pem: string) => `|\n${pem.trimEnd().replaceAll(/^/gm, '      ')}`;
  writeFileSync(
    nodesFile,
    `nodes:\n  default:\n    address: "127.0.0.1:${port}"\n    cert: ${block(cert)}\n    key: ${block(key)}\n    ca: ${block(ca)}\n`,
    { mode: 0o600 },
  );
  const start = path.join(DIST, 'warm.cjs');
  writeFileSync(start, warmText);
  const rnx = spawn(process.execPath, [...NODE_FLAGS, start, 'job', 'run', '--wait', 'true'], {
    env: { RNX_CONFIG: nodesFile },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [code] = await once(rnx, 'exit');
  rmSync(nodesFile);
  rmSync(start);
  await fake.close();
  if (code !== 0) throw new Error(`the bundle does not run: exit code ${code}`);
}

rmSync(CACHE, { force: true });
mkdirSync(DIST, { recursive: true });
await bundle();
writeFileSync(path.join(DIST, 'rnx.cjs'), startText);
writeFileSync(path.join(DIST, 'rnx'), launcherText);
chmodSync(path.join(DIST, 'rnx'), 0o755);
writeFileSync(path.join(DIST, 'rnx.cmd'), windowsText);
await warm();
