// Errors of NVIDIA's cards, which their driver tells the kernel's log and nobody else: Xid messages,
// each with the place of its card on the bus.

import { closeSync, constants, openSync, readSync } from 'node:fs';

export interface Xid {
  /** Domain, bus and device: `0000:00:06`. */
  readonly bus: string;
  /** Since the kernel's start. */
  readonly atUs: number;
}

const KERNEL_LOG = '/dev/kmsg';
/** The kernel hands out no longer record. */
const RECORD_BYTES = 8192;
/** Errors that are remembered; a card with more of them is a broken one. */
const MAX_KEPT = 10_000;
/** Records that are read at once, more than the log of any kernel holds. */
const MAX_READ = 200_000;

export class XidLog {
  #fd: number | undefined;
  readonly #kept: Xid[] = [];
  readonly #buffer = Buffer.allocUnsafe(RECORD_BYTES);

  /** Where nobody may read the kernel's log, no error is known. */
  constructor() {
    try {
      this.#fd = openSync(KERNEL_LOG, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch {
      this.#fd = undefined;
    }
  }

  /** How many there were of a card since a time. */
  countSince(bus: string, sinceMs: number): number {
    this.#read();
    // The kernel's log counts from its start, as this clock does.
    const bootedAtMs = Date.now() - Number(process.hrtime.bigint() / 1_000_000n);
    const sinceUs = (sinceMs - bootedAtMs) * 1000;
    const device = deviceOf(bus);
    return this.#kept.filter((xid) => xid.bus === device && xid.atUs >= sinceUs).length;
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  /** Takes what has come since it was last read. */
  #read(): void {
    for (let records = 0; this.#fd !== undefined && records < MAX_READ; records += 1) {
      let length: number;
      try {
        length = readSync(this.#fd, this.#buffer);
      } catch (error) {
        // So many have come that the oldest are gone: it goes on behind them.
        if ((error as NodeJS.ErrnoException).code === 'EPIPE') continue;
        return;
      }
      if (length === 0) return;
      const xid = parseXid(this.#buffer.toString('latin1', 0, length));
      if (xid !== undefined && this.#kept.push(xid) > MAX_KEPT) this.#kept.shift();
    }
  }
}

const XID =
  /^\d{1,6},\d{1,20},(\d{1,20}),[^;]*;NVRM: Xid \((?:PCI:)?([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2})/i;

/** Reads a record of the kernel's log; undefined when it says anything else. */
export function parseXid(record: string): Xid | undefined {
  const [, atUs, bus] = XID.exec(record) ?? [];
  return bus === undefined ? undefined : { bus: deviceOf(bus), atUs: Number(atUs) };
}

/** Some write the domain with eight digits, and some the function of the device behind it. */
function deviceOf(bus: string): string {
  return bus
    .toLowerCase()
    .replace(/^0{4}(?=\w{4}:)/, '')
    .replace(/\.\d$/, '');
}
