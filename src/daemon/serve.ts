// `joblet serve`: the daemon in the foreground, as a service manager runs it.

import { parseArgs } from 'node:util';
import { loadConfig } from './config.ts';
import { configCommand } from './config-command.ts';
import { createLog, formatNotice } from './log.ts';
import { startNode } from './node.ts';
import { endTracing } from './telemetry/tracing.ts';

const USAGE = `joblet serve runs the daemon in the foreground, until SIGTERM or SIGINT. Its jobs run on.

Usage:
  joblet [serve] [--config FILE]
  joblet [serve] [--config FILE] --validate   the same as joblet config check

Example:
  joblet serve --config /opt/joblet/config/joblet-config.yml
`;

/**
 * Runs until SIGTERM or SIGINT. Prints a line on standard output when it answers calls, and before that
 * one for the web port where there is one.
 */
export async function serveCommand(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      config: { type: 'string' },
      // How the original had its configuration checked.
      validate: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (values.validate) {
    return configCommand(['check', ...(values.config === undefined ? [] : [values.config])]);
  }
  const config = loadConfig(values.config, process.env);
  // The job's files and sockets are nobody else's business, whatever umask we were started with.
  process.umask(0o077);
  const log = createLog(config.logging);
  const signaled = Promise.withResolvers<string>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => signaled.resolve(signal));
  }
  const node = await startNode(config, log);
  process.on('SIGHUP', () => node.reload());
  const say = (text: string) =>
    process.stdout.write(`${formatNotice(text, config.logging.format)}\n`);
  if (node.webPort !== undefined) {
    say(`joblet serves the web on https://${config.web.address}:${node.webPort}`);
  }
  say(`joblet is listening on ${config.server.address}:${node.port}`);
  const signal = await signaled.promise;
  log.info('stopping; running jobs go on', { signal });
  await node.stop();
  // What is open to a collector that does not answer would keep this process.
  if (!(await endTracing())) process.exit(0);
  return 0;
}
