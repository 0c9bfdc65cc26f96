// How far a build is: a bar on a terminal, and lines for everybody else.

import type { BuildLogLine, BuildPhaseProgress } from '../client/build-messages.ts';
import type { Message } from '../client/wire.ts';
import { visible } from './print.ts';
import type { Session } from './session.ts';

const BAR_COLUMNS = 20;
const CLEAR_LINE = '\r\u001b[K';

type Phase = Message<typeof BuildPhaseProgress>;
type Line = Message<typeof BuildLogLine>;

/** The bar at a phase: `[##########          ]  7/14 Install base packages: 23 packages`. */
export function barOf({ phaseNumber, totalPhases, phaseName, message }: Phase): string {
  const done = Math.floor(((phaseNumber - 1) / Math.max(1, totalPhases)) * BAR_COLUMNS);
  const bar = '#'.repeat(Math.min(done, BAR_COLUMNS)).padEnd(BAR_COLUMNS);
  return `[${bar}] ${textOf({ phaseNumber, totalPhases, phaseName, message })}`;
}

function textOf({ phaseNumber, totalPhases, phaseName, message }: Phase): string {
  const number = String(phaseNumber).padStart(2);
  return `${number}/${totalPhases} ${visible(phaseName)}${message === '' ? '' : `: ${visible(message)}`}`;
}

export class BuildProgress {
  readonly #session: Session;
  #bar = '';

  constructor(session: Session) {
    this.#session = session;
  }

  async phase(phase: Phase): Promise<void> {
    const { json, err } = this.#session;
    if (json) return;
    if (!err.terminal) {
      await err.write(`${textOf(phase)}\n`);
      return;
    }
    this.#bar = barOf(phase).slice(0, (err.columns ?? 80) - 1);
    await err.write(`${CLEAR_LINE}${this.#bar}`);
  }

  /** A line of output: above the bar, where there is one. */
  async line({ level, message }: Line): Promise<void> {
    const { json, err } = this.#session;
    if (json) return;
    const mark = level === 'warn' ? 'warning: ' : '';
    const text = `  ${mark}${visible(message)}\n`;
    await err.write(this.#bar === '' ? text : `${CLEAR_LINE}${text}${this.#bar}`);
  }

  async end(): Promise<void> {
    if (this.#bar !== '') await this.#session.err.write(CLEAR_LINE);
  }
}
