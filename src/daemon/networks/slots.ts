// Attached network namespaces of one network that wait for jobs: made ahead, with addresses and routes,
// so that a start only has to name one. One in which nothing was sent comes back and serves again.

import { address6, formatAddress } from '../../shared/cidr.ts';
import { JobletError } from '../../shared/errors.ts';
import type { AttachPort, AttachWish } from '../linux/launcher.ts';
import { Addresses } from './addresses.ts';
import type { Network } from './network.ts';
import { gatewaysOf } from './rules.ts';

/** So few that wait, and more are made; so many then; so many at most, with those that come back. */
const LOW = 4;
const READY = 8;
const KEPT = 32;

/** An address whose interface the kernel has not cleared away yet is passed over. */
const TRIES = 8;

/** How long an address rests: the kernel clears away what had it, and forgets its connections. */
const REST_MS = 2000;

export interface Slot {
  /** Names it in a launch plan, and is the name of its interface on the host. */
  readonly key: string;
  /** As a number. */
  readonly address: number;
  /** It has a speed of its own, and goes with its job. */
  readonly isOwn: boolean;
}

/** Why a job has no network. */
export class Unattached extends JobletError {
  readonly object: string;
  readonly errno: string;

  constructor(object: string, errno: string) {
    super('unavailable', `${object}: ${errno}`);
    this.object = object;
    this.errno = errno;
  }
}

/** Devices that all slots of a network share. */
type Limiters = Pick<AttachWish, 'sends' | 'receives'>;

export class Slots {
  readonly #network: Network;
  readonly #prefix6: string;
  readonly #port: AttachPort;
  readonly #nextInterface: () => string;
  readonly #limiters: Limiters;
  readonly #addresses: Addresses;
  readonly #waiting: Slot[] = [];
  readonly #resting = new Set<NodeJS.Timeout>();
  #rested = Promise.withResolvers<void>();
  #making = 0;
  #isClosed = false;

  constructor(
    network: Network,
    prefix6: string,
    port: AttachPort,
    nextInterface: () => string,
    limiters: Limiters | undefined,
  ) {
    this.#network = network;
    this.#prefix6 = prefix6;
    this.#port = port;
    this.#nextInterface = nextInterface;
    this.#limiters = limiters ?? { sends: '', receives: '' };
    this.#addresses = new Addresses(network.cidr, Math.random());
  }

  /** One for a job. Throws Unattached, or `exhausted` when no address is free. */
  async take(bytesPerSecond: number): Promise<Slot> {
    const waiting = bytesPerSecond > 0 ? undefined : this.#waiting.pop();
    const slot = waiting ?? (await this.#make(bytesPerSecond));
    this.fill();
    return slot;
  }

  /** Makes more where few wait. */
  fill(): void {
    if (this.#isClosed || this.#waiting.length + this.#making >= LOW) return;
    for (; this.#waiting.length + this.#making < READY; ) {
      this.#making += 1;
      void this.#make(0)
        .then((slot) => this.giveBack(slot))
        // The job that misses it says why.
        .catch(() => {})
        .finally(() => {
          this.#making -= 1;
        });
    }
  }

  /** Takes one back in which nothing was sent. */
  giveBack(slot: Slot): void {
    if (!this.#isClosed && !slot.isOwn && this.#waiting.length < KEPT) this.#waiting.push(slot);
    else this.drop(slot);
  }

  /** Drops one that no job has. */
  drop(slot: Slot): void {
    this.#port.detach(slot.key);
    this.rest(slot.address);
  }

  /** Marks the address of a job that an earlier daemon started. */
  retake(address: number): void {
    this.#addresses.retake(address);
  }

  /** Gives an address back for later. */
  rest(address: number): void {
    this.#port.forgetFlows('from', ...this.#textsOf(address));
    const timer = setTimeout(() => {
      this.#resting.delete(timer);
      this.#addresses.release(address);
      this.#rested.resolve();
      this.#rested = Promise.withResolvers();
    }, REST_MS).unref();
    this.#resting.add(timer);
  }

  /** Cuts off those outside who found an address by a port of the host. */
  cutOff(address: number): void {
    this.#port.forgetFlows('to', ...this.#textsOf(address));
  }

  /** The launcher died, and what waited is gone. */
  lose(): void {
    for (const { address } of this.#waiting.splice(0)) this.rest(address);
  }

  /** Drops what waits, and makes no more. */
  close(): void {
    this.#isClosed = true;
    for (const { key } of this.#waiting.splice(0)) this.#port.detach(key);
    for (const timer of this.#resting) clearTimeout(timer);
  }

  async #make(bytesPerSecond: number): Promise<Slot> {
    const { name, cidr } = this.#network;
    const [gateway = '', gateway6 = ''] = gatewaysOf(this.#prefix6, this.#network).map(
      ([, address]) => address,
    );
    let errno = '';
    for (let tries = 0; tries < TRIES; tries += 1) {
      const address = await this.#takeAddress();
      const [v4, v6] = this.#textsOf(address);
      const key = this.#nextInterface();
      const attached = await this.#port.attach({
        key,
        interface: key,
        address: v4,
        prefix: cidr.prefix,
        gateway,
        address6: v6,
        prefix6: 64,
        gateway6,
        bytesPerSecond,
        ...this.#limiters,
      });
      if (attached.ok) return { key, address, isOwn: bytesPerSecond > 0 };
      this.rest(address);
      errno = attached.errno;
      if (errno !== 'EEXIST') throw new Unattached(`${name}: ${attached.step}`, errno);
    }
    throw new Unattached(`${name}: interface`, errno);
  }

  async #takeAddress(): Promise<number> {
    for (;;) {
      try {
        return this.#addresses.take();
      } catch (error) {
        if (this.#resting.size === 0) throw error;
        await this.#rested.promise;
      }
    }
  }

  /** IPv6 is empty where the host has none. */
  #textsOf(address: number): [v4: string, v6: string] {
    const v6 = this.#prefix6 === '' ? '' : address6(this.#prefix6, this.#network.number, address);
    return [formatAddress(address), v6];
  }
}
