// The rows of networks, and of the addresses that jobs have.

import { formatCidr, parseCidr } from '../../shared/cidr.ts';
import { type Egress, OPEN } from '../../shared/egress.ts';
import type { Audit } from '../audit/audit.ts';
import type { Actor } from '../audit/record.ts';
import type { Db } from '../store/db.ts';
import type { Attachment, Network } from './network.ts';

export class NetworkStore {
  readonly #db: Db;
  readonly #audit: Audit;
  readonly #all;
  readonly #insert;
  readonly #delete;
  readonly #attachments;
  readonly #attach;
  readonly #detach;

  constructor(db: Db, audit: Audit) {
    this.#db = db;
    this.#audit = audit;
    this.#all = db.prepare('SELECT * FROM networks ORDER BY name');
    this.#insert = db.prepare('INSERT INTO networks VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
    this.#delete = db.prepare('DELETE FROM networks WHERE name = ?');
    this.#attachments = db.prepare('SELECT * FROM network_attachments');
    this.#attach = db.prepare(
      'INSERT OR REPLACE INTO network_attachments VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.#detach = db.prepare('DELETE FROM network_attachments WHERE job_id = ?');
  }

  networks(): Network[] {
    return this.#all.all().map((row) => {
      const cidr = parseCidr(String(row['cidr']));
      if (typeof cidr === 'string') throw new Error(`the state holds a bad network: ${cidr}`);
      return {
        name: String(row['name']),
        number: Number(row['number']),
        cidr,
        peers: row['peers'] === 1,
        isBuiltin: row['builtin'] === 1,
        bytesPerSecond: Number(row['bytes_per_second']),
        egress: egressOf(row['egress']),
        createdAtMs: Number(row['created_at_ms']),
      };
    });
  }

  /** Resolves when it would survive a power cut. */
  async add(network: Network, who?: Actor): Promise<void> {
    const { name, number, cidr, peers, isBuiltin, bytesPerSecond, egress, createdAtMs } = network;
    const detail = `${name} ${formatCidr(cidr)}`;
    await this.#db.write(() => {
      const atMs = createdAtMs;
      this.#audit.append({ atMs, action: 'network.created', who, result: 'ok', detail });
      this.#insert.run(
        ...[name, number, formatCidr(cidr), Number(peers), Number(isBuiltin)],
        ...[bytesPerSecond, createdAtMs, jsonOf(egress)],
      );
    });
    await this.#db.durable();
  }

  async remove(name: string, atMs: number, who: Actor): Promise<void> {
    await this.#db.write(() => {
      this.#audit.append({ atMs, action: 'network.removed', who, result: 'ok', detail: name });
      this.#delete.run(name);
    });
    await this.#db.durable();
  }

  attachments(): Attachment[] {
    return this.#attachments.all().map((row) => ({
      jobId: String(row['job_id']),
      network: String(row['network']),
      address: Number(row['address']),
      interface: String(row['interface']),
      egress: egressOf(row['egress']),
      publish: textsOf(row['published']),
    }));
  }

  /** A daemon that does not find it all the same takes no address twice: the kernel has its route. */
  attachSoon(attachment: Attachment): void {
    this.#db.writeSoon(() => this.#put(attachment));
  }

  /** Where rules hold for the job, or lead to it, the next daemon has to know of them whenever this one dies. */
  attach(attachment: Attachment): Promise<void> {
    return this.#db.write(() => {
      if (attachment.publish.length > 0) this.#opened(attachment);
      this.#put(attachment);
    });
  }

  /** Records other rules of a job. Resolves when they would survive a power cut. */
  async change(attachment: Attachment, detail: string, atMs: number, who: Actor): Promise<void> {
    const { jobId } = attachment;
    await this.#db.write(() => {
      this.#audit.append({ atMs, action: 'job.network', jobId, who, result: 'ok', detail });
      this.#put(attachment);
    });
    await this.#db.durable();
  }

  detach(jobId: string): void {
    this.#db.writeSoon(() => this.#detach.run(jobId));
  }

  #opened({ jobId, publish }: Attachment): void {
    const detail = `published ${publish.join(' ')}`;
    this.#audit.append({ atMs: Date.now(), action: 'job.network', jobId, result: 'ok', detail });
  }

  #put({ jobId, network, address, interface: end, egress, publish }: Attachment): void {
    const published = publish.length === 0 ? null : JSON.stringify(publish);
    this.#attach.run(jobId, network, address, end, jsonOf(egress), published);
  }
}

function egressOf(json: unknown): Egress {
  return typeof json === 'string' ? (JSON.parse(json) as Egress) : OPEN;
}

function textsOf(json: unknown): string[] {
  return typeof json === 'string' ? (JSON.parse(json) as string[]) : [];
}

function jsonOf(egress: Egress): string | null {
  return egress === OPEN ? null : JSON.stringify(egress);
}
