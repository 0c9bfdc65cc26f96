// The places that jobs have in networks: which address and interface each holds, and when another job may
// have them.

import { SocketAddress } from 'node:net';
import type { AttachPort } from '../linux/launcher.ts';
import type { Catalogue } from './catalogue.ts';
import type { Attachment, Network } from './network.ts';
import { interfacesOf, limitersOf } from './rules.ts';
import { type Slot, Slots } from './slots.ts';

/** The last four characters of an interface's name. */
const INTERFACES = 36 ** 4;

/** A job that holds a place in a network. */
interface Held {
  readonly attachment: Attachment;
  readonly slots: Slots;
}

/** What this launcher has given to a job. */
interface Lent {
  slot: Slot;
  readonly slots: Slots;
  readonly jobId: string;
  /** The job did not end in order: nothing of it is used again. */
  doomed: boolean;
  /** Somebody waits until it is given back. */
  returned: PromiseWithResolvers<void> | undefined;
}

export class Attachments {
  readonly #catalogue: Catalogue;
  readonly #port: AttachPort;
  readonly #slots = new Map<string, Slots>();
  readonly #held = new Map<string, Held>();
  readonly #lent = new Map<string, Lent>();
  #interface = Math.floor(Math.random() * INTERFACES);

  constructor(catalogue: Catalogue, port: AttachPort) {
    this.#catalogue = catalogue;
    this.#port = port;
  }

  all(): Attachment[] {
    return [...this.#held.values()].map(({ attachment }) => attachment);
  }

  /** Of a network. */
  in(name: string): Attachment[] {
    return this.all().filter(({ network }) => network === name);
  }

  find(jobId: string): Attachment | undefined {
    return this.#held.get(jobId)?.attachment;
  }

  has(jobId: string): boolean {
    return this.#held.has(jobId);
  }

  /** Of the job that has an address. */
  findByAddress(address: string): Attachment | undefined {
    const asked = comparable(address);
    for (const { attachment } of this.#held.values()) {
      if (this.addressesOf(attachment.jobId).some((own) => comparable(own) === asked)) {
        return attachment;
      }
    }
    return undefined;
  }

  /** The addresses of a job that is attached. */
  addressesOf(jobId: string): readonly string[] {
    const attachment = this.find(jobId);
    const network = attachment && this.#catalogue.find(attachment.network);
    if (attachment === undefined || network === undefined) return [];
    return this.#catalogue.addressesOf(network, attachment.address);
  }

  /** Makes places ahead. */
  fill(network: Network): void {
    this.#slotsOf(network).fill();
  }

  /** Gives a job a place. @throws Unattached, or `exhausted` when no address is free */
  async take(
    wish: Pick<Attachment, 'jobId' | 'egress' | 'publish'>,
    network: Network,
    bytesPerSecond: number,
  ): Promise<Attachment> {
    const slots = this.#slotsOf(network);
    const slot = await slots.take(bytesPerSecond);
    const { key, address } = slot;
    const { jobId } = wish;
    const attachment = { ...wish, network: network.name, address, interface: key };
    this.#held.set(jobId, { attachment, slots });
    this.#lent.set(key, { slot, slots, jobId, doomed: false, returned: undefined });
    return attachment;
  }

  /** The place of a job that an earlier daemon started. */
  retake(attachment: Attachment, network: Network): void {
    const slots = this.#slotsOf(network);
    slots.retake(attachment.address);
    this.#held.set(attachment.jobId, { attachment, slots });
  }

  change(attachment: Attachment): void {
    const held = this.#held.get(attachment.jobId);
    if (held !== undefined) this.#held.set(attachment.jobId, { ...held, attachment });
  }

  /**
   * Gives back what a job has. `inOrder` says that the launcher cleared up behind it; with `isOwn` no other
   * job is to have it.
   */
  release(jobId: string, inOrder: boolean, isOwn: boolean): void {
    const held = this.#held.get(jobId);
    if (held === undefined) return;
    this.#held.delete(jobId);
    const { interface: key, address } = held.attachment;
    const lent = this.#lent.get(key);
    if (lent !== undefined && isOwn) lent.slot = { ...lent.slot, isOwn };
    // What an earlier launcher gave is gone with the job; what this one gave it says itself.
    if (lent === undefined) held.slots.rest(address);
    else if (!inOrder) {
      lent.doomed = true;
      this.#port.detach(key);
    }
  }

  /** Cuts off those outside who found a job by a port of the host. */
  cutOff({ network, address }: Attachment): void {
    this.#slots.get(network)?.cutOff(address);
  }

  /** The launcher says what became of what a job had. Answers whose it was. */
  detached(key: string, unused: boolean): string | undefined {
    const lent = this.#lent.get(key);
    if (lent === undefined) return undefined;
    this.#lent.delete(key);
    lent.returned?.resolve();
    if (unused && !lent.doomed) lent.slots.giveBack(lent.slot);
    else if (unused) lent.slots.drop(lent.slot);
    else lent.slots.rest(lent.slot.address);
    return lent.jobId;
  }

  /** Resolves when a job that has ended has given back what it had: what it sent is known then. */
  async returned(jobId: string): Promise<void> {
    if (this.#held.has(jobId)) return;
    const lent = [...this.#lent.values()].find((each) => each.jobId === jobId);
    if (lent === undefined) return;
    lent.returned ??= Promise.withResolvers();
    await lent.returned.promise;
  }

  /** The launcher died: what waited is gone, and what jobs have goes with them. */
  launcherReplaced(): void {
    for (const slots of this.#slots.values()) slots.lose();
    for (const { slot, slots, jobId, returned } of this.#lent.values()) {
      if (!this.#held.has(jobId)) slots.rest(slot.address);
      returned?.resolve();
    }
    this.#lent.clear();
  }

  /** Makes no more places in a network that is gone. */
  close(name: string): void {
    this.#slots.get(name)?.close();
    this.#slots.delete(name);
  }

  stop(): void {
    for (const slots of this.#slots.values()) slots.close();
  }

  #slotsOf(network: Network): Slots {
    const known = this.#slots.get(network.name);
    if (known !== undefined) return known;
    const { id, prefix6 } = this.#catalogue;
    const nextInterface = () => {
      this.#interface = (this.#interface + 1) % INTERFACES;
      return `${interfacesOf(id, network)}${this.#interface.toString(36)}`;
    };
    const limiters = limitersOf(id, network);
    const slots = new Slots(network, prefix6, this.#port, nextInterface, limiters);
    this.#slots.set(network.name, slots);
    return slots;
  }
}

/** An address in the one spelling that it is compared by. */
function comparable(address: string): string {
  return new SocketAddress({ address, family: address.includes(':') ? 'ipv6' : 'ipv4' }).address;
}
