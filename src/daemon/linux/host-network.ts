// What networks need of the host: devices, routes, one table of rules, and that its kernel forwards
// packets. Done by the programs `ip` and `nft`, a few times in the life of a daemon, never for a job.

import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { JobletError, messageOf } from '../../shared/errors.ts';
import { readBootId } from './boot.ts';

const FORWARDING = {
  4: '/proc/sys/net/ipv4/ip_forward',
  6: '/proc/sys/net/ipv6/conf/all/forwarding',
} as const;
/** Whether the kernel counts the bytes of connections. */
const ACCOUNTING = '/proc/sys/net/netfilter/nf_conntrack_acct';
const CONF6 = '/proc/sys/net/ipv6/conf';

/** As for the link of a job (native/attach.c). */
const BURST_MS = 10;
const BURST_LEAST_BYTES = 4096;
const QUEUE_MS = 50;
const QUEUE_LEAST_BYTES = 32 * 1024;
const INT32_MAX = 2 ** 31 - 1;

/** Longest message of a program that is passed on. */
const MAX_WORDS_CHARS = 500;

/** What `ip` says of what is not there. */
const GONE =
  /^(ip failed \(\d+\): )?(RTNETLINK answers: No such (process|device)|Cannot find device .*|Command failed -:\d+)$/;

export interface HostDevice {
  readonly name: string;
  /** As `address/prefix`, IPv4. */
  readonly addresses: readonly string[];
}

export interface HostRanges {
  readonly devices: readonly HostDevice[];
  /** Destinations of IPv4 routes, as `address/prefix`, with the device they lead to or an empty word. */
  readonly routes: readonly { readonly to: string; readonly device: string }[];
}

export class HostNetwork {
  readonly #forwardingFile: string;

  /** `runDirectory` is where it is noted what was changed of the kernel's settings. */
  constructor(runDirectory: string) {
    this.#forwardingFile = path.join(runDirectory, 'forwarding');
  }

  /** Whether this host speaks IPv6 at all. */
  get hasIpv6(): boolean {
    return existsSync(FORWARDING[6]);
  }

  /** The families whose packets are forwarded only because of us. */
  get forwardedForUs(): ('ipv4' | 'ipv6')[] {
    const changed = this.#changed() ?? {};
    const families = [['ipv4', FORWARDING[4]] as const, ['ipv6', FORWARDING[6]] as const];
    return families.flatMap(([family, file]) => (file in changed ? [family] : []));
  }

  /** Where addresses and routes of this host lie. */
  async readRanges(): Promise<HostRanges> {
    const [devices, routes] = await Promise.all([
      runProgram('ip', ['-j', '-4', 'address']),
      runProgram('ip', ['-j', '-4', 'route', 'show', 'table', 'all']),
    ]);
    return {
      devices: (JSON.parse(devices || '[]') as RawDevice[]).map((device) => ({
        name: device.ifname ?? '',
        addresses: (device.addr_info ?? []).map(({ local, prefixlen }) => `${local}/${prefixlen}`),
      })),
      routes: (JSON.parse(routes || '[]') as RawRoute[])
        .filter(({ dst, type }) => dst !== undefined && dst !== 'default' && type !== 'broadcast')
        .map(({ dst = '', dev = '' }) => ({
          to: dst.includes('/') ? dst : `${dst}/32`,
          device: dev,
        })),
    };
  }

  /** Devices whose names begin like this. */
  devicesOf(prefix: string): string[] {
    // Not /sys: what it shows belongs to whoever mounted it.
    const lines = readFileSync('/proc/net/dev', 'utf8').split('\n');
    const names = lines.map((line) => line.split(':', 1)[0]?.trim() ?? '');
    return names.filter((name) => name.startsWith(prefix));
  }

  /** Commands of `ip`, one a line, each of which must succeed. */
  async changeLinks(lines: readonly string[]): Promise<void> {
    await runProgram('ip', ['-batch', '-'], `${lines.join('\n')}\n`);
  }

  /** The same of what is to go: all of it goes, and what was gone already is no failure. */
  async dropLinks(lines: readonly string[]): Promise<void> {
    try {
      await runProgram('ip', ['-force', '-batch', '-'], `${lines.join('\n')}\n`);
    } catch (error) {
      if (
        !messageOf(error)
          .split('\n')
          .every((line) => GONE.test(line))
      )
        throw error;
    }
  }

