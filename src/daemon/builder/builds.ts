// Builds runtimes: a job in a sandbox of its own makes the tree, which is then tested and installed as
// any other. Until that is done nothing of it is anywhere but in its area, which goes in any case.

import { mkdir, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { parseLock } from '../../shared/build-lock.ts';
import { type BuildSpec, parseBuildSpec, warningsOf } from '../../shared/build-spec.ts';
import { JobletError, messageOf } from '../../shared/errors.ts';
import { nearest } from '../../shared/nearest.ts';
import { meansPlatform, type Platform, platformOf } from '../../shared/platform.ts';
import { formatBytes } from '../../shared/units.ts';
import type { Identity } from '../jobs/job.ts';
import { refOf } from '../runtimes/catalogue.ts';
import {
  Build,
  type BuildEvent,
  BuildFailed,
  type BuildOrder,
  type BuildParts,
  builtName,
  note,
  nothing,
  phase,
} from './build.ts';
import { BuildArea, requireRoom } from './build-area.ts';

/** Who ends what an earlier daemon left. */
const nobody: Identity = { name: 'joblet', role: 'admin', certificate: '', peer: '' };

const unfinished = ['PENDING', 'SCHEDULED', 'INITIALIZING', 'RUNNING'] as const;
/** Jobs that are looked at for builds among them. */
const MAX_LEFT = 100_000;

interface Running {
  readonly controller: AbortController;
  readonly over: PromiseWithResolvers<void>;
  /** The job that makes the tree; empty before there is one. */
  jobId: string;
}

type Result = (BuildEvent & { kind: 'result' })['result'];

export class Builds {
  readonly #parts: BuildParts;
  /** By the name of what they build. */
  readonly #running = new Map<string, Running>();

  constructor(parts: BuildParts) {
    this.#parts = parts;
  }

  /** Ends and clears up what an earlier daemon was building. Call it before the first build. */
  async recover(): Promise<void> {
    const { jobs, cache, config, log, audit } = this.#parts;
    await mkdir(config.directory, { recursive: true, mode: 0o700 });
    const left = jobs
      .query({ statuses: unfinished, limit: MAX_LEFT })
      .filter(({ spec }) => spec.build !== undefined);
    for (const { id, spec } of left) {
      await jobs.stop(id, { force: true }, nobody).catch(() => {
        // It has just ended.
      });
      log.info('a build of an earlier daemon was ended', { jobId: id });
      const detail = `${builtName(spec.name)}: its daemon ended before it`;
      const end = { action: 'runtime.built', result: 'failed', detail } as const;
      await audit.record({ atMs: Date.now(), jobId: id, ...end });
    }
    await BuildArea.sweep(config.directory);
    await cache.open();
  }

  /** Ends all builds; resolves when nothing of them is left. */
  async stop(): Promise<void> {
    const running = [...this.#running.values()];
    for (const { controller } of running) {
      controller.abort(new JobletError('unavailable', 'the daemon stops'));
    }
    await Promise.all(running.map(({ over }) => over.promise));
  }

  /**
   * Builds a runtime and tells of it. Whoever stops listening ends it.
   * @throws JobletError for what can be known before it begins; from then on a failure is a result
   */
  async *build(order: BuildOrder, who: Identity, signal: AbortSignal): AsyncGenerator<BuildEvent> {
    const spec = parseBuildSpec(order.yaml, order.fileName);
    const platform = this.#platformFor(spec);
    if (order.lock !== '') parseLock(order.lock);
    if (!order.checkOnly) this.#requireAbsent(spec, order.force);
    const running = this.#enter(spec.name);
    const ended = AbortSignal.any([signal, running.controller.signal]);
    let result: Result | undefined;
    let why = 'canceled';
    try {
      for await (const event of this.#run(order, spec, platform, who, ended, running)) {
        if (event.kind === 'result') ({ result } = event);
        yield event;
      }
    } catch (error) {
      why = messageOf(error);
      throw error;
    } finally {
      this.#running.delete(spec.name);
      if (!order.checkOnly) await this.#record(spec, running, result ?? why, who);
      running.over.resolve();
    }
  }

  async *#run(
    order: BuildOrder,
    spec: BuildSpec,
    platform: Platform,
    who: Identity,
    ended: AbortSignal,
    running: Running,
  ): AsyncGenerator<BuildEvent> {
    const startedAtMs = performance.now();
    const resultOf = (ok: boolean, message: string, placed = nothing): BuildEvent => ({
      kind: 'result',
      result: {
        ok,
        message,
        name: spec.name,
        version: spec.version,
        ...placed,
        durationMs: Math.round(performance.now() - startedAtMs),
        jobId: running.jobId,
      },
    });
    yield phase('Validate specification', `${spec.name} ${spec.version}`);
    for (const warning of warningsOf(spec)) yield note('warn', warning);
    yield phase('Detect platform', platform.name);
    const free = await requireRoom(this.#parts.config.directory);
    yield phase(
      'Check disk space',
      `${formatBytes(Math.floor(free / 1024 ** 2) * 1024 ** 2)} free`,
    );
    const build = new Build(this.#parts, order, spec, platform, who, ended);
    try {
      for await (const event of build.run()) {
        running.jobId = build.jobId;
        yield event;
      }
      const { placed } = build;
      if (placed !== undefined) this.#parts.runtimes.forgetGone();
      yield placed === undefined
        ? resultOf(true, `${spec.name} ${spec.version} can be built`)
        : resultOf(true, `Runtime ${spec.name}@${spec.version} built`, placed);
    } catch (error) {
      if (ended.aborted) throw ended.reason;
      if (!(error instanceof BuildFailed)) throw error;
      yield resultOf(false, error.message);
    } finally {
      await build.end();
    }
  }

  /** The build, and the runtime that came of it; `end` is why there is none, when it has no result. */
  async #record(
    { name, version }: BuildSpec,
    { jobId }: Running,
    end: Result | string,
    who: Identity,
  ): Promise<void> {
    const { audit } = this.#parts;
    const runtime = `${name}@${version}`;
    const ok = typeof end !== 'string' && end.ok;
    const why = typeof end === 'string' ? end : end.message;
    await audit.record({
      atMs: Date.now(),
      action: 'runtime.built',
      jobId,
      who,
      result: ok ? 'ok' : 'failed',
      detail: ok ? runtime : `${runtime}: ${why}`,
    });
    if (!ok) return;
    const installed = { action: 'runtime.installed', result: 'ok', detail: runtime } as const;
    await audit.record({ atMs: Date.now(), jobId, who, ...installed });
  }

  /** The text and the folder of a specification that came with this node. */
  async specification(name: string): Promise<Pick<BuildOrder, 'yaml' | 'fileName' | 'folder'>> {
    const { specifications } = this.#parts.config;
    const about = 'specification';
    const entries = await readdir(specifications, { withFileTypes: true }).catch(() => []);
    // What is no folder, nor a link to one, is for people.
    const names = entries.filter((entry) => !entry.isFile()).map((entry) => entry.name);
    if (!names.includes(name)) {
      const guess = nearest(name, names);
      const hint = guess === undefined ? `there is ${names.join(', ')}` : `did you mean ${guess}?`;
      throw new JobletError(
        'not-found',
        `specification not found: ${name.slice(0, 64)} (${hint})`,
        {
          about,
        },
      );
    }
    const folder = path.join(specifications, name);
    const fileName = path.join(name, 'runtime.yaml');
    try {
      return { yaml: await readFile(path.join(folder, 'runtime.yaml'), 'utf8'), fileName, folder };
    } catch (cause) {
      const message = `specification ${name} cannot be read: ${messageOf(cause)}`;
      throw new JobletError('not-found', message, { about, cause });
    }
  }

  #platformFor({ platforms }: BuildSpec): Platform {
    const here = platformOf(process.arch);
    if (here !== undefined && platforms.some((word) => meansPlatform(word, here))) return here;
    throw new JobletError(
      'unsupported',
      `this runtime is for ${platforms.join(', ')}, and this node is ${here?.name ?? process.arch}`,
    );
  }

  #requireAbsent({ name, version }: BuildSpec, force: boolean): void {
    const there = this.#parts.catalogue
      .list()
      .find((each) => each.name === name && each.version === version);
    if (there === undefined || force) return;
    throw new JobletError(
      'exists',
      `runtime ${refOf(there)} is installed already; build it with --force to replace it, or give it another version`,
    );
  }

  #enter(name: string): Running {
    const { maxBuilds } = this.#parts.config;
    if (this.#running.has(name)) {
      throw new JobletError('wrong-state', `runtime ${name} is being built already`);
    }
    if (this.#running.size >= maxBuilds) {
      throw new JobletError(
        'exhausted',
        `${maxBuilds} runtimes are being built already (runtime.maxBuilds); try again when one is done`,
      );
    }
    const controller = new AbortController();
    const running = { controller, over: Promise.withResolvers<void>(), jobId: '' };
    this.#running.set(name, running);
    return running;
  }
}
