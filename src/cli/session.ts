// What a command has at hand: where to write, what the user prefers, and the daemon, connected to
// when it is first asked for.

import type { Connection } from '../client/connection.ts';
import { type Node, type NodeChoice, resolveNode } from '../client/nodes-file.ts';
import { parseDuration } from '../shared/units.ts';
import type { Environment, Output } from './output.ts';

export interface Session {
  readonly json: boolean;
  readonly env: Environment;
  readonly out: Output;
  readonly err: Output;
  readonly choice: NodeChoice;
  /** The node that the flags, the environment and the nodes file choose. */
  node(): Promise<Node>;
  /** A connection to it. */
  connect(): Promise<Connection>;
  /**
   * How long a call may take: what the command thinks, unless the user says otherwise. Undefined is
   * as long as the daemon is there.
   */
  deadlineMs(usual?: number): number | undefined;
}

/** Everything a command needs, made from the global flags. */
export function openSession(
  choice: NodeChoice,
  json: boolean,
  env: Environment,
  out: Output,
  err: Output,
): Session {
  const node = () => resolveNode(choice, env);
  return {
    json,
    env,
    out,
    err,
    choice,
    node,
    connect: async () => {
      const { connect, trustNoOthers } = await import('../client/connection.ts');
      trustNoOthers();
      return connect(await node(), { traceparent: traceOf(env) });
    },
    deadlineMs: (usual) => {
      const wanted = env['RNX_TIMEOUT'];
      return wanted === undefined || wanted === '' ? usual : parseDuration(wanted);
    },
  };
}

/** The span that whoever called us works in, as programs hand it on to programs; undefined for none. */
function traceOf({ TRACEPARENT: text = '' }: Environment): string | undefined {
  return /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(text) ? text : undefined;
}
