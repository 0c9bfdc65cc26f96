// The links to the keepers of jobs: by them a running job is stopped, fed and given more time.

import { JobletError } from '../../shared/errors.ts';
import { KeeperLink } from '../linux/keeper.ts';
import type { KeeperAddress } from '../linux/keeper-address.ts';
import type { Active } from './active.ts';

/** Streams that feed one job at a time: a keeper serves few, and is to hear a stop as well. */
const MAX_INPUTS = 4;

export interface KeepersParts {
  /** Where the keeper of a job listens. */
  readonly addressOf: (id: string) => KeeperAddress;
}

export class Keepers {
  readonly #addressOf: KeepersParts['addressOf'];

  constructor({ addressOf }: KeepersParts) {
    this.#addressOf = addressOf;
  }

  /** A connection of the caller's own, who closes it; undefined when no keeper listens. */
  connect(id: string): Promise<KeeperLink | undefined> {
    return KeeperLink.connect(this.#addressOf(id));
  }

  /** The connection to a job's keeper, one for all that is asked of it; undefined when there is none. */
  linkOf(active: Active): Promise<KeeperLink | undefined> {
    if (active.link !== undefined) return active.link;
    const link = this.connect(active.job.id);
    active.link = link;
    void link.then(async (found) => {
      await found?.ended;
      found?.close();
      // One that was cut off before the end is made anew by whoever needs it next.
      if (active.link === link) active.link = undefined;
    });
    return link;
  }

  /** Without a keeper its end is on the way by the launcher. */
  async stop(active: Active, graceMs: number): Promise<void> {
    (await this.linkOf(active))?.stop(graceMs);
  }

  /** A connection that feeds a job, until the signal is aborted. */
  async feed(id: string, active: Active | undefined, signal: AbortSignal): Promise<KeeperLink> {
    const inputs = active?.inputs ?? new Set();
    if (inputs.size >= MAX_INPUTS) {
      throw new JobletError(
        'exhausted',
        `${MAX_INPUTS} calls write to the standard input of job ${id} already; one is enough`,
      );
    }
    inputs.add(signal);
    signal.addEventListener('abort', () => inputs.delete(signal), { once: true });
    const link = await this.connect(id);
    if (link === undefined) {
      inputs.delete(signal);
      throw new JobletError('wrong-state', `job is not running: ${id}`, { about: 'uuid' });
    }
    signal.addEventListener('abort', () => link.close(), { once: true });
    return link;
  }

  /** The keeper of an ended job stays while the log could not take the end: it need not any more. */
  async letGo(id: string): Promise<void> {
    const link = await this.connect(id);
    link?.seen();
    void link?.ended.then(() => link.close());
  }
}
