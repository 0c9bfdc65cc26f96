// Tells targets of alerts. What is to be told stands in the database before anybody tries, so that it is
// told after a crash too; once it has been told, it is not again. A target that does not answer is tried
// less and less often, and what it was to be told is given up after a while.

import { messageOf } from '../../shared/errors.ts';
import type { Target } from '../alert-rules.ts';
import { type Clock, Due } from '../jobs/due.ts';
import { runHook } from '../linux/hook.ts';
import type { Log } from '../log.ts';
import type { Db } from '../store/db.ts';
import type { Alert, AlertStore, Notice, NoticeStatus, Turn } from './store.ts';
import { post } from './webhook.ts';

export interface OutboxParts {
  readonly db: Pick<Db, 'write'>;
  readonly store: AlertStore;
  readonly targets: readonly Target[];
  readonly nodeId: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** Notices that go together. */
const BATCH = 100;
/** Then a notice is given up: after about half an hour. */
const MAX_TRIES = 12;
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 10 * 60_000;
const TIMEOUT_MS = 10_000;
/** So long a daemon that stops waits for an answer. */
const STOP_MS = 2000;
/** Whom a command runs as that does not say. */
const NOBODY = 'nobody';

/** What a target is told of an alert. */
interface Told {
  /** The same whenever it is told again. */
  readonly id: string;
  readonly rule: string;
  readonly state: Turn | 'test';
  readonly subject: string;
  readonly job: string;
  readonly message: string;
  /** RFC 3339. */
  readonly time: string;
  readonly since: string;
}

export class Outbox {
  readonly #parts: OutboxParts;
  readonly #targets: ReadonlyMap<string, Target>;
  /** When a target that did not answer is tried again. */
  readonly #due: Due;
  readonly #resting = new Set<string>();
  /** Who is being told. */
  readonly #busy = new Map<string, Promise<void>>();
  #isStopping = false;
  readonly #stopped = new AbortController();

  constructor(parts: OutboxParts) {
    this.#parts = parts;
    this.#targets = new Map(parts.targets.map((target) => [target.name, target]));
    this.#due = new Due(parts.clock, (name) => {
      this.#resting.delete(name);
      this.wake(name);
    });
  }

  /** Tells whoever has not been told, also what an earlier daemon left. */
  async start(): Promise<void> {
    const { db, store, log } = this.#parts;
    for (const target of store.waitedFor()) {
      if (this.#targets.has(target)) continue;
      const why = 'it is no target any more';
      let count = 0;
      await db.write(() => {
        count = store.giveUp(target, why);
      });
      log.error('notices of alerts were given up', { target, count, why });
    }
    for (const name of this.#targets.keys()) this.wake(name);
  }

  /** Tells nobody more. What is under way may go on for a moment: broken off, it would be told again. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#due.stop();
    const timer = setTimeout(() => this.#stopped.abort(), STOP_MS);
    await Promise.all(this.#busy.values());
    clearTimeout(timer);
    this.#stopped.abort();
  }

  /** Something has been written for a target. */
  wake(name: string): void {
    const target = this.#targets.get(name);
    if (target === undefined || this.#busy.has(name) || this.#resting.has(name)) return;
    const telling = this.#tell(target)
      // What cannot be written down is tried again with the next alert, or by the next daemon.
      .catch((error: unknown) => {
        const why = messageOf(error);
        this.#parts.log.warn('notices of alerts are held up', { target: name, why });
      })
      .finally(() => this.#busy.delete(name));
    this.#busy.set(name, telling);
  }

  /** Tells a target something that is no alert. Rejects with why it could not. */
  async test(target: Target): Promise<void> {
    const time = new Date(this.#parts.clock.now()).toISOString();
    const message = 'this is a test; nothing is wrong';
    const told = { id: '', rule: '', subject: '', job: '', message, time, since: time };
    await this.#send(target, [{ ...told, state: 'test' }]);
  }

  async #tell(target: Target): Promise<void> {
    const { store, clock } = this.#parts;
    const { signal } = this.#stopped;
    for (;;) {
      const notices = store.waiting(target.name, BATCH);
      if (notices.length === 0 || this.#isStopping) return;
      const told = notices.map((notice) => toldOf(notice, store.find(notice.alertId)));
      const problem = await this.#send(target, told).then(() => '', messageOf);
      // Nobody knows what became of it: the next daemon tells it again.
      if (signal.aborted && problem !== '') return;
      const tries = Math.max(...notices.map((notice) => notice.tries));
      await this.#note(notices, problem);
      if (problem === '') continue;
      if (this.#isStopping) return;
      const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** tries);
      this.#resting.add(target.name);
      this.#due.add(target.name, clock.now() + waitMs);
      return;
    }
  }

  async #note(notices: readonly Notice[], problem: string): Promise<void> {
    const { db, store, log } = this.#parts;
    const after = notices.map((notice) => {
      const tries = notice.tries + 1;
      const failed: NoticeStatus = tries < MAX_TRIES ? 'WAITING' : 'GIVEN_UP';
      return { ...notice, tries, problem, status: problem === '' ? ('SENT' as const) : failed };
    });
    await db.write(() => {
      for (const notice of after) store.setNotice(notice);
    });
    const givenUp = after.filter(({ status }) => status === 'GIVEN_UP').length;
    const [{ target, tries } = { target: '', tries: 0 }] = after;
    if (givenUp > 0)
      log.error('notices of alerts were given up', { target, count: givenUp, why: problem });
    else if (problem !== '')
      log.warn('a notice could not be sent', { target, tries, why: problem });
  }

  #send(target: Target, notices: readonly Told[]): Promise<void> {
    const { webhook, headers = {}, ca = '', command, user = NOBODY } = target;
    const { timeout: timeoutMs = TIMEOUT_MS } = target;
    const body = JSON.stringify({ node: this.#parts.nodeId, notices });
    const { signal } = this.#stopped;
    if (webhook !== undefined) {
      return post({ url: webhook, headers, caFile: ca, body, timeoutMs }, signal);
    }
    const [program = '', ...args] = command ?? [];
    return runHook({ program, args, user, input: `${body}\n`, timeoutMs }, signal);
  }
}

function toldOf({ alertId, turn }: Notice, alert: Alert | undefined): Told {
  const isFired = turn === 'fired';
  const { rule = '', subject = '', jobId = '', firedAtMs = 0, resolvedAtMs = 0 } = alert ?? {};
  const since = new Date(firedAtMs).toISOString();
  return {
    id: `${alertId}-${turn}`,
    rule,
    state: turn,
    subject,
    job: jobId,
    message: (isFired ? alert?.reading : alert?.resolution) ?? '',
    time: isFired ? since : new Date(resolvedAtMs).toISOString(),
    since,
  };
}
