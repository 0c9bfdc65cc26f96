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
}

export class Builds {
  readonly #parts: BuildParts;
  /** By the name of what they build. */
  readonly #running = new Map<string, Running>();

  constructor(parts: BuildParts) {
    this.#parts = parts;
  }

  /** Ends and clears up what an earlier daemon was building. Call it before the first build. */
  async recover(): Promise<void> {
    const { jobs, cache, config, log } = this.#parts;
    await mkdir(config.directory, { recursive: true, mode: 0o700 });
    const left = jobs
      .query({ statuses: unfinished, limit: MAX_LEFT })
      .filter(({ spec }) => spec.build !== undefined);
    for (const { id } of left) {
      await jobs.stop(id, { force: true }, nobody).catch(() => {
        // It has just ended.
      });
      log.info('a build of an earlier daemon was ended', { job: id });
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
    const startedAtMs = performance.now();
    const spec = parseBuildSpec(order.yaml, order.fileName);
    const platform = this.#platformFor(spec);
    if (order.lock !== '') parseLock(order.lock);
    if (!order.checkOnly) this.#requireAbsent(spec, order.force);
    const { controller, over } = this.#enter(spec.name);
    const ended = AbortSignal.any([signal, controller.signal]);
    let jobId = '';
    const resultOf = (ok: boolean, message: string, placed = nothing): BuildEvent => ({
      kind: 'result',
      result: {
        ok,
        message,
        name: spec.name,
        version: spec.version,
        ...placed,
        durationMs: Math.round(performance.now() - startedAtMs),
        jobId,
      },
    });
    try {
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
          jobId = build.jobId;
          yield event;
        }
        const { placed } = build;
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
    } finally {
      this.#running.delete(spec.name);
      over.resolve();
    }
  }

  /** The text and the folder of a specification that came with this node. */
  async specification(name: string): Promise<Pick<BuildOrder, 'yaml' | 'fileName' | 'folder'>> {
    const { specifications } = this.#parts.config;
    const about = 'specification';
    const names = await readdir(specifications).catch((): string[] => []);
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
    const running = { controller: new AbortController(), over: Promise.withResolvers<void>() };
    this.#running.set(name, running);
    return running;
  }
}
