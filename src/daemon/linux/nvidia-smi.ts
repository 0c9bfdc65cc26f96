// nvidia-smi, NVIDIA's own program that says how the cards of a host do: run for a moment, within a
// time, and read as the word of a stranger.

import { type ChildProcess, spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { JobletError } from '../../shared/errors.ts';
import { childOf, childrenOf, type Element, parseXml, textOf } from '../../shared/xml.ts';
import { lastWords } from './programs.ts';

/** Sixteen cards say some 500 kB. */
const MAX_BYTES = 16 * 1024 ** 2;

const env = { PATH: '/usr/bin:/bin', LC_ALL: 'C' };

/**
 * The program. A card that hangs holds it in the kernel, where no signal ends it: it is waited for no
 * longer then, and while it is there no other is started, as each would hang beside it.
 */
export class NvidiaSmi {
  readonly #program: string;
  /** A run that took too long, until all that it has started is gone. */
  #late: ChildProcess | undefined;

  constructor(program: string) {
    this.#program = program;
  }

  /** How all cards do now. @throws JobletError unavailable: it failed, or took longer */
  async cards(timeoutMs: number): Promise<CardState[]> {
    return parseCards(await this.#ask(['-q', '-x'], timeoutMs));
  }

  /** What the generations of the cards can do, by their ids; older programs cannot say it. */
  async capabilities(timeoutMs: number): Promise<ReadonlyMap<string, string>> {
    const query = ['--query-gpu=uuid,compute_cap', '--format=csv,noheader'];
    return parseCapabilities(await this.#ask(query, timeoutMs).catch(() => ''));
  }

  async #ask(args: readonly string[], timeoutMs: number): Promise<string> {
    try {
      if (this.#late !== undefined) throw new Error(`process ${this.#late.pid} hangs`);
      return await this.#run(args, timeoutMs);
    } catch (error) {
      throw new JobletError('unavailable', `${this.#program}: ${lastWords(error)}`, {
        cause: error,
      });
    }
  }

  #run(args: readonly string[], timeoutMs: number): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    // In a group of its own: where a script stands for the program, what it starts is ended with it.
    const child = spawn(this.#program, args, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env,
    });
    child.once('error', reject);
    const group = child.pid;
    if (group === undefined) return promise;
    const abandon = (message: string) => {
      reject(new Error(message));
      this.#late = child;
      end(child, group);
    };
    const timer = setTimeout(abandon, timeoutMs, `took longer than ${timeoutMs} ms`);
    const said = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        if (this.#late === child) return;
        said[name] += text;
        if (said[name].length > MAX_BYTES) abandon(`said more than ${MAX_BYTES} bytes`);
      });
    }
    child.once('close', (code, signal) => {
      if (this.#late === child) this.#late = undefined;
      if (code === 0) resolve(said.stdout);
      // Some of its errors are told where its answers are.
      else reject({ stderr: said.stderr || said.stdout, message: `ended with ${code ?? signal}` });
    });
    return promise.finally(() => clearTimeout(timer));
  }
}

/** Ends a run, and does not keep this process for what is left of it. */
function end(child: ChildProcess, group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
  child.unref();
  for (const pipe of [child.stdout, child.stderr]) if (pipe instanceof Socket) pipe.unref();
}

/** Reads lines of an id and a version. */
export function parseCapabilities(text: string): Map<string, string> {
  const found = text.matchAll(/^(GPU-[\w-]{1,64}), (\d{1,4}\.\d{1,4})$/gm);
  return new Map([...found].map(([, uuid = '', version = '']) => [uuid, version]));
}

/** A process that uses a card, numbered as the daemon's own are. */
export interface CardProcess {
  readonly pid: number;
  readonly memoryBytes: number;
}

/** A card at one moment. What it does not tell is 0 or empty. */
export interface CardState {
  readonly uuid: string;
  readonly name: string;
  readonly driverVersion: string;
  /** Parts of the card are cards of their own. */
  readonly isSplit: boolean;
  readonly utilization: number;
  readonly memoryUsed: number;
  readonly memoryTotal: number;
  readonly memoryFree: number;
  readonly encoderUtil: number;
  readonly decoderUtil: number;
  /** MHz. */
  readonly smClock: number;
  readonly memoryClock: number;
  /** Bytes a second. */
  readonly pcieRx: number;
  readonly pcieTx: number;
  /** Degrees Celsius. */
  readonly temperature: number;
  readonly temperatureMemory: number;
  /** Watts. */
  readonly powerDraw: number;
  readonly powerLimit: number;
  readonly fanSpeed: number;
  /** Since the driver was loaded. */
  readonly eccSingle: number;
  readonly eccDouble: number;
  readonly retiredPages: number;
  /** Bits of nvml.h. */
  readonly throttleReasons: number;
  readonly computeMode: string;
  readonly processes: readonly CardProcess[];
}

/** A card as a job that has it alone uses it. */
export interface GpuUsage extends Omit<CardState, 'isSplit' | 'processes'> {
  /** Its number on the node. */
  readonly index: number;
  /** What its generation can do, as `9.0`. */
  readonly computeCapability: string;
  /** Since the job's start. */
  readonly xidErrors: number;
  /** Those of the job. */
  readonly processesCount: number;
  readonly processesMemory: number;
}

const KB = 1024;
const MB = 1024 ** 2;
const MAX_TEXT_CHARS = 200;
const MAX_CARDS = 256;
const MAX_PROCESSES = 4096;

/** Names its schema, which nobody reads. */
const DOCTYPE = /^<!DOCTYPE nvidia_smi_log [^<>[\]]{0,200}>$/m;