  /** Lets devices pass so many bytes a second, and brings them up. */
  async limit(
    devices: readonly { readonly name: string; readonly bytesPerSecond: number }[],
  ): Promise<void> {
    const queues = devices.map(({ name, bytesPerSecond }) => {
      const burst = Math.max(BURST_LEAST_BYTES, (bytesPerSecond * BURST_MS) / 1000);
      const waiting = Math.max(QUEUE_LEAST_BYTES, (bytesPerSecond * QUEUE_MS) / 1000) + burst;
      const [most, queued] = [burst, waiting].map((bytes) => Math.min(Math.ceil(bytes), INT32_MAX));
      return `qdisc replace dev ${name} root tbf rate ${bytesPerSecond * 8}bit burst ${most} limit ${queued}`;
    });
    await runProgram('tc', ['-batch', '-'], `${queues.join('\n')}\n`);
    await this.changeLinks(devices.map(({ name }) => `link set ${name} up`));
  }

  /** Rules for `nft`, all of them or none. */
  async changeRules(text: string): Promise<void> {
    await runProgram('nft', ['-f', '-'], text);
  }

  /** The rules of a table as the kernel has them. */
  readRules(table: string): Promise<string> {
    return runProgram('nft', ['-s', 'list', 'table', 'inet', table]);
  }

  /** Lets the kernel forward packets and count their bytes, and notes what was not so before. */
  forward(): void {
    const families = this.hasIpv6 ? ([4, 6] as const) : ([4] as const);
    const off = families.filter((family) => read(FORWARDING[family]) === '0');
    const settings: Record<string, string> = {};
    if (read(ACCOUNTING) === '0') settings[ACCOUNTING] = '0';
    if (off.includes(6)) {
      // A host that forwards no longer hears its own router, unless it is told to.
      for (const device of readdirSync(CONF6)) {
        const file = path.join(CONF6, device, 'accept_ra');
        if (device !== 'all' && read(file) === '1') settings[file] = '1';
      }
    }
    for (const family of off) settings[FORWARDING[family]] = '0';
    if (Object.keys(settings).length === 0) return;
    // What an earlier daemon changed stays noted.
    const all = { ...settings, ...this.#changed() };
    const changed: Changed = { bootId: readBootId(), settings: all };
    writeFileSync(this.#forwardingFile, JSON.stringify(changed), { mode: 0o600 });
    for (const file of Object.keys(settings)) {
      writeSetting(file, file.endsWith('accept_ra') ? '2' : '1');
    }
  }

  /** Lets what the host sends by its loopback out by an interface. It goes with the interface. */
  openLoopback(name: string): void {
    writeSetting(`/proc/sys/net/ipv4/conf/${name}/route_localnet`, '1');
  }

  /** Takes back what `forward` changed. */
  unforward(): void {
    const settings = this.#changed();
    if (settings === undefined) return;
    for (const [file, value] of Object.entries(settings)) {
      if (existsSync(file)) writeSetting(file, value);
    }
    rmSync(this.#forwardingFile);
  }

  /** What was changed in this boot. */
  #changed(): Changed['settings'] | undefined {
    if (!existsSync(this.#forwardingFile)) return undefined;
    const { bootId, settings } = JSON.parse(readFileSync(this.#forwardingFile, 'utf8')) as Changed;
    return bootId === readBootId() ? settings : undefined;
  }
}

/** What was changed of the kernel's settings, with what they were before. */
interface Changed {
  /** Another boot knows nothing of it. */
  readonly bootId: string;
  readonly settings: Readonly<Record<string, string>>;
}

interface RawDevice {
  readonly ifname?: string;
  readonly addr_info?: readonly { readonly local: string; readonly prefixlen: number }[];
}

interface RawRoute {
  readonly dst?: string;
  readonly dev?: string;
  readonly type?: string;
}

function read(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
}

function writeSetting(file: string, value: string): void {
  try {
    writeFileSync(file, value);
  } catch (cause) {
    throw new JobletError(
      'unsupported',
      `${file} cannot be set to ${value}, so jobs have no way out; set it by sysctl, or run jobs on the network none`,
      { cause },
    );
  }
}

/** What a program of the host prints. Throws with what it complained of. */
export async function runProgram(
  program: string,
  args: readonly string[],
  input = '',
): Promise<string> {
  const child = spawn(program, args, { stdio: 'pipe', env: { PATH: searchPath(), LC_ALL: 'C' } });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let output = '';
  let complaint = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  child.stdin.on('error', () => {});
  child.once('error', (cause: NodeJS.ErrnoException) =>
    reject(
      new JobletError(
        'unsupported',
        cause.code === 'ENOENT'
          ? `the program ${program} is not installed; install the package ${program === 'nft' ? 'nftables' : 'iproute2'}`
          : `${program} cannot be started: ${cause.message}`,
        { cause },
      ),
    ),
  );
  child.once('close', (code) => {
    if (code === 0) resolve(output);
    else {
      const words = complaint.trim().slice(0, MAX_WORDS_CHARS);
      const said = words === '' ? 'it said nothing' : words;
      reject(new JobletError('unavailable', `${program} failed (${code}): ${said}`));
    }
  });
  child.stdin.end(input);
  return promise;
}

function searchPath(): string {
  return `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`;
}
