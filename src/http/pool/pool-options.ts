import { durationOption, integerOption, invalidOption } from '../../options.ts'

/** How the connections to each address of an upstream are kept. */
export interface PoolOptions {
  /** Connections to one address at most. @default 1024 */
  maxConnections?: number
  /** Connections that stay though they have had nothing to do for `idleTimeout`. @default 0 */
  minConnections?: number
  /** Connections that may wait for their next request; the longest idle ones are closed. @default 256 */
  maxIdle?: number
  /** How long a connection waits for its next request, in milliseconds. @default 60000 */
  idleTimeout?: number
  /** After how many requests a connection is closed; 0 for never. @default 0 */
  maxRequestsPerConnection?: number
  /** Requests that wait for a connection when there are as many as there may be; more are answered with 503. @default 1024 */
  maxQueue?: number
  /**
   * How many requests may be under way on one connection, one behind the other. For upstreams that are known to bear
   * it; only requests that may be repeated and have no body are sent so. @default 1
   */
  pipeline?: number
  /** How many connections carry requests one behind the other, where that is allowed. @default 4 */
  pipelineConnections?: number
  /** How long an address that cannot be connected to is passed over, in milliseconds; 0 for not at all. @default 10000 */
  downTime?: number
  /**
   * Whether HTTP/2 is spoken: `true` offers it where the upstream speaks TLS, and takes what that chooses (ALPN);
   * `'prior-knowledge'` speaks nothing else; `false` never does.
   * @default true
   */
  http2?: boolean | 'prior-knowledge'
  /** Requests that are under way at once on one connection that speaks HTTP/2; fewer if the upstream says so. @default 100 */
  maxStreams?: number
  /**
   * How long an upstream may be silent over HTTP/2, though requests are under way, before it is asked once whether it is
   * there (PING), in milliseconds; 0 for never. If it does not answer within the same time, its connection is dead.
   * @default 10000
   */
  pingInterval?: number
}

/** The options of a pool, checked and complete. */
export type PoolRules = Required<PoolOptions>

/** The names of the options of a pool. */
export const poolNames: readonly (keyof PoolOptions)[] = [
  'maxConnections',
  'minConnections',
  'maxIdle',
  'idleTimeout',
  'maxRequestsPerConnection',
  'maxQueue',
  'pipeline',
  'pipelineConnections',
  'downTime',
  'http2',
  'maxStreams',
  'pingInterval',
]

const most = 1_000_000

/** Checks the options of a pool and completes them. Throws `XPS_INVALID_OPTION`. */
export function poolRules(given: PoolOptions): PoolRules {
  const { http2 = true } = given
  if (typeof http2 !== 'boolean' && http2 !== 'prior-knowledge') {
    throw invalidOption('http2', http2, `true, false or 'prior-knowledge'`)
  }
  return {
    maxConnections: integerOption('maxConnections', given.maxConnections, 1024, { min: 1, max: most }),
    minConnections: integerOption('minConnections', given.minConnections, 0, { min: 0, max: most }),
    maxIdle: integerOption('maxIdle', given.maxIdle, 256, { min: 0, max: most }),
    idleTimeout: durationOption('idleTimeout', given.idleTimeout, 60_000),
    maxRequestsPerConnection: integerOption('maxRequestsPerConnection', given.maxRequestsPerConnection, 0, {
      min: 0,
      max: Number.MAX_SAFE_INTEGER,
    }),
    maxQueue: integerOption('maxQueue', given.maxQueue, 1024, { min: 0, max: most }),
    pipeline: integerOption('pipeline', given.pipeline, 1, { min: 1, max: 1024 }),
    pipelineConnections: integerOption('pipelineConnections', given.pipelineConnections, 4, { min: 1, max: most }),
    downTime: durationOption('downTime', given.downTime, 10_000, true),
    http2,
    maxStreams: integerOption('maxStreams', given.maxStreams, 100, { min: 1, max: 10_000 }),
    pingInterval: durationOption('pingInterval', given.pingInterval, 10_000, true),
  }
}
