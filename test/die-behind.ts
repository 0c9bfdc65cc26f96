// Loaded ahead of a daemon (`NODE_OPTIONS=--import`). It dies the moment that a transaction is committed
// which records the audit action that stands in the file JOBLET_DIE_BEHIND, so that it does nothing of
// what was to follow. It takes the file along: the next daemon lives.

import { existsSync, readFileSync, rmSync } from 'node:fs';
import { StatementSync } from 'node:sqlite';

const file = process.env['JOBLET_DIE_BEHIND'] ?? '';

interface Statement {
  readonly sourceSQL: string;
  run(...values: unknown[]): unknown;
}

const statements = StatementSync.prototype as unknown as Statement;
const { run } = statements;
let written: unknown[] = [];

statements.run = function runOrDie(this: Statement, ...values: unknown[]): unknown {
  const answer = run.apply(this, values);
  written.push(...values);
  if (this.sourceSQL !== 'COMMIT') return answer;
  if (existsSync(file) && written.includes(readFileSync(file, 'utf8'))) {
    rmSync(file);
    process.kill(process.pid, 'SIGKILL');
  }
  written = [];
  return answer;
};
