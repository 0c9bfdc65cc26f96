// How big a request of each method may be. Most are an id and a few options; those that carry files or
// texts are named here. So a client that may only look cannot make the daemon read much.

/** Methods whose requests may be as big as the configuration lets any message be. */
const bulky: ReadonlySet<string> = new Set([
  '/joblet.JobService/RunJob',
  '/joblet.JobService/UploadFiles',
  '/joblet.JobService/SendJobInput',
  '/joblet.JobService/RunWorkflow',
  '/joblet.JobletService/RunJob',
  '/joblet.RuntimeService/BuildRuntime',
  '/joblet.RuntimeService/InstallRuntimeFromLocal',
  '/joblet.RuntimeService/StreamingInstallRuntimeFromLocal',
]);

const SLIM_BYTES = 1024 * 1024;

/** Bytes of one request of the method; `mostBytes` is what any message may have. */
export function maxRequestBytes(path: string, mostBytes: number): number {
  return bulky.has(path) ? mostBytes : Math.min(SLIM_BYTES, mostBytes);
}
