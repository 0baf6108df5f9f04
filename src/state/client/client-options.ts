import { type Clock, systemClock } from '../../clock.ts'
import type { UpstreamTlsOptions } from '../../core/tls/upstream-tls.ts'
import { Upstream, type UpstreamTarget } from '../../core/upstream.ts'
import { Wheel } from '../../lifetime/wheel.ts'
import { bytesOption, durationOption, integerOption, invalidOption, knownOptions } from '../../options.ts'
import { toBytes } from '../codec/byte-string.ts'
import type { LinkRules } from './link.ts'
import type { PoolRules } from './link-pool.ts'

/** Options of a `StateClient`. */
export interface StateClientOptions {
  /** The secret that the server asks for. @default none */
  auth?: string
  /** Connections at a time; each session that is open has one. @default 32 */
  maxConnections?: number
  /** How many may wait for a connection, and how many for one session. @default 1000 */
  maxQueue?: number
  /** How long one may wait for a connection, in milliseconds. @default 5000 */
  queueTimeout?: number
  /** How long to wait for the lock of a session, in milliseconds, if the call does not say. @default 5000 */
  lockTimeout?: number
  /** How long connecting may take, in milliseconds. @default 3000 */
  connectTimeout?: number
  /** Encrypts. Text such as `'tls://state.test:9090'` asks for it as `true` does. @default plain text */
  tls?: boolean | UpstreamTlsOptions
  /** How long a reply may take, in milliseconds; waiting for a lock does not count. @default 10000 */
  replyTimeout?: number
  /** How long a connection that is not used is kept, in milliseconds; 0 for ever. @default 60000 */
  idleTimeout?: number
  /** The longest reply. A number, or text such as `'64 MiB'`. @default 67108864 */
  maxReplyLength?: number | string
  /** @default the machine's */
  clock?: Clock
}

const optionNames = [
  'auth',
  'maxConnections',
  'maxQueue',
  'queueTimeout',
  'lockTimeout',
  'connectTimeout',
  'tls',
  'replyTimeout',
  'idleTimeout',
  'maxReplyLength',
  'clock',
]

/** What a client goes by. */
export interface ClientRules {
  readonly link: LinkRules
  readonly pool: PoolRules
  readonly lockTimeout: number
}

/** Reads the options. Throws `XPS_INVALID_OPTION`. */
export function clientRules(
  server: UpstreamTarget | readonly UpstreamTarget[],
  options: StateClientOptions,
): ClientRules {
  knownOptions('state client options', options, optionNames)
  const { auth, connectTimeout, tls } = options
  if (auth !== undefined && (typeof auth !== 'string' || auth === '')) throw invalidOption('auth', auth, 'a secret')
  const upstream = new Upstream(server, tls === undefined ? {} : { tls })
  const clock = new Wheel(options.clock ?? systemClock)
  return {
    lockTimeout: durationOption('lockTimeout', options.lockTimeout, 5_000, true),
    link: {
      upstream,
      clock,
      auth: auth === undefined ? undefined : toBytes(auth),
      connectTimeout:
        connectTimeout === undefined ? undefined : durationOption('connectTimeout', connectTimeout, 3_000),
      replyTimeout: durationOption('replyTimeout', options.replyTimeout, 10_000),
      maxReplyLength: bytesOption('maxReplyLength', options.maxReplyLength ?? 64 * 1024 ** 2),
    },
    pool: {
      address: upstream.address,
      clock,
      maxConnections: integerOption('maxConnections', options.maxConnections, 32, { min: 1, max: 65_535 }),
      maxQueue: integerOption('maxQueue', options.maxQueue, 1_000, { min: 0, max: 1_000_000 }),
      queueTimeout: durationOption('queueTimeout', options.queueTimeout, 5_000),
      idleTimeout: durationOption('idleTimeout', options.idleTimeout, 60_000, true),
    },
  }
}
