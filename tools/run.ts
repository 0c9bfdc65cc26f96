// `./dev run`: what a newcomer types first. A daemon, a real job, its log, and what to do next.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { down, up } from './daemon.ts';
import type { Home } from './home.ts';
import { ROOT } from './steps.ts';

const FIRST_JOB = ['--max-cpu=50', '--max-memory=64', '--upload=examples/hello.sh', './hello.sh'];

/** Leaves a running daemon; Ctrl-C on the way leaves nothing. */
export async function run(home: Home): Promise<number> {
  const interrupted = Promise.withResolvers<'interrupted'>();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => interrupted.resolve('interrupted'));
  }
  const began = begin(home);
  const how = await Promise.race([began, interrupted.promise]);
  if (how !== 'interrupted') return how;
  process.stderr.write('\ndev: interrupted; taking everything down\n');
  // What is half started has to be whole before it can be ended.
  await Promise.allSettled([began]);
  await down(home);
  return 130;
}

async function begin(home: Home): Promise<number> {
  const port = await up(home);
  process.stdout.write(`A daemon listens on 127.0.0.1:${port}. A first job:\n\n`);
  const rnx = spawn(path.join(ROOT, 'dist/rnx'), ['job', 'run', '--follow', ...FIRST_JOB], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, RNX_CONFIG: home.nodesFile },
  });
  const [code] = (await once(rnx, 'close')) as [number | null];
  if (code !== 0) return code ?? 1;
  const isDefault = home.directory === path.join(ROOT, '.joblet');
  const elsewhere = isDefault ? '' : ` (with JOBLET_HOME=${home.directory})`;
  process.stdout.write(`
The daemon goes on in the background. Now try${elsewhere}:

  ./dev rnx job run --wait python3 -c 'print(6 * 7)'
  ./dev rnx job list
  ./dev rnx --help
  ./dev down
`);
  return 0;
}
