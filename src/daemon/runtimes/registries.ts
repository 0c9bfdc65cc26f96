// Where runtimes can be got from: registries, each a static folder with an index of signed packs.

import path from 'node:path';
import { JobletError } from '../../shared/errors.ts';
import { platformOf } from '../../shared/platform.ts';
import { digestOfLater } from './digest.ts';
import { download, type FetchOptions, fetchSmall, registryAddress } from './fetch.ts';
import type { Trust } from './manifest-guard.ts';
import {
  chooseEntry,
  INDEX_FILE,
  INDEX_SIGNATURE_FILE,
  MAX_INDEX_BYTES,
  type OfferedRuntime,
  offeredRuntimes,
  parseIndex,
  type RegistryEntry,
} from './registry-index.ts';
import { judgeSignature, MAX_SIGNATURE_BYTES, signatureProblem } from './signature.ts';

export interface RegistryParts {
  /** Addresses, in the order in which they are asked. */
  readonly addresses: readonly string[];
  readonly trust: Trust;
  /** A certificate authority for them, PEM; empty is none. */
  readonly ca: string;
  /** The biggest pack that is fetched. */
  readonly maxBytes: number;
}

/** A runtime that a registry has. */
export interface Offer extends RegistryEntry {
  readonly address: URL;
}

/** What a registry has. */
export interface Listing {
  /** Of its index. */
  readonly address: string;
  /** RFC 3339; empty when it does not say. */
  readonly updatedAt: string;
  readonly runtimes: readonly OfferedRuntime[];
}

export class Registries {
  readonly #parts: RegistryParts;

  constructor(parts: RegistryParts) {
    this.#parts = parts;
  }

  /**
   * What a registry offers under a name: the one that is named, or else the first that has it.
   * @throws JobletError not-found, denied for an index that nobody who is trusted has signed
   */
  async find(spec: string, registry: string, signal?: AbortSignal): Promise<Offer> {
    const addresses = registry === '' ? this.#parts.addresses : [registry];
    let last: JobletError | undefined;
    for (const address of addresses) {
      try {
        return await this.#ask(registryAddress(address), spec, signal);
      } catch (error) {
        if (!(error instanceof JobletError) || error.kind !== 'not-found') throw error;
        last = error;
      }
    }
    throw (
      last ??
      new JobletError(
        'not-found',
        `runtime not found: ${spec}; no registry is configured (runtime.registries)`,
      )
    );
  }

  /**
   * What a registry has: the one that is named, or else all that are configured.
   * @throws JobletError not-found where none is, denied for an index that nobody who is trusted has signed
   */
  async list(registry: string, signal?: AbortSignal): Promise<Listing[]> {
    const addresses = registry === '' ? this.#parts.addresses : [registry];
    if (addresses.length === 0) {
      const message =
        'no registry is configured (runtime.registries); name one: rnx runtime list --registry=ADDRESS';
      throw new JobletError('not-found', message, { about: 'registry_url' });
    }
    return await Promise.all(
      addresses.map(async (address) => {
        const { url, index } = await this.#read(registryAddress(address), signal);
        return {
          address: url.href,
          updatedAt: index.updatedAt,
          runtimes: offeredRuntimes(index),
        };
      }),
    );
  }

  /** Gets a pack into a folder; answers its file. It is what the index says, or it is not there. */
  async fetch(
    offer: Offer,
    folder: string,
    progress: (bytes: number, total: number) => void,
    signal?: AbortSignal,
  ): Promise<string> {
    const url = URL.parse(offer.url, offer.address);
    // A registry on the net has nothing to say about files of this host.
    if (url === null || (url.protocol !== 'https:' && url.protocol !== offer.address.protocol)) {
      throw new JobletError(
        'invalid',
        `the registry names ${offer.url}, which is no address of a pack`,
      );
    }
    const target = path.join(folder, 'pack');
    const { maxBytes, ca } = this.#parts;
    const most = offer.size === 0 ? maxBytes : Math.min(maxBytes, offer.size);
    const told = (bytes: number) => progress(bytes, offer.size);
    await download(url, { target, maxBytes: most, progress: told, ca, signal }).catch(unlessGone);
    const found = await digestOfLater(target);
    if (found === offer.sha256) return target;
    const message = `the pack of ${offer.name}@${offer.version} is not what the registry says: its checksum is sha256:${found}, not sha256:${offer.sha256}`;
    throw new JobletError('denied', message);
  }

  async #ask(address: URL, spec: string, signal: AbortSignal | undefined): Promise<Offer> {
    const platform = platformOf(process.arch);
    if (platform === undefined) {
      throw new JobletError('unsupported', `there are no runtimes for ${process.arch}`);
    }
    const { url, index } = await this.#read(address, signal);
    return { ...chooseEntry(index, spec, platform), address: url };
  }

  /** The index of a registry, signed as it has to be. */
  async #read(address: URL, signal: AbortSignal | undefined) {
    const options: FetchOptions = { ca: this.#parts.ca, signal };
    const url = address.pathname.endsWith('.json') ? address : new URL(INDEX_FILE, address);
    const text = await fetchSmall(url, MAX_INDEX_BYTES, options);
    if (text === undefined) {
      const message = `${address.href} is no registry: there is no ${INDEX_FILE}`;
      throw new JobletError('unavailable', message, { about: 'registry_url' });
    }
    await this.#requireSigned(url, text, options);
    return { url, index: parseIndex(text.toString()) };
  }

  async #requireSigned(index: URL, text: Buffer, options: FetchOptions): Promise<void> {
    const { keys, requireSignatures } = this.#parts.trust;
    const beside = new URL(INDEX_SIGNATURE_FILE, index);
    const signature = await fetchSmall(beside, MAX_SIGNATURE_BYTES, options);
    const verdict = judgeSignature(text, signature?.toString(), keys);
    const problem = signatureProblem(verdict);
    if (problem === undefined || (!requireSignatures && verdict.is !== 'wrong')) return;
    throw new JobletError('denied', `the index ${index.href} is refused: ${problem}`);
  }
}

/** What an index names and its registry lacks is a fault of the registry. */
function unlessGone(error: unknown): never {
  if (!(error instanceof JobletError) || error.kind !== 'not-found') throw error;
  throw new JobletError('unavailable', `${error.message}, though the registry names it`);
}
