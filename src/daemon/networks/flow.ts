// A connection of a job, or a packet that was refused to it, as it is kept and shown.

export interface Flow {
  /** From 1, in the order in which they were told. */
  readonly number: number;
  readonly atMs: number;
  /** 0 is not yet. */
  readonly endedAtMs: number;
  readonly verdict: 'allowed' | 'refused';
  /** `out` where the job began it. */
  readonly way: 'out' | 'in';
  readonly protocol: string;
  /** Of the other end; empty where only a name was asked for. */
  readonly address: string;
  /** Of whoever did not begin it; 0 is none. */
  readonly port: number;
  /** That the job asked for and was told this address of, or of the job that has it; empty is neither. */
  readonly name: string;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/** Flows that are kept of a job; of what comes behind them there is the count. */
export const MAX_FLOWS = 1000;

/** By the numbers of IP. */
const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [1, 'icmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [58, 'icmp'],
  [132, 'sctp'],
]);

export function protocolName(number: number): string {
  return PROTOCOLS.get(number) ?? String(number);
}
