// Answers jobs about names: at the gateway of each network, by UDP and TCP. Names of the network are its
// jobs'; whatever else is asked goes to the host's own resolvers, and comes back as they said it.

import { randomInt } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { connect, createServer, isIPv6, type Server, type Socket } from 'node:net';
import { messageOf } from '../../shared/errors.ts';
import type { Log } from '../log.ts';
import {
  type Answer,
  formatAnswer,
  formatError,
  formatQuery,
  NO_ERROR,
  NO_SUCH_NAME,
  parseAnswer,
  parseQuery,
  type Question,
  REFUSED,
  SERVER_FAILURE,
  TYPE_A,
  TYPE_AAAA,
  withId,
} from './dns-message.ts';

/** What a network knows of names. */
export interface Names {
  /** The network's own name, which stands behind the names of its jobs. */
  readonly domain: string;
  /** The addresses of the jobs of this name; empty when there is none. */
  addressesOf(name: string): readonly string[];
  /** Whether whoever asks from this address may know of a name of the world. */
  mayAsk(client: string, name: string): boolean;
  /** Whether he must not know of a job that has these names. */
  isDenied(client: string, names: readonly string[]): boolean;
  /**
   * What became known to whoever asked: of a job of the network where it is `own`, else as the world says
   * it. Resolves when he may go there.
   */
  learned(client: string, name: string, found: readonly Found[], own: boolean): Promise<void>;
}

export interface Found {
  readonly address: string;
  readonly ttlSeconds: number;
}

/** Jobs come and go. */
const OWN_TTL_SECONDS = 1;
const UPSTREAM_MS = 2000;
const MAX_MESSAGE_BYTES = 65_535;
/** Questions on their way to the host's resolvers, of all jobs and of one. */
const MAX_UNDER_WAY = 1024;
const MAX_UNDER_WAY_OF_JOB = 64;
const MAX_CONNECTIONS = 256;
const CONNECTION_MS = 10_000;
const DNS_PORT = 53;
/** What a resolver says that knows, also that there is nothing. */
const IS_ANSWERED: readonly number[] = [NO_ERROR, NO_SUCH_NAME];
const PORT_TRIES = 8;

export class Resolver {
  readonly #nameServers: () => readonly string[];
  readonly #log: Log;
  readonly #listeners = new Map<string, Listener>();
  readonly #underWay = new Map<string, number>();
  #allUnderWay = 0;

  /** `nameServers` are asked in their order. */
  constructor(nameServers: () => readonly string[], log: Log) {
    this.#nameServers = nameServers;
    this.#log = log;
  }