/** Reads the answer of `nvidia-smi -q -x`. @throws JobletError unavailable */
export function parseCards(text: string): CardState[] {
  const log = parseXml(text.replace(DOCTYPE, ''));
  if (log.name !== 'nvidia_smi_log') {
    throw new JobletError('unavailable', 'the answer is not that of nvidia-smi -q -x');
  }
  const driverVersion = short(textOf(log, 'driver_version'));
  return childrenOf(log, 'gpu')
    .slice(0, MAX_CARDS)
    .map((gpu) => cardOf(gpu, driverVersion));
}

/** One that tells nothing any more. */
export function silentCard(uuid: string): CardState {
  return { ...cardOf({ name: 'gpu', children: [], text: '' }, ''), uuid };
}

function cardOf(gpu: Element, driverVersion: string): CardState {
  const text = (...names: readonly string[]) => textAt(gpu, names);
  const number = (...names: readonly string[]) => numberOf(text(...names));
  const whole = (...names: readonly string[]) => countOf(text(...names));
  const memory = (name: string) => whole('fb_memory_usage', name) * MB;
  const power = (...names: readonly string[]) =>
    firstNumber(
      ...['gpu_power_readings', 'power_readings'].flatMap((group) =>
        names.map((name) => text(group, name)),
      ),
    );
  return {
    uuid: short(text('uuid')),
    name: short(text('product_name')),
    driverVersion,
    isSplit: text('mig_mode', 'current_mig') === 'Enabled',
    utilization: number('utilization', 'gpu_util'),
    memoryUsed: memory('used'),
    memoryTotal: memory('total'),
    memoryFree: memory('free'),
    encoderUtil: number('utilization', 'encoder_util'),
    decoderUtil: number('utilization', 'decoder_util'),
    smClock: whole('clocks', 'sm_clock'),
    memoryClock: whole('clocks', 'mem_clock'),
    pcieRx: number('pci', 'rx_util') * KB,
    pcieTx: number('pci', 'tx_util') * KB,
    temperature: number('temperature', 'gpu_temp'),
    temperatureMemory: number('temperature', 'memory_temp'),
    powerDraw: power('average_power_draw', 'power_draw', 'instant_power_draw'),
    powerLimit: power('current_power_limit', 'enforced_power_limit', 'power_limit'),
    fanSpeed: number('fan_speed'),
    ...eccOf(gpu),
    retiredPages: retiredOf(gpu),
    throttleReasons: reasonsOf(gpu),
    computeMode: short(known(text('compute_mode'))),
    processes: processesOf(gpu),
  };
}

/** Errors of memories, by the names that they have with cards up to Volta and behind that. */
function eccOf(gpu: Element): Pick<CardState, 'eccSingle' | 'eccDouble'> {
  const counts = elementAt(gpu, ['ecc_errors', 'volatile'])?.children ?? [];
  const sum = (pattern: RegExp) =>
    counts
      .filter(({ name }) => pattern.test(name))
      .reduce((all, count) => all + countOf(textOf(count, 'total') || count.text), 0);
  return {
    eccSingle: sum(/^(single_bit|[sd]ram_correctable)$/),
    eccDouble: sum(/^(double_bit|[sd]ram_uncorrectable(_\w+)?)$/),
  };
}

/** Pages that are used no more; newer cards put other rows in their place and count those. */
function retiredOf(gpu: Element): number {
  return [
    ['retired_pages', 'multiple_single_bit_retirement', 'retired_count'],
    ['retired_pages', 'double_bit_retirement', 'retired_count'],
    ['remapped_rows', 'remapped_row_corr'],
    ['remapped_rows', 'remapped_row_unc'],
  ].reduce((sum, names) => sum + countOf(textAt(gpu, names)), 0);
}

const REASONS = [
  'gpu_idle',
  'applications_clocks_setting',
  'sw_power_cap',
  'hw_slowdown',
  'sync_boost',
  'sw_thermal_slowdown',
  'hw_thermal_slowdown',
  'hw_power_brake_slowdown',
  'display_clocks_setting',
] as const;

function reasonsOf(gpu: Element): number {
  return REASONS.reduce((bits, reason, at) => {
    const isActive = ['event', 'throttle'].some(
      (word) =>
        textAt(gpu, [`clocks_${word}_reasons`, `clocks_${word}_reason_${reason}`]) === 'Active',
    );
    return isActive ? bits | (1 << at) : bits;
  }, 0);
}

function processesOf(gpu: Element): CardProcess[] {
  const list = childrenOf(childOf(gpu, 'processes') ?? gpu, 'process_info');
  return list.slice(0, MAX_PROCESSES).map((process) => ({
    pid: countOf(textOf(process, 'pid')),
    memoryBytes: countOf(textOf(process, 'used_memory')) * MB,
  }));
}

function elementAt(element: Element, names: readonly string[]): Element | undefined {
  return names.reduce<Element | undefined>((at, name) => at && childOf(at, name), element);
}

function textAt(element: Element, names: readonly string[]): string {
  return elementAt(element, names)?.text.trim() ?? '';
}

/** `12.5 W`, `37 C`, `80 %`; 0 for what is no number, as `N/A`. */
function numberOf(text: string): number {
  return Number(/^\d{1,9}(?:\.\d{1,6})?(?![\d.])/.exec(text.trim())?.[0] ?? 0);
}

function countOf(text: string): number {
  return Math.round(numberOf(text));
}

/** The first of several that is a number. */
function firstNumber(...texts: readonly string[]): number {
  return numberOf(texts.find((text) => /^\d/.test(text)) ?? '');
}

function known(text: string): string {
  return /^(\[?N\/A\]?|Unknown.*)$/i.test(text) ? '' : text;
}

function short(text: string): string {
  return text.trim().slice(0, MAX_TEXT_CHARS);
}
