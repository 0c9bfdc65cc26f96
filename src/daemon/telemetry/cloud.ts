// In which cloud this host runs: by what its firmware says of the machine, and then by what the
// provider's own service says. Nobody waits for it, and a host of its own asks nobody.

import { request } from 'node:http';
import { type Firmware, readFirmware } from '../linux/firmware.ts';

export interface Cloud {
  /** Empty is none. */
  readonly provider: string;
  readonly region: string;
  readonly zone: string;
  readonly instanceId: string;
  readonly instanceType: string;
  /** What virtualises the machine; empty when nothing does, or it does not say. */
  readonly hypervisor: string;
}

/** Where a provider's service is. */
const SERVICE = { host: '169.254.169.254', port: 80 };

/** So long one question may take; the service is a hop away. */
const ANSWER_MS = 1000;
const ANSWER_BYTES = 64 * 1024;

type Ask = (
  method: 'GET' | 'PUT',
  at: string,
  headers: Readonly<Record<string, string>>,
) => Promise<string>;
type Found = Partial<Omit<Cloud, 'provider' | 'hypervisor'>>;

interface Provider {
  readonly name: string;
  /** In the words of the firmware. */
  readonly sign: RegExp;
  readonly ask: (ask: Ask) => Promise<Found>;
}

const providers: readonly Provider[] = [
  {
    name: 'AWS',
    sign: /amazon ec2|^ec2/im,
    ask: async (ask) => {
      const token = await ask('PUT', '/latest/api/token', {
        'X-aws-ec2-metadata-token-ttl-seconds': '60',
      });
      const said = parseObject(
        await ask('GET', '/latest/dynamic/instance-identity/document', {
          'X-aws-ec2-metadata-token': token,
        }),
      );
      return {
        region: said('region'),
        zone: said('availabilityZone'),
        instanceId: said('instanceId'),
        instanceType: said('instanceType'),
      };
    },
  },
  {
    name: 'GCP',
    sign: /google compute engine|^google$/im,
    ask: async (ask) => {
      const get = (at: string) =>
        ask('GET', `/computeMetadata/v1/instance/${at}`, { 'Metadata-Flavor': 'Google' });
      const [zone, instanceId, type] = await Promise.all([
        get('zone'),
        get('id'),
        get('machine-type'),
      ]);
      const name = lastPart(zone);
      return {
        zone: name,
        region: name.replace(/-[^-]*$/, ''),
        instanceId,
        instanceType: lastPart(type),
      };
    },
  },
  {
    name: 'Azure',
    sign: /7783-7084-3265-9085-8269-3286-77/,
    ask: async (ask) => {
      const said = parseObject(
        await ask('GET', '/metadata/instance/compute?api-version=2021-02-01', { Metadata: 'true' }),
      );
      return {
        region: said('location'),
        zone: said('zone'),
        instanceId: said('vmId'),
        instanceType: said('vmSize'),
      };
    },
  },
];

/** Finds out. Never rejects: what cannot be found out is empty. */
export function detectCloud(firmware = readFirmware(), service = SERVICE): Promise<Cloud> {
  return askedFor(firmware, (...question) => askService(service, ...question));
}

/** The same, whoever is asked. */
export async function askedFor({ words, isVirtual }: Firmware, ask: Ask): Promise<Cloud> {
  const text = words.join('\n');
  const hypervisor = isVirtual ? hypervisorOf(text) : '';
  const provider = providers.find(({ sign }) => sign.test(text));
  const nothing = { region: '', zone: '', instanceId: '', instanceType: '', hypervisor };
  if (provider === undefined) return { provider: '', ...nothing };
  const found = await provider.ask(ask).catch(() => ({}));
  const names = Object.entries(found).map(([key, text]) => [key, NAME.test(text) ? text : '']);
  return { provider: provider.name, ...nothing, ...Object.fromEntries(names) };
}

/** A page that says sorry is no name. */
const NAME = /^[\w.:/-]{1,128}$/;

const hypervisors: readonly (readonly [RegExp, string])[] = [
  [/qemu|kvm|amazon ec2|google/i, 'KVM'],
  [/xen/i, 'Xen'],
  [/vmware/i, 'VMware'],
  [/microsoft|virtual machine/i, 'Hyper-V'],
  [/virtualbox|innotek/i, 'VirtualBox'],
];

function hypervisorOf(firmware: string): string {
  return hypervisors.find(([sign]) => sign.test(firmware))?.[1] ?? 'unknown';
}

function askService(
  { host, port }: typeof SERVICE,
  method: string,
  at: string,
  headers: Readonly<Record<string, string>>,
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const signal = AbortSignal.timeout(ANSWER_MS);
  const question = request({ host, port, method, path: at, headers, signal }, (answer) => {
    let text = '';
    answer.setEncoding('utf8');
    answer.on('data', (chunk: string) => {
      text += chunk;
      if (text.length > ANSWER_BYTES) answer.destroy(new Error('the answer is too long'));
    });
    answer.on('error', reject);
    answer.on('end', () =>
      answer.statusCode === 200 ? resolve(text) : reject(new Error(`status ${answer.statusCode}`)),
    );
  });
  question.on('error', reject);
  question.end();
  return promise;
}

/** The texts of a JSON object, by their keys. */
function parseObject(text: string): (key: string) => string {
  const value: unknown = JSON.parse(text);
  const texts = new Map(Object.entries(typeof value === 'object' && value !== null ? value : {}));
  return (key) => {
    const found: unknown = texts.get(key);
    return typeof found === 'string' ? found : '';
  };
}

function lastPart(text: string): string {
  return text.slice(text.lastIndexOf('/') + 1);
}