  /** Answers at these addresses from now on. Resolves with the port, the same at each of them. */
  async listen(gateways: readonly string[], names: Names): Promise<number> {
    const known = this.#listeners.get(names.domain);
    if (known !== undefined) return known.port;
    for (let tries = 1; ; tries += 1) {
      const listener = new Listener((query) =>
        this.#answer(query, names).catch((error: unknown) => {
          this.#log.error('a question about a name could not be answered', {
            why: messageOf(error),
          });
          return undefined;
        }),
      );
      try {
        const port = await listener.open(gateways);
        this.#listeners.set(names.domain, listener);
        return port;
      } catch (error) {
        listener.close();
        if (tries === PORT_TRIES) throw error;
      }
    }
  }

  /** Answers no more for a network. */
  close(domain: string): void {
    this.#listeners.get(domain)?.close();
    this.#listeners.delete(domain);
  }

  stop(): void {
    for (const domain of [...this.#listeners.keys()]) this.close(domain);
  }

  /** What the world says that a name stands for, in both families; undefined where no resolver answers. */
  async lookUp(name: string): Promise<readonly Found[] | undefined> {
    const both = await Promise.all(
      [TYPE_A, TYPE_AAAA].map(async (type) => {
        const query = formatQuery(0, name, type);
        const said = await this.#ask(query, askByUdp);
        return said?.answer.isCutOff ? this.#ask(query, askByTcp) : said;
      }),
    );
    const answers = both.map((said) => said?.answer);
    if (!answers.every((answer) => answer !== undefined && IS_ANSWERED.includes(answer.code))) {
      return undefined;
    }
    return answers.flatMap((answer) => answer?.addresses ?? []);
  }

  /** Undefined is no answer at all: what was said is no question. */
  async #answer(query: Query, names: Names): Promise<Buffer | undefined> {
    const { message, client } = query;
    const question = parseQuery(message);
    if (question === undefined) return undefined;
    const own = ownName(question.name, names.domain);
    if (own !== undefined) {
      const addresses = names.addressesOf(own);
      // A rule may say it either way, however it was asked for.
      const ways = [`${own}.${names.domain.toLowerCase()}`, own];
      if (names.isDenied(client, ways)) return formatError(question, REFUSED);
      if (addresses.length === 0) return formatError(question, NO_SUCH_NAME);
      const found = addresses.map((address) => ({ address, ttlSeconds: OWN_TTL_SECONDS }));
      for (const name of ways) await names.learned(client, name, found, true);
      return formatAnswer(question, addresses, OWN_TTL_SECONDS);
    }
    if (!names.mayAsk(client, question.name)) return formatError(question, REFUSED);
    const mine = this.#underWay.get(client) ?? 0;
    if (mine >= MAX_UNDER_WAY_OF_JOB || this.#allUnderWay >= MAX_UNDER_WAY) {
      return formatError(question, SERVER_FAILURE);
    }
    this.#underWay.set(client, mine + 1);
    this.#allUnderWay += 1;
    try {
      return await this.#forward(query, question, names);
    } finally {
      this.#allUnderWay -= 1;
      const left = (this.#underWay.get(client) ?? 1) - 1;
      if (left === 0) this.#underWay.delete(client);
      else this.#underWay.set(client, left);
    }
  }

  async #forward(
    { message, client, ask }: Query,
    question: Question,
    names: Names,
  ): Promise<Buffer> {
    const said = await this.#ask(message, ask);
    if (said === undefined) {
      this.#log.debug('no resolver of the host answered', { name: question.name });
      return formatError(question, SERVER_FAILURE);
    }
    await names.learned(client, question.name, said.answer.addresses, false);
    return withId(said.reply, question.id);
  }

  /** Puts a question to the host's resolvers, one after the other; undefined where none answers it. */
  async #ask(
    message: Buffer,
    ask: Query['ask'],
  ): Promise<{ readonly reply: Buffer; readonly answer: Answer } | undefined> {
    const section = parseQuery(message)?.section;
    // Neither the id nor the port can be guessed by whoever would like to answer instead.
    const id = randomInt(0x10000);
    for (const server of this.#nameServers()) {
      const reply = await ask(server, withId(message, id));
      const answer = reply && parseAnswer(reply);
      if (reply === undefined || answer === undefined || answer.id !== id) continue;
      if (section === undefined || !answer.section.equals(section)) continue;
      return { reply, answer };
    }
    return undefined;
  }
}

/** The resolvers that the host itself asks. */
export function hostNameServers(): readonly string[] {
  try {
    const text = readFileSync('/etc/resolv.conf', 'utf8');
    return [...text.matchAll(/^nameserver\s+([0-9a-fA-F.:]+)\s*$/gm)].map(
      ([, server = '']) => server,
    );
  } catch {
    return [];
  }
}

/** The name of a job that is asked for; undefined for a name of the world. */
export function ownName(name: string, domain: string): string | undefined {
  const suffix = `.${domain.toLowerCase()}`;
  if (name.endsWith(suffix)) return name.slice(0, -suffix.length);
  return name.includes('.') ? undefined : name;
}

function askByUdp(server: string, message: Buffer): Promise<Buffer | undefined> {
  const socket = createSocket(isIPv6(server) ? 'udp6' : 'udp4');
  const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
  const timer = setTimeout(() => resolve(undefined), UPSTREAM_MS);
  socket.on('error', () => resolve(undefined));
  socket.on('message', resolve);
  // Connected: the kernel lets nobody else answer.
  socket.connect(DNS_PORT, server, (error?: Error) => {
    if (error) resolve(undefined);
    else socket.send(message, () => {});
  });
  return promise.finally(() => {
    clearTimeout(timer);
    socket.close();
  });
}

