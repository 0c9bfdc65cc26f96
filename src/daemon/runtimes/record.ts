// What the audit log has of the runtimes of a node: who let one come or go, and what came of it. It is
// recorded by whoever does the work, not by whoever tells the client of it, who may have gone.

import { JobletError, messageOf } from '../../shared/errors.ts';
import type { Audit } from '../audit/audit.ts';
import type { Action, Actor } from '../audit/record.ts';
import type { Installed } from './installs.ts';

export type RuntimeAudit = Pick<Audit, 'record'>;

/** Does what brings a runtime here. Where there is nothing of the name, nothing was done. */
export function recordInstall(
  audit: RuntimeAudit,
  asked: string,
  who: Actor,
  install: () => Promise<Installed>,
): Promise<Installed> {
  // What a record is about is all before the first colon, which a name has in one of its forms.
  const name = asked.replaceAll(':', '-') || 'unnamed';
  const about = { action: 'runtime.installed', asked: name, who } as const;
  return recorded(audit, about, install, ({ runtime, replaced, newer }) => {
    const notes = [
      replaced ? 'in the place of the tree that was there' : '',
      newer === '' ? '' : `older than ${newer}`,
    ];
    const told = notes.filter((note) => note !== '').join(', ');
    return told === '' ? runtime : `${runtime}: ${told}`;
  });
}

/** Does what takes a runtime away; answers the bytes freed. */
export function recordRemoval(
  audit: RuntimeAudit,
  runtime: string,
  who: Actor,
  remove: () => Promise<number>,
): Promise<number> {
  return recorded(audit, { action: 'runtime.removed', asked: runtime, who }, remove, () => runtime);
}

async function recorded<T>(
  audit: RuntimeAudit,
  { asked, ...about }: { readonly action: Action; readonly asked: string; readonly who: Actor },
  work: () => Promise<T>,
  detailOf: (result: T) => string,
): Promise<T> {
  let result: T;
  try {
    result = await work();
  } catch (error) {
    const isNowhere = error instanceof JobletError && error.kind === 'not-found';
    const detail = `${asked}: ${messageOf(error)}`;
    if (!isNowhere) await audit.record({ ...about, atMs: Date.now(), result: 'failed', detail });
    throw error;
  }
  await audit.record({ ...about, atMs: Date.now(), result: 'ok', detail: detailOf(result) });
  return result;
}
