// A network: a range of addresses, and who reaches whom in it.

import type { Cidr } from '../../shared/cidr.ts';
import type { Egress } from '../../shared/egress.ts';

/** `none` is no network: a job on it has its loopback and nothing else. */
export const NO_NETWORK = 'none';

/** The host's own, where the configuration lets admins use it: what the job reaches is not ours to rule. */
export const HOST_NETWORK = 'host';

/** Bytes a second: from what a packet now and then takes, to what no link of a host carries. */
export const MIN_BANDWIDTH = 1024;
export const MAX_BANDWIDTH = 128 * 1024 ** 3;

export interface Network {
  readonly name: string;
  /** From 1; the names of its interfaces come from it. */
  readonly number: number;
  readonly cidr: Cidr;
  /** Whether its jobs reach each other. */
  readonly peers: boolean;
  /** Made by the daemon itself, and never removed. */
  readonly isBuiltin: boolean;
  /** What its jobs together may send, and receive; 0 is no limit. */
  readonly bytesPerSecond: number;
  /** What its jobs may send beyond that. */
  readonly egress: Egress;
  readonly createdAtMs: number;
}

/** What a job has of its network. */
export interface Attachment {
  readonly jobId: string;
  readonly network: string;
  /** As a number. */
  readonly address: number;
  /** The host's end. */
  readonly interface: string;
  /** What it may send, besides what its network says. */
  readonly egress: Egress;
  /** Ports of the host that lead into it, as texts. */
  readonly publish: readonly string[];
}

/** What a job wants of its network. */
export interface TakeWish {
  readonly name: string;
  /** 0 is no limit but the network's. */
  readonly bytesPerSecond: number;
  readonly egress: Egress;
  /** Ports of the host that lead into it, as texts. */
  readonly publish: readonly string[];
}

/** What a launch plan says of a job's network. */
export interface JobNetwork {
  readonly key: string;
  /** Stands behind names without a dot; empty is nothing. */
  readonly name: string;
  readonly addresses: readonly string[];
  readonly nameServers: readonly string[];
}

/** A job of a network. */
export interface Member {
  readonly jobId: string;
  readonly addresses: readonly string[];
  readonly publish: readonly string[];
}
