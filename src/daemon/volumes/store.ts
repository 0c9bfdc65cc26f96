// The volumes table. A change and its record in the audit log are one transaction.

import type { Audit } from '../audit/audit.ts';
import type { Action, Actor } from '../audit/record.ts';
import type { Db } from '../store/db.ts';
import type { Volume, VolumeType } from './volume.ts';

export interface VolumeRow {
  readonly volume: Volume;
  /** False while it is being made or removed. */
  readonly isWhole: boolean;
}

export class VolumeStore {
  readonly #db: Db;
  readonly #audit: Pick<Audit, 'append'>;
  readonly #all;
  readonly #put;
  readonly #delete;

  constructor(db: Db, audit: Pick<Audit, 'append'>) {
    this.#db = db;
    this.#audit = audit;
    this.#all = db.prepare('SELECT name, type, bytes, created_at_ms, whole FROM volumes');
    this.#put = db.prepare(
      `INSERT INTO volumes (name, type, bytes, created_at_ms, whole) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes, whole = excluded.whole`,
    );
    this.#delete = db.prepare('DELETE FROM volumes WHERE name = ?');
  }

  all(): VolumeRow[] {
    return this.#all.all().map((row) => ({
      volume: {
        name: String(row['name']),
        type: String(row['type']) as VolumeType,
        bytes: Number(row['bytes']),
        createdAtMs: Number(row['created_at_ms']),
      },
      isWhole: row['whole'] === 1,
    }));
  }

  /** Notes a volume that is about to be made. Resolves when it is safe on the disk. */
  announce(volume: Volume): Promise<void> {
    return this.#write(() => this.#set(volume, false));
  }

  /** Records what somebody did to a volume, which is as it says now. Resolves when it is safe. */
  change(
    { volume, isWhole }: VolumeRow,
    action: Action,
    detail: string,
    atMs: number,
    who: Actor,
  ): Promise<void> {
    return this.#write(() => {
      this.#audit.append({
        atMs,
        action,
        who,
        result: 'ok',
        detail: `${volume.name} ${detail}`,
      });
      this.#set(volume, isWhole);
    });
  }

  /** Forgets a volume of which nothing is left. */
  forget(name: string): Promise<void> {
    return this.#write(() => this.#delete.run(name));
  }

  #set({ name, type, bytes, createdAtMs }: Volume, isWhole: boolean): void {
    this.#put.run(name, type, bytes, createdAtMs, isWhole ? 1 : 0);
  }

  async #write(body: () => void): Promise<void> {
    await this.#db.write(body);
    await this.#db.durable();
  }
}
