// Where the keeper of a job listens, and how it proves that it is the one. Abstract sockets have no
// owner: once a keeper is gone, anybody on the host may bind its name. So a keeper is given a proof
// with its plan that only this node can make, and says it first on every connection.

import { createHmac, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export interface KeeperAddress {
  /** Name of the abstract socket. */
  readonly socket: string;
  readonly proof: string;
}

const SECRET_BYTES = 32;

/** Addresses by job id. The secret behind the proofs stays in the state directory. */
export function keeperAddresses(stateDirectory: string): (id: string) => KeeperAddress {
  const file = path.join(stateDirectory, 'keeper-secret');
  if (!existsSync(file))
    writeFileSync(file, randomBytes(SECRET_BYTES), { mode: 0o600, flag: 'wx' });
  const secret = readFileSync(file);
  return (id) => ({
    socket: `joblet/${id}`,
    proof: createHmac('sha256', secret).update(id).digest('hex'),
  });
}