function askByTcp(server: string, message: Buffer): Promise<Buffer | undefined> {
  const socket = connect({ host: server, port: DNS_PORT, timeout: UPSTREAM_MS });
  const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
  readMessages(socket, async (reply) => {
    resolve(reply);
    return undefined;
  });
  socket.on('error', () => resolve(undefined));
  socket.on('timeout', () => resolve(undefined));
  socket.on('close', () => resolve(undefined));
  socket.write(framed(message));
  return promise.finally(() => socket.destroy());
}

interface Query {
  readonly message: Buffer;
  readonly client: string;
  /** Asks a resolver of the host, the way the job asked: what is cut off there it asks again by TCP. */
  readonly ask: (server: string, message: Buffer) => Promise<Buffer | undefined>;
}

type Answerer = (query: Query) => Promise<Buffer | undefined>;

/** The sockets of one network. */
class Listener {
  readonly #answer: Answerer;
  readonly #udp: UdpSocket[] = [];
  readonly #tcp: Server[] = [];
  readonly #connections = new Set<Socket>();
  #isClosed = false;
  port = 0;

  constructor(answer: Answerer) {
    this.#answer = answer;
  }

  async open(gateways: readonly string[]): Promise<number> {
    for (const gateway of gateways) {
      await this.#openUdp(gateway);
      await this.#openTcp(gateway);
    }
    return this.port;
  }

  close(): void {
    this.#isClosed = true;
    for (const socket of this.#udp) socket.close();
    for (const server of this.#tcp) server.close();
    for (const connection of this.#connections) connection.destroy();
  }

  async #openUdp(gateway: string): Promise<void> {
    const socket = createSocket(isIPv6(gateway) ? 'udp6' : 'udp4');
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.once('error', reject);
    socket.bind(this.port, gateway, resolve);
    await promise;
    this.#udp.push(socket);
    socket.on('error', () => {});
    this.port = socket.address().port;
    socket.on('message', (message, { address, port }) => {
      void this.#answer({ message, client: address, ask: askByUdp }).then((reply) => {
        if (reply !== undefined && !this.#isClosed) socket.send(reply, port, address, () => {});
      });
    });
  }

  async #openTcp(gateway: string): Promise<void> {
    const server = createServer((connection) => {
      if (this.#connections.size >= MAX_CONNECTIONS) {
        connection.destroy();
        return;
      }
      this.#connections.add(connection);
      connection.once('close', () => this.#connections.delete(connection));
      connection.on('error', () => {});
      connection.setTimeout(CONNECTION_MS, () => connection.destroy());
      const client = connection.remoteAddress ?? '';
      readMessages(connection, (message) => this.#answer({ message, client, ask: askByTcp }));
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once('error', reject);
    server.listen(this.port, gateway, resolve);
    await promise;
    this.#tcp.push(server);
  }
}

/** Answers what comes on a connection, one after the other. */
function readMessages(
  connection: Socket,
  answer: (message: Buffer) => Promise<Buffer | undefined>,
): void {
  let pending = Buffer.alloc(0);
  let isAnswering = false;
  const answerNext = async () => {
    if (isAnswering || pending.length < 2) return;
    const end = 2 + pending.readUInt16BE(0);
    if (pending.length < end) return;
    isAnswering = true;
    // What comes meanwhile waits in the kernel.
    connection.pause();
    const reply = await answer(pending.subarray(2, end));
    pending = pending.subarray(end);
    isAnswering = false;
    if (reply === undefined) connection.destroy();
    else connection.write(framed(reply));
    connection.resume();
    void answerNext();
  };
  connection.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    void answerNext();
  });
}

function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(Math.min(message.length, MAX_MESSAGE_BYTES), 0);
  return Buffer.concat([head, message]);
}
